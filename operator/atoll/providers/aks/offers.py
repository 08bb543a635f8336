"""Which versions Azure offers: in a location, and to a cluster. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from atoll.fleet.values import Version
from atoll.ports import Finding, WantedCluster

from .seen import SeenCluster, parse_number, read_path


def check_offered(wanted: WantedCluster, location: str, versions: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Find out whether a location offers a version for new clusters; previews are not offers."""
    offered = [
        patch
        for minor in versions.get("values") or ()
        if not minor.get("isPreview")
        for patch in minor.get("patchVersions") or ()
    ]
    return _find_missing(wanted, offered, f"AKS in {location} offers for new clusters")


def check_upgrade(
    wanted: WantedCluster, seen: SeenCluster, read_upgrades: Callable[[], Mapping[str, Any]]
) -> tuple[Finding, ...]:
    """Find out whether AKS offers a cluster the upgrade to a version; asks only where there is one to make."""
    served = parse_number(seen.version)
    if served is None or Version.parse(wanted.version).is_satisfied_by(served):
        return ()
    upgrades = read_path(read_upgrades(), "properties", "controlPlaneProfile", "upgrades") or ()
    offered = [str(item.get("kubernetesVersion") or "") for item in upgrades if not item.get("isPreview")]
    return _find_missing(wanted, offered, f"AKS offers this cluster, which runs {served},")


def _find_missing(wanted: WantedCluster, offered: Iterable[str], who: str) -> tuple[Finding, ...]:
    target = Version.parse(wanted.version)
    found = sorted(version for version in map(parse_number, offered) if version is not None)
    if any(target.is_satisfied_by(version) for version in found):
        return ()
    rest = f"{', '.join(map(str, found))}: write one of these" if found else "no version that is no preview: wait"
    message = f"{target} is not to be had: {who} {rest}"
    return (Finding(reason="VersionUnavailable", message=message, field="spec.version"),)
