"""The block `aks` in types, and what is wrong with it in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Final

from atoll.errors import BadInput
from atoll.ports import Finding

PATH: Final = "spec.provider.aks"
NODE_PREFIX: Final = 24
"""What Azure's overlay network takes of the pod block for each node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One agent pool as wanted."""

    name: str
    vm_size: str
    mode: str
    min_size: int
    max_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a cluster is."""

    subscription: str
    group: str
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The block."""

    place: Place
    is_private: bool
    """Its API server has no public address."""
    pools: tuple[Pool, ...]
    """Those for the cluster's own pods first: one of them must be there at every moment."""


def parse_place(settings: Mapping[str, Any]) -> Place:
    """Read where a cluster is, whatever else the block says: what cannot be used can still be looked at and deleted."""
    _raise_first(_find_place_problems(settings))
    return Place(
        subscription=str(settings["subscriptionID"]),
        group=str(settings["resourceGroup"]),
        location=str(settings["location"]),
    )


def parse_settings(settings: Mapping[str, Any]) -> Settings:
    """Read the block; raises BadInput for the first field that cannot be used."""
    _raise_first(find_problems(settings))
    return _build_settings(settings)


def find_problems(settings: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Find all that is missing in the block, or contradicts itself."""
    found = _find_place_problems(settings)
    access = settings.get("endpointAccess") or {}
    if not access.get("public", False) and not access.get("private", True):
        found.append(
            _tell("endpointAccess", f"{PATH}.endpointAccess leaves the API server to nobody: set public or private")
        )
    return (*found, *_find_pool_problems(settings.get("agentPools") or ()))


def _raise_first(findings: Iterable[Finding]) -> None:
    for finding in findings:
        raise BadInput(finding.message, field=finding.field)


def _find_place_problems(settings: Mapping[str, Any]) -> list[Finding]:
    return [
        _tell(name, f"{PATH}.{name} is not set: {remedy}")
        for name, remedy in (
            ("subscriptionID", "write the id of the Azure subscription"),
            ("resourceGroup", "write the resource group that the cluster shall be in; it must be there already"),
            ("location", "write the Azure region, such as westeurope"),
        )
        if not settings.get(name)
    ]


def check_pod_network(settings: Settings, pod_cidr: str) -> tuple[Finding, ...]:
    """Find out whether all nodes, and those of a surge, get their part of the pod block."""
    if not pod_cidr:
        return ()
    block = IPv4Network(pod_cidr)
    room = 2 ** max(0, NODE_PREFIX - block.prefixlen) if block.prefixlen <= NODE_PREFIX else 0
    # A pool that surges by a third has a third more nodes for a while; pools go one after the other.
    need = sum(pool.max_size for pool in settings.pools) + max(-(-pool.max_size // 3) for pool in settings.pools)
    if need <= room:
        return ()
    message = (
        f"the pod network {pod_cidr} has room for {room} nodes (Azure gives a /{NODE_PREFIX} to each), and {PATH}."
        f"agentPools may grow to {need}, those of an upgrade included: lower maxSize, or write a smaller "
        "spec.network.podPrefixLength"
    )
    return (Finding(reason="InvalidSpec", message=message, field=f"{PATH}.agentPools"),)


def _find_pool_problems(pools: Any) -> list[Finding]:
    found = []
    if not any(_mode(pool) == "System" and int(pool.get("maxSize", 0)) > 0 for pool in pools):
        message = f"{PATH}.agentPools has no pool of mode System, which AKS runs its own pods on: add one"
        found.append(_tell("agentPools", message))
    names = [pool.get("name") for pool in pools]
    for pool in pools:
        where, name = f"agentPools[{pool.get('name')}]", pool.get("name")
        if names.count(name) > 1:
            found.append(_tell(where, f"{PATH}.agentPools has {name} twice: give each pool a name of its own"))
            names.remove(name)
        if not pool.get("vmSize"):
            found.append(_tell(f"{where}.vmSize", f"{PATH}.{where}.vmSize is not set: write a size of machine"))
        least, most = int(pool.get("minSize", 0)), int(pool.get("maxSize", 0))
        if _mode(pool) == "System" and least < 1:
            message = f"{PATH}.{where}.minSize is {least}, and a System pool needs at least 1 node: write 1 or more"
            found.append(_tell(f"{where}.minSize", message))
        if most < max(least, 1):
            message = f"{PATH}.{where}.maxSize is {most}, below minSize or 1: raise it"
            found.append(_tell(f"{where}.maxSize", message))
    return found


def _mode(pool: Mapping[str, Any]) -> str:
    return str(pool.get("mode") or "System")


def _tell(field: str, message: str) -> Finding:
    return Finding(reason="InvalidSpec", message=message, field=f"{PATH}.{field}")


def _build_settings(settings: Mapping[str, Any]) -> Settings:
    pools = tuple(
        Pool(
            name=str(pool["name"]),
            vm_size=str(pool["vmSize"]),
            mode=_mode(pool),
            min_size=int(pool.get("minSize", 0)),
            max_size=int(pool["maxSize"]),
        )
        for pool in settings.get("agentPools") or ()
    )
    return Settings(
        place=parse_place(settings),
        # Azure has one address, public or private; the public one is reached from inside the cloud network too.
        is_private=not (settings.get("endpointAccess") or {}).get("public", False),
        pools=tuple(sorted(pools, key=lambda pool: pool.mode != "System")),
    )
