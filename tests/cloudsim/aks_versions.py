"""Which versions AKS has, and from which to which it goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from .aks_errors import Refused, invalid_parameter, not_allowed, provider_error

VERSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "1.34": ("1.34.9",),
    "1.35": ("1.35.6", "1.35.8"),
    "1.36": ("1.36.2", "1.36.4"),
}
"""Minor → patches, all ascending. The newest patch is what a minor alone means, and what a real plane runs."""
DEFAULT_MINOR: Final = "1.35"
SKEW: Final = 2
"""How many minors a pool may be behind its control plane."""


def parse_version(version: str) -> tuple[int, ...]:
    """Return a full version as numbers."""
    return tuple(int(part) for part in version.split("."))


def minor_of(version: str) -> str:
    """Return the minor of a full version."""
    return ".".join(version.split(".")[:2])


def resolve(versions: Mapping[str, tuple[str, ...]], asked: str) -> str | None:
    """Return the full version that is meant; None when there is no such."""
    if asked in versions:
        return versions[asked][-1]
    return asked if asked in versions.get(minor_of(asked), ()) else None


def list_upgrades(versions: Mapping[str, tuple[str, ...]], current: str) -> list[str]:
    """Return where one may go from a full version: newer patches, and the next minor."""
    major, minor, _ = parse_version(current)
    reach = (*versions.get(f"{major}.{minor}", ()), *versions.get(f"{major}.{minor + 1}", ()))
    return [version for version in reach if parse_version(version) > parse_version(current)]


def choose_version(versions: Mapping[str, tuple[str, ...]], asked: str, current: str, what: str) -> str:
    """Return the full version that `asked` means for a control plane at `current` (empty: new). Raises Refused."""
    if current and asked in (current, minor_of(current)):
        return current
    wanted = resolve(versions, asked)
    if wanted is None:
        raise provider_error(
            400,
            "K8sVersionNotSupported",
            f"Managed cluster {what} is on version {asked}, which is not supported in this region. Please use "
            "[az aks get-versions] command to get the supported version list in this region.",
        )
    if current and wanted not in list_upgrades(versions, current):
        available = " ".join(reversed(list_upgrades(versions, current)))
        raise not_allowed(
            f"Upgrading Kubernetes version {current} to {wanted} is not allowed. Available upgrades: [{available}]. "
            "Please see https://aka.ms/aks-supported-k8s-ver for version details.",
            400,
        )
    return wanted


def choose_pool_version(versions: Mapping[str, tuple[str, ...]], asked: str, current: str, control_plane: str) -> str:
    """Return the full version that `asked` means for a pool at `current` (empty: new). Raises Refused."""
    if current and asked in (current, minor_of(current)):
        return current
    wanted = resolve(versions, asked)
    if wanted is None:
        raise invalid_parameter(
            "agentPoolProfile.orchestratorVersion",
            f"The value of parameter orchestratorProfile.OrchestratorVersion is invalid: {asked}.",
        )
    if asked == minor_of(control_plane):
        # A minor alone never means a newer patch than the control plane's.
        wanted = control_plane
    check_skew(wanted, control_plane)
    if current:
        back = parse_version(wanted) < parse_version(current)
        if back or parse_version(wanted)[1] - parse_version(current)[1] > 1:
            raise provider_error(
                400,
                "AgentPoolUpgradeVersionNotAllowed",
                f"Upgrade agent pool version from {current} to {wanted} is not allowed, you can only upgrade one minor "
                "version at a time. Please use [az aks get-upgrades] command to get the supported upgrade paths.",
            )
    return wanted


def check_skew(pool: str, control_plane: str) -> None:
    """Refuse a pool that is newer than its control plane, or too old for it."""
    distance = parse_version(control_plane)[1] - parse_version(pool)[1]
    because = ""
    if parse_version(pool) > parse_version(control_plane):
        because = "The node pool version is bigger than the control plane version."
    elif distance > SKEW:
        because = f"Minor version of node pool cannot be more than {SKEW} versions less than control plane's version."
    if because:
        raise _incompatible(pool, control_plane, because)


def _incompatible(pool: str, control_plane: str, because: str) -> Refused:
    return provider_error(
        400,
        "NodePoolMcVersionIncompatible",
        f"Node pool version {pool} and control plane version {control_plane} are incompatible. {because} For more "
        "information, please check https://aka.ms/version-skew-policy",
    )


def build_version_list(versions: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return the body of the list of versions of a location."""
    return {
        "values": [
            {
                "version": minor,
                "capabilities": {"supportPlan": ["KubernetesOfficial", "AKSLongTermSupport"]},
                "isDefault": minor == DEFAULT_MINOR or None,
                "isPreview": None,
                "patchVersions": {patch: {"upgrades": list_upgrades(versions, patch)} for patch in patches},
            }
            for minor, patches in versions.items()
        ]
    }


def build_upgrade_profile(
    versions: Mapping[str, tuple[str, ...]], control_plane: str, pools: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    """Return the properties of a cluster's upgrade profile; `pools` are names and versions."""
    return {
        "controlPlaneProfile": _build_profile(control_plane, list_upgrades(versions, control_plane)),
        "agentPoolProfiles": [
            {
                "name": name,
                **_build_profile(
                    version,
                    [u for u in list_upgrades(versions, version) if parse_version(u) <= parse_version(control_plane)],
                ),
            }
            for name, version in pools
        ],
    }


def _build_profile(version: str, upgrades: list[str]) -> dict[str, Any]:
    shown = [{"kubernetesVersion": upgrade, "isPreview": None} for upgrade in upgrades]
    return {"kubernetesVersion": version, "osType": "Linux", "upgrades": shown or None}
