"""The composition root: from settings and a login to a running operator."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping

from atoll.embedded.surroundings import list_own_blocks
from atoll.kube.connect import Connection
from atoll.kube.credentials import TlsContexts
from atoll.kube.events import EventRecorder
from atoll.kube.kinds import NAMESPACE
from atoll.kube.member import MemberClient
from atoll.kube.store import Store
from atoll.kube.transport import Transport
from atoll.measure.prometheus import Prometheus
from atoll.ports import Clock, Provider
from atoll.providers.existing.provider import ExistingProvider
from atoll.providers.kubeadm.provider import KubeadmProvider

from .app import App
from .cache import Cache
from .context import Context, Settings, SystemClock
from .existing import MemberKubeconfigs
from .login import Login
from .machines import Machines
from .managed import build_managed
from .metrics import Metrics
from .surroundings import FleetSurroundings

ProvidersOf = Callable[[Clock], Mapping[str, Provider]]
Wrap = Callable[[Transport], Transport]
"""Puts something between us and an API server; tests end the operator there."""


async def run_operator(
    settings: Settings,
    connection: Connection,
    providers_of: ProvidersOf,
    *,
    transport: Callable[[Connection], Transport | None] = lambda _: None,
) -> None:
    """Run until SIGTERM or SIGINT, or until a watch is lost for good."""
    clock = SystemClock()
    contexts = TlsContexts()
    store = Store(connection, transport=transport(connection))
    cache = Cache()
    metrics = Metrics()
    machines = Machines(FleetSurroundings(store, cache, clock), clock)
    prometheus = Prometheus(clock)

    def connect(kubeconfig: str) -> MemberClient:
        return MemberClient(kubeconfig, contexts=contexts, transport=transport)

    try:
        kube_system = await store.get(NAMESPACE, None, "kube-system")
        context = Context(
            settings=settings,
            store=store,
            providers={
                "kubeadm": KubeadmProvider(machines.surroundings, machines.connections.get, clock=clock),
                **build_managed(store, cache, clock, settings, metrics),
                "existing": ExistingProvider(MemberKubeconfigs(store, cache), connect, contexts=contexts),
                **providers_of(clock),
            },
            connect=connect,
            recorder=EventRecorder(store, instance=socket.gethostname()),
            hub_uid=kube_system["metadata"]["uid"] if kube_system is not None else "",
            clock=clock,
            metrics=metrics,
            foreign_blocks=list_own_blocks(),
            ask_metric=lambda question, token: prometheus.ask(question, token=token),
            probe=machines.probe,
        )
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await App(context, Login(connection), cache).run(stop)
    finally:
        await prometheus.close()
        await machines.close()
        await store.close()
