"""Deprecated APIs that clients use, and what is said of them before a change. Pure.

APIs without a release in which they go (`v1` Endpoints, ComponentStatuses, deprecated versions of
CustomResourceDefinitions) are left out: every cluster uses them, and no change takes them away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from atoll.fleet.cluster import Finding
from atoll.fleet.values import Version

IN_USE: Final = "DeprecatedAPIInUse"
"""Reason of findings and warnings about an API that goes."""
FIELD_PREFIX: Final = "api:"
"""What the field of such a finding begins with; one field is told once, whoever found it."""
NAMED_CALLERS: Final = 5
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,252})")
_RELEASE: Final = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeprecatedApi:
    """One resource in a version of its API that has been asked for."""

    group: str
    """Empty for the core group."""
    version: str
    resource: str
    removed: Version
    """Minor release that serves it no longer."""

    @property
    def api_version(self) -> str:
        """Return what stands in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def field(self) -> str:
        """Return the field of findings about it."""
        return f"{FIELD_PREFIX}{self.api_version}/{self.resource}"


def parse_labels(labels: Mapping[str, str]) -> DeprecatedApi | None:
    """Read one entry; None when its names are no names: they become parts of URLs and of messages."""
    group, version, resource = (labels.get(label, "") for label in ("group", "version", "resource"))
    removed = parse_release(labels.get("removed_release", ""))
    names = (*([group] if group else []), version, resource)
    if removed is None or not all(_NAME.fullmatch(name) for name in names):
        return None
    return DeprecatedApi(group=group, version=version, resource=resource, removed=removed)


def parse_release(text: str) -> Version | None:
    """Read a release such as `1.38`; None when it is none."""
    match = _RELEASE.fullmatch(text)
    return Version(int(match.group(1)), int(match.group(2))) if match else None


def is_taken_away(removed: Version, *, served: Version, target: Version) -> bool:
    """Say whether a change to `target` ends an API; a change within one minor ends none."""
    return (target.major, target.minor) > (served.major, served.minor) and _minor(removed) <= _minor(target)


def build_gone(api: DeprecatedApi, callers: Sequence[str], *, target: Version, replacement: str = "") -> Finding:
    """Say that a change ends an API that is in use; `callers`: who uses it, in words, empty where nobody can tell."""
    if callers:
        more = f"; and {len(callers) - NAMED_CALLERS} more" if len(callers) > NAMED_CALLERS else ""
        who = f"used by {'; '.join(callers[:NAMED_CALLERS])}{more}"
    else:
        who = (
            "used since its API server started, and metrics do not tell by whom: an audit log does, in entries with "
            "the annotation `k8s.io/removed-release` (local clusters keep one when the operator runs with --audit)"
        )
    return Finding(
        reason=IN_USE,
        message=f"{api.resource} of {api.api_version} go with v{api.removed.major}.{api.removed.minor}, "
        f"which a change to {target} reaches: {who}. {_remedy(replacement)}",
        field=api.field,
    )


def build_later(api: DeprecatedApi) -> Finding:
    """Warn of an API in use that this change leaves alone."""
    return Finding(
        reason=IN_USE,
        message=f"{api.resource} of {api.api_version} are in use and go with v{api.removed.major}.{api.removed.minor}: "
        "let their clients move before that",
        field=api.field,
    )


def build_unclear(api: DeprecatedApi, *, target: Version) -> Finding:
    """Warn of an API that goes, and that perhaps Kubernetes alone has asked for."""
    return Finding(
        reason=IN_USE,
        message=f"{api.resource} of {api.api_version} go with v{api.removed.major}.{api.removed.minor}, which a change "
        f"to {target} reaches. There are none, and Kubernetes' own controllers look for them in each cluster, so "
        "nobody else may have asked; an audit log would tell",
        field=api.field,
    )


def merge_findings(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Tell each deprecated API once, as it is told first; all others stay as they are."""
    seen: set[str] = set()
    kept: list[Finding] = []
    for finding in findings:
        if finding.field.startswith(FIELD_PREFIX):
            if finding.field in seen:
                continue
            seen.add(finding.field)
        kept.append(finding)
    return tuple(kept)


def _remedy(replacement: str) -> str:
    move = f"Let its clients use {replacement}" if replacement else "Let its clients use what has replaced it"
    return f"{move}; the API server remembers a use until it starts again, an audit log is believed for a day"


def _minor(version: Version) -> tuple[int, int]:
    return version.major, version.minor
