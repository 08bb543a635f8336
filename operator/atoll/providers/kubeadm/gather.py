"""All that an operation needs, read once at its beginning."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from atoll.errors import Refused
from atoll.hosts.access import HostAccess
from atoll.hosts.jobs import Host
from atoll.ports import Clock, Operation, OperationType, WantedCluster

from .bundle import Bundle, read_bundle
from .merge import parse_overrides
from .settings import parse_settings
from .surroundings import Surroundings
from .upgrading import DRAIN_SECONDS
from .values import CONTROL_PLANE, Cluster, Node
from .work import Work

BRINGING: Final = frozenset({OperationType.CREATE, OperationType.CHANGE})
"""Operations that bring programs and images along."""


async def gather_work(
    wanted: WantedCluster,
    operation: Operation,
    surroundings: Surroundings,
    connect: Callable[[HostAccess], Host],
    clock: Clock,
    *,
    drain_seconds: int = DRAIN_SECONDS,
) -> Work:
    """Gather all that an operation needs; what the wanted cluster says is read once, and not again half-way."""
    settings = parse_settings(wanted.settings)
    claimed = await surroundings.hosts(wanted.ref)
    deleting = operation.type is OperationType.DELETE
    overrides: Mapping[str, Mapping[str, Any]] = {}
    manifests: Mapping[str, str] = {}
    bundle: Bundle | None = None
    version = operation.to_version or wanted.version
    if not deleting:
        if settings.config:
            data = await surroundings.config_map(wanted.ref.fleet, settings.config)
            overrides = parse_overrides(settings.config, data)
        if settings.manifests:
            manifests = await surroundings.config_map(wanted.ref.fleet, settings.manifests)
    if operation.type in BRINGING:
        bundle = await asyncio.to_thread(read_bundle, Path(settings.bundle_path), version)
    nodes = tuple(
        Node(name=host.node_name, address=host.access.address, role=host.role)
        for host in sorted(claimed, key=lambda entry: (entry.role != CONTROL_PLANE, entry.node_name))
    )
    if sum(node.role == CONTROL_PLANE for node in nodes) != 1:
        raise Refused(f"{wanted.ref.name} has claimed no control-plane host: add hosts to the pool")
    return Work(
        cluster=Cluster(
            ref=wanted.ref,
            version=version,
            pod_cidr=wanted.pod_cidr,
            service_cidr=wanted.service_cidr,
            settings=settings,
            nodes=nodes,
            overrides=overrides,
            authentication=wanted.authentication,
        ),
        operation=operation,
        hosts={host.node_name: connect(host.access) for host in claimed},
        clock=clock,
        bundle=bundle,
        manifests=manifests,
        drain_seconds=drain_seconds,
    )
