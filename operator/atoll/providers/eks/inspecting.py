"""What EKS itself says is in the way: versions and add-ons that it does not offer, insights that say ERROR."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from atoll.errors import Conflict, Refused
from atoll.ports import Finding, Operation, OperationType, WantedCluster

from .insights import RETURN, UPGRADE, are_stale, build_finding, find_errors
from .reading import Reader
from .seen import SeenCluster
from .settings import FIELD, parse_block
from .versions import parse_minor


def inspect(
    reader: Reader, wanted: WantedCluster, operation: Operation, seen: SeenCluster | None, now: datetime
) -> tuple[Finding, ...]:
    """Ask EKS what would be in the way of an operation."""
    target = parse_minor(operation.to_version)
    if operation.type is OperationType.REVERT:
        return tuple(_explain(reader, seen, _list_insights(reader, seen, RETURN, target))) if seen is not None else ()
    if (seen is None or seen.version != target) and not reader.is_offered(target):
        # Nothing fits a version that is not there.
        return (
            Finding(
                reason="VersionUnavailable",
                message=f"EKS does not offer Kubernetes {target} in this region: choose another spec.version "
                "(`aws eks describe-cluster-versions` lists what there is)",
                field="spec.version",
            ),
        )
    found: list[Finding] = []
    found += _ask_addons(reader, wanted, target)
    if operation.type is OperationType.CHANGE and seen is not None and seen.version != target:
        insights = _list_insights(reader, seen, UPGRADE, target)
        _refresh(reader, seen.name, insights, now)
        found += _explain(reader, seen, insights)
    return tuple(found)


def _ask_addons(reader: Reader, wanted: WantedCluster, target: str) -> Iterable[Finding]:
    for addon in parse_block(wanted.settings).addons:
        offer = reader.offer(addon.name, target)
        field = f"{FIELD}.addons[{addon.name}]"
        if not offer.versions:
            message = f"EKS has no add-on {addon.name} for Kubernetes {target}: take it out, or correct its name"
            yield Finding(reason="AddonUnavailable", message=message, field=field)
        elif addon.version and addon.version not in offer.versions:
            fits = f"{offer.default} is the default" if offer.default else f"{offer.versions[0]} is one that fits"
            message = (
                f"{field}.version {addon.version} does not fit Kubernetes {target}; {fits}. Write one that fits, or "
                "leave the version out"
            )
            yield Finding(reason="AddonUnavailable", message=message, field=f"{field}.version")


def _refresh(reader: Reader, name: str, insights: list[Any], now: datetime) -> None:
    """Let EKS look again where it has looked more than a day ago; what it finds counts from the next question on."""
    if not are_stale(insights, now):
        return
    try:
        reader.read("start_insights_refresh", name, clusterName=name)
    except (Conflict, Refused):
        # It is looking already, or does not want to: what it knows is judged.
        return


def _list_insights(reader: Reader, seen: SeenCluster, category: str, target: str) -> list[Any]:
    about = {"categories": [category], "kubernetesVersions": [target]}
    return reader.pages("list_insights", seen.name, "insights", clusterName=seen.name, filter=about)


def _explain(reader: Reader, seen: SeenCluster, insights: list[Any]) -> Iterable[Finding]:
    for insight_id in find_errors(insights):
        answer = reader.read("describe_insight", seen.name, clusterName=seen.name, id=insight_id)
        if answer is not None:
            yield build_finding(answer["insight"], seen.name)
