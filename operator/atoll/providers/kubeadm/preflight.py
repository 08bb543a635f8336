"""What stands in the way of an operation, found before anything moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from atoll.errors import AtollError, BadInput, Taken, VersionUnavailable
from atoll.fleet.cluster import Finding, OperationType
from atoll.fleet.values import Version
from atoll.hosts.access import HostAccess
from atoll.hosts.jobs import Host
from atoll.machines.demands import FIELD

from . import facts
from .bundle import read_bundle
from .configuration import is_address
from .merge import parse_overrides
from .surroundings import ClaimedHost, Surroundings
from .values import CONTROL_PLANE, Settings

NEEDED_DISK_BYTES: Final = 1_500_000_000
"""Images of a second version beside those of the first, their archives, a snapshot."""


def check_hop(served: str, target: str) -> tuple[Finding, ...]:
    """Refuse to go back, or more than one minor forward."""
    if not served or not target:
        return ()
    old, new = Version.parse(served), Version.parse(target)
    if new < old:
        return (_refuse_hop(f"{target} is older than {served}, which runs: kubeadm cannot go back"),)
    ahead = new.minor - old.minor
    if new.major == old.major and ahead in {0, 1}:
        return ()
    return (_refuse_hop(f"{target} is {ahead} minors ahead of {served}: go through v1.{old.minor + 1} first"),)


def check_hosts(claimed: Sequence[ClaimedHost], settings: Settings) -> tuple[Finding, ...]:
    """Refuse to begin with fewer hosts than were asked for, or with hosts that people have paused."""
    found = []
    first = [host for host in claimed if host.role == CONTROL_PLANE]
    workers = len(claimed) - len(first)
    if len(first) != 1 or workers < settings.worker_hosts:
        message = (
            f"{len(first)} control-plane host(s) and {workers} worker host(s) are claimed, and 1 and "
            f"{settings.worker_hosts} are needed: add hosts to the pool"
        )
        found.append(Finding(reason="HostsMissing", message=message, field=f"{FIELD}.hostPoolRef"))
    found += [
        Finding(
            reason="AddressRefused",
            message=f"host {host.access.name} has the address {host.access.address}: a node needs an IP address; "
            "write that into spec.hosts of the HostPool",
            field="spec.hosts[].address",
        )
        for host in claimed
        if not is_address(host.access.address)
    ]
    found += [
        Finding(reason="Paused", message=f"host {host.access.name} is paused: resume its HostPool")
        for host in claimed
        if host.paused
    ]
    return tuple(found)


async def check_bundle(settings: Settings, version: str) -> tuple[Finding, ...]:
    """Refuse a version that the bundle does not hold."""
    if not settings.bundle_path:
        return ()
    try:
        await asyncio.to_thread(read_bundle, Path(settings.bundle_path), version)
    except VersionUnavailable as error:
        return (Finding(reason=error.reason, message=str(error), field="spec.version"),)
    return ()


async def check_config_maps(surroundings: Surroundings, fleet: str, settings: Settings) -> tuple[Finding, ...]:
    """Refuse what people give by ConfigMaps and we cannot use."""
    try:
        if settings.config:
            parse_overrides(settings.config, await surroundings.config_map(fleet, settings.config))
        if settings.manifests and not await surroundings.config_map(fleet, settings.manifests):
            message = f"ConfigMap {settings.manifests} is empty: put the manifests of a pod network there"
            return (Finding(reason=BadInput.reason, message=message, field=f"{FIELD}.podNetwork.manifestsRef"),)
    except BadInput as error:
        return (Finding.of(error),)
    return ()


async def check_machines(
    cluster_id: str,
    claimed: Sequence[ClaimedHost],
    connect: Callable[[HostAccess], Host],
    kind: OperationType,
    target: str,
) -> tuple[Finding, ...]:
    """Ask each host: whose it is, how much room it has; for a change also whether the cluster is well."""
    found = await asyncio.gather(*(_check_machine(cluster_id, host, connect, kind, target) for host in claimed))
    return tuple(finding for findings in found for finding in findings)


async def _check_machine(
    cluster_id: str, claimed: ClaimedHost, connect: Callable[[HostAccess], Host], kind: OperationType, target: str
) -> tuple[Finding, ...]:
    try:
        host = connect(claimed.access)
        owner = await host.ask(facts.OWNER)
        if owner and owner != cluster_id:
            message = f"host {host.name} belongs to cluster {owner}, says its own journal: take it out of the pool"
            return (Finding(reason=Taken.reason, message=message),)
        found = []
        free = await host.ask(facts.FREE_BYTES)
        if kind in {OperationType.CREATE, OperationType.CHANGE} and free < NEEDED_DISK_BYTES:
            message = (
                f"host {host.name} has {free // 1_000_000} MB free below /var/lib, and "
                f"{NEEDED_DISK_BYTES // 1_000_000} are needed: free some"
            )
            found.append(Finding(reason="DiskFull", message=message))
        if kind is OperationType.CHANGE and claimed.role == CONTROL_PLANE:
            found += await _check_cluster(host, target)
        return tuple(found)
    except AtollError as error:
        return (Finding(reason=error.reason, message=str(error)),)
    except ValueError as error:
        return (Finding(reason="HostUnclear", message=f"host {claimed.access.name}: {error}"),)


async def _check_cluster(host: Host, target: str) -> list[Finding]:
    """Judge the cluster before a change: etcd answers, and no kubelet is too old for the target."""
    if not await host.ask(facts.ETCD_HEALTH):
        message = f"etcd of {host.name} is not well, or the API server does not answer: repair the cluster first"
        return [Finding(reason="EtcdUnhealthy", message=message)]
    found = []
    wanted = Version.parse(target)
    for node in await host.ask(facts.NODES):
        found += [
            Finding(reason=finding.reason, message=f"node {node.name}: {finding.message}", field=finding.field)
            for finding in check_hop(node.version, target)
            if Version.parse(node.version) < wanted
        ]
    return found


def _refuse_hop(message: str) -> Finding:
    return Finding(reason="HopRefused", message=message, field="spec.version")
