"""What EKS itself says is in the way: versions and add-ons that it does not offer, insights that say ERROR."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

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
        return tuple(_ask_insights(reader, seen, RETURN, target)) if seen is not None else ()
    if seen is None or seen.version != target:
        unavailable = tuple(_ask_version(reader, target))
        if unavailable:
            # Nothing fits a version that is not there.
            return unavailable
    found: list[Finding] = []
    found += _ask_addons(reader, wanted, target)
    if operation.type is OperationType.CHANGE and seen is not None and seen.version != target:
        _refresh(reader, seen.name, target, now)
        found += _ask_insights(reader, seen, UPGRADE, target)
    return tuple(found)


def _ask_version(reader: Reader, target: str) -> Iterable[Finding]:
    offered = reader.pages("describe_cluster_versions", target, "clusterVersions", clusterVersions=[target])
    usable = [
        one
        for one in offered
        if one.get("clusterVersion") == target
        and "UNSUPPORTED" not in {str(one.get("versionStatus", "")).upper(), str(one.get("status", "")).upper()}
    ]
    if not usable:
        yield Finding(
            reason="VersionUnavailable",
            message=f"EKS does not offer Kubernetes {target} in this region: choose another spec.version "
            "(`aws eks describe-cluster-versions` lists what there is)",
            field="spec.version",
        )


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


def _refresh(reader: Reader, name: str, target: str, now: datetime) -> None:
    """Let EKS look again where it has looked more than a day ago; what it finds counts from the next question on."""
    about = {"categories": [UPGRADE], "kubernetesVersions": [target]}
    known = reader.pages("list_insights", name, "insights", clusterName=name, filter=about)
    if not are_stale(known, now):
        return
    try:
        reader.read("start_insights_refresh", name, clusterName=name)
    except (Conflict, Refused):
        # It is looking already, or does not want to: what it knows is judged.
        return


def _ask_insights(reader: Reader, seen: SeenCluster, category: str, target: str) -> Iterable[Finding]:
    about = {"categories": [category], "kubernetesVersions": [target], "statuses": ["ERROR"]}
    known = reader.pages("list_insights", seen.name, "insights", clusterName=seen.name, filter=about)
    for insight_id in find_errors(known):
        answer = reader.read("describe_insight", seen.name, clusterName=seen.name, id=insight_id)
        if answer is not None:
            yield build_finding(answer["insight"], seen.name)
