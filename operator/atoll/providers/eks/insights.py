"""What EKS knows against a change of version, as findings: in its own words, with what is affected. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from atoll.ports import Finding

UPGRADE: Final = "UPGRADE_READINESS"
RETURN: Final = "ROLLBACK_READINESS"
STALE: Final = timedelta(days=1)
MOST_NAMED: Final = 5
"""So many resources or clients are named; more would hide the advice."""
_MENDED_BEFORE: Final = re.compile(r"kubelet|kube-proxy|add-?on", re.IGNORECASE)


def find_errors(summaries: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the ids of the insights that stand in the way.

    Nodes and add-ons that are too new for a return are brought back before the control plane is. EKS asks itself again
    then, and refuses where others' nodes are still in the way.
    """
    return tuple(
        one["id"]
        for one in summaries
        if one.get("insightStatus", {}).get("status") == "ERROR"
        and not (one.get("category") == RETURN and _MENDED_BEFORE.search(one.get("name", "")))
    )


def are_stale(summaries: Iterable[Mapping[str, Any]], now: datetime) -> bool:
    """Say whether EKS has looked too long ago, or never."""
    times = [one["lastRefreshTime"] for one in summaries if isinstance(one.get("lastRefreshTime"), datetime)]
    return not times or now - min(times).astimezone(UTC) > STALE


def build_finding(insight: Mapping[str, Any], cluster: str) -> Finding:
    """Return the finding of one insight in full."""
    status = insight.get("insightStatus", {})
    summary = insight.get("categorySpecificSummary", {})
    parts = [
        f"EKS insight `{insight.get('name', '')}` of {cluster} for {insight.get('kubernetesVersion', '')}: "
        f"{status.get('reason') or insight.get('description', '')}",
        *(_describe_deprecation(detail) for detail in summary.get("deprecationDetails", ())),
        *(_describe_addon(detail) for detail in summary.get("addonCompatibilityDetails", ())),
    ]
    resources = [
        resource.get("kubernetesResourceUri") or resource.get("arn", "") for resource in insight.get("resources", ())
    ]
    if resources:
        parts.append(f"affected: {_shorten(resources)}")
    parts.append(insight.get("recommendation", ""))
    message = ". ".join(part.strip().rstrip(".") for part in parts if part.strip())
    reason = "NotReadyToRevert" if insight.get("category") == RETURN else "NotReadyToUpgrade"
    return Finding(reason=reason, message=message, field="spec.version")


def _describe_deprecation(detail: Mapping[str, Any]) -> str:
    said = detail.get("usage", "")
    if detail.get("stopServingVersion"):
        said += f" ends with {detail['stopServingVersion']}"
    if detail.get("replacedWith"):
        said += f", use {detail['replacedWith']}"
    clients = [
        f"{client.get('userAgent', 'somebody')} ({client.get('numberOfRequestsLast30Days', 0)} requests in 30 days"
        f"{_describe_last(client.get('lastRequestTime'))})"
        for client in detail.get("clientStats", ())
    ]
    return f"{said}; still used by {_shorten(clients)}" if clients else said


def _describe_last(moment: Any) -> str:
    return f", last at {moment.astimezone(UTC):%Y-%m-%d %H:%M}" if isinstance(moment, datetime) else ""


def _describe_addon(detail: Mapping[str, Any]) -> str:
    fits = detail.get("compatibleVersions", ())
    return f"add-on {detail.get('name', '')}: {_shorten(list(fits)) if fits else 'no version'} fits"


def _shorten(names: list[str]) -> str:
    rest = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
