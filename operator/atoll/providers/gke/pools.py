"""Node pools: how a new one is written, and how one that differs is mended. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from atoll.fleet.values import Version
from atoll.providers.managed.marks import ID
from atoll.providers.managed.moves import Call

from .seen import SeenCluster, SeenPool
from .settings import Channel, Pool, Settings

MAX_SURGE: Final = 1
MAX_UNAVAILABLE: Final = 0
"""A new node stands before an old one goes: no pool is ever smaller than it is wanted."""
ZONES_OF_A_REGION: Final = 3
MOST_MINORS_BEHIND: Final = 2
"""How far nodes may be behind their control plane."""
_HEAD: Final = "https://www.googleapis.com/auth/"
SCOPES: Final = tuple(_HEAD + name for name in ("devstorage.read_only", "logging.write", "monitoring.write"))
"""What nodes may do in the cloud by themselves: get images, write logs and metrics. Pods have their own identities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mend:
    """One thing that differs from what is wanted."""

    sentence: str
    """What differs."""
    call: Call


def build_pool(pool: Pool, settings: Settings, owner: str) -> dict[str, Any]:
    """Return a new pool as the API takes it. It gets the control plane's version."""
    zones = 1 if settings.place.is_zonal else ZONES_OF_A_REGION
    return {
        "name": pool.name,
        # For each zone. The autoscaler takes over at once; without a node it would have nothing to run on.
        "initialNodeCount": max(1, -(-pool.min_size // zones)),
        "config": {
            "machineType": pool.machine_type,
            "oauthScopes": list(SCOPES),
            "resourceLabels": {ID: owner},
            "workloadMetadataConfig": {"mode": "GKE_METADATA"},
        },
        "autoscaling": build_autoscaling(pool),
        "management": build_management(settings.channel),
        "upgradeSettings": build_upgrade_settings(),
    }


def build_autoscaling(pool: Pool) -> dict[str, Any]:
    """Return the bounds between which a pool grows, over all its zones."""
    return {
        "enabled": True,
        "totalMinNodeCount": pool.min_size,
        "totalMaxNodeCount": pool.max_size,
        "locationPolicy": "BALANCED",
    }


def build_management(channel: Channel) -> dict[str, Any]:
    """Return who replaces nodes: GKE the broken ones, Atoll the old ones. Channels do not allow the second."""
    return {"autoUpgrade": channel is not Channel.OFF, "autoRepair": True}


def build_upgrade_settings() -> dict[str, Any]:
    """Return how nodes are replaced."""
    return {"strategy": "SURGE", "maxSurge": MAX_SURGE, "maxUnavailable": MAX_UNAVAILABLE}


def mend_pool(wanted: Pool, settings: Settings, seen: SeenCluster, owner: str, path: str) -> Iterator[Mend]:
    """Find what differs in a declared pool, but for its version: first what tells GKE how to replace nodes."""
    pool = seen.pool(wanted.name)
    name = f"{path}/nodePools/{wanted.name}"
    if pool is None:
        arguments = {"parent": path, "nodePool": build_pool(wanted, settings, owner)}
        yield Mend(
            sentence=f"node pool {wanted.name} is missing",
            call=Call(name="create_node_pool", arguments=arguments, step=f"make node pool {wanted.name}"),
        )
        return
    if pool.status == "ERROR":
        yield Mend(
            sentence=f"node pool {wanted.name} cannot be used: {pool.message}",
            call=delete_pool(path, wanted.name, f"remove node pool {wanted.name}, which cannot be used"),
        )
        return
    if (pool.strategy, pool.max_surge, pool.max_unavailable) != ("SURGE", MAX_SURGE, MAX_UNAVAILABLE):
        yield Mend(
            sentence=f"node pool {wanted.name} replaces nodes by {pool.strategy} with surge {pool.max_surge} and "
            f"{pool.max_unavailable} unavailable, not by SURGE with {MAX_SURGE} and {MAX_UNAVAILABLE}",
            call=Call(
                name="update_node_pool",
                arguments={"name": name, "upgradeSettings": build_upgrade_settings()},
                step=f"set how node pool {wanted.name} replaces nodes",
            ),
        )
    if mend := mend_management(pool, settings, path):
        yield mend
    if not _has_bounds(pool.autoscaling, wanted):
        yield Mend(
            sentence=f"node pool {wanted.name} has {_tell_bounds(pool.autoscaling)}, not {wanted.min_size} to "
            f"{wanted.max_size} nodes",
            call=Call(
                name="set_node_pool_autoscaling",
                arguments={"name": name, "autoscaling": build_autoscaling(wanted)},
                step=f"set the size of node pool {wanted.name}",
            ),
        )
    if pool.machine_type != wanted.machine_type:
        yield Mend(
            sentence=f"node pool {wanted.name} has machines of type {pool.machine_type}, not {wanted.machine_type}",
            call=Call(
                name="update_node_pool",
                arguments={"name": name, "machineType": wanted.machine_type},
                step=f"replace the machines of node pool {wanted.name}",
            ),
        )


def mend_management(pool: SeenPool, settings: Settings, path: str) -> Mend | None:
    """Find whether GKE replaces nodes of a pool that Atoll shall replace, or the other way round."""
    management = build_management(settings.channel)
    upgrade = management["autoUpgrade"]
    if (pool.auto_upgrade, pool.auto_repair) == (upgrade, management["autoRepair"]):
        return None
    return Mend(
        sentence=f"node pool {pool.name} has auto-upgrade {_switch(pool.auto_upgrade)} and auto-repair "
        f"{_switch(pool.auto_repair)}, not {_switch(upgrade)} and on",
        call=Call(
            name="set_node_pool_management",
            arguments={"name": f"{path}/nodePools/{pool.name}", "management": management},
            step=f"set who replaces nodes of node pool {pool.name}",
        ),
    )


def upgrade_pool(pool: SeenPool, seen: SeenCluster, wanted: Version | None, path: str) -> Mend | None:
    """Return how a pool follows the control plane; None: it has what is wanted.

    With a minor version a pool always follows, with a patch only where one is `wanted`: GKE patches control planes by
    itself, and nobody's nodes are replaced for that.
    """
    served = seen.served
    asked_for = wanted is not None and wanted.is_satisfied_by(served) and not wanted.is_satisfied_by(pool.served)
    if not pool.is_minor_behind(served) and not (asked_for and pool.served < served):
        return None
    arguments = {"name": f"{path}/nodePools/{pool.name}", "nodeVersion": seen.version}
    if pool.image_type:
        arguments["imageType"] = pool.image_type
    return Mend(
        sentence=f"node pool {pool.name} runs v{pool.version}, the control plane v{seen.version}",
        call=Call(name="update_node_pool", arguments=arguments, step=f"bring node pool {pool.name} to v{seen.version}"),
    )


def delete_pool(path: str, name: str, step: str) -> Call:
    """Return the call that removes a pool."""
    return Call(name="delete_node_pool", arguments={"name": f"{path}/nodePools/{name}"}, step=step)


def find_undeclared(settings: Settings, seen: SeenCluster, owner: str) -> tuple[SeenPool, ...]:
    """Find the pools that Atoll made and that are not declared any more; those of others are left alone."""
    declared = {pool.name for pool in settings.pools}
    return tuple(pool for pool in seen.pools if pool.name not in declared and pool.labels.get(ID) == owner)


def tell_blocking_pool(settings: Settings, seen: SeenCluster, version: Version, owner: str) -> str:
    """Say in a sentence which pool of others keeps the control plane from a version; empty: none."""
    declared = {pool.name for pool in settings.pools}
    for pool in seen.pools:
        foreign = pool.name not in declared and pool.labels.get(ID) != owner
        if foreign and version.minor - pool.served.minor > MOST_MINORS_BEHIND:
            return (
                f"node pool {pool.name}, which Atoll did not make, runs v{pool.version}: GKE does not move the control "
                f"plane to {version} before it has followed. Upgrade or remove it"
            )
    return ""


def _has_bounds(autoscaling: Mapping[str, Any], wanted: Pool) -> bool:
    bounds = (int(autoscaling.get("totalMinNodeCount") or 0), int(autoscaling.get("totalMaxNodeCount") or 0))
    return bool(autoscaling.get("enabled")) and bounds == (wanted.min_size, wanted.max_size)


def _tell_bounds(autoscaling: Mapping[str, Any]) -> str:
    if not autoscaling.get("enabled"):
        return "no autoscaling"
    if autoscaling.get("totalMaxNodeCount"):
        return f"{autoscaling.get('totalMinNodeCount') or 0} to {autoscaling['totalMaxNodeCount']} nodes"
    return f"{autoscaling.get('minNodeCount') or 0} to {autoscaling.get('maxNodeCount') or 0} nodes in each zone"


def _switch(on: bool) -> str:
    return "on" if on else "off"
