"""What the operator is made of: one frozen context, built once by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from atoll.fleet.gates import GateReading, MetricQuestion
from atoll.fleet.hosts import HostView
from atoll.kube.events import EventRecorder
from atoll.kube.member import MemberClient
from atoll.kube.store import Store
from atoll.ports import Clock, Provider

from .metrics import Metrics

FIELD_MANAGER: Final = "atoll"
STATUS_MANAGER: Final = "atoll-status"
FINALIZER_MANAGER: Final = "atoll-finalizer"
"""One field manager per concern: what one of them stops naming is removed, and nothing else."""


Probe = Callable[[str, str, str], Awaitable[HostView]]


AskMetric = Callable[[MetricQuestion, str], Awaitable[GateReading]]


class SystemClock:
    """The clock on the wall."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the operator works; every number has a flag of `atoll run`."""

    resync_seconds: float = 10.0
    """How often each child is looked at although nothing has happened."""
    relist_seconds: float = 300.0
    """How often our own objects are listed anew, in case a watch lost an event."""
    operation_seconds: float = 0.5
    """How often a child is looked at while long work is under way."""
    probe_seconds: float = 30.0
    """How often a host is probed that is free or at work; others are probed ten times as often."""
    observe_seconds: float = 4.0
    """How long a child may take to answer before it counts as silent."""
    debounce_seconds: float = 0.1
    """How long to wait for more events before deciding; twenty changes are one decision."""
    debounce_limit_seconds: float = 0.5
    namespaces: tuple[str, ...] = ()
    """Fleets to serve; empty: all."""
    allow_cloud_endpoints: bool = False
    """Whether a credentials Secret may name another address than its cloud's own."""
    cloud_poll_seconds: float = 10.0
    """How often a cloud is asked about a cluster that it is working on."""
    cloud_resync_seconds: float = 60.0
    """How often a cloud is asked about a cluster although nothing has happened."""
    health_port: int = 0
    """Port of /healthz, /readyz and /metrics; 0: none."""
    health_address: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything that acting needs."""

    settings: Settings
    store: Store
    """The management plane."""
    providers: Mapping[str, Provider]
    connect: Callable[[str], MemberClient]
    """Opens a child from its kubeconfig (secret)."""
    recorder: EventRecorder
    hub_uid: str
    clock: Clock = field(default_factory=SystemClock)
    metrics: Metrics = field(default_factory=Metrics)
    foreign_blocks: tuple[str, ...] = ()
    """Address blocks of this machine, which no child may use."""
    ask_metric: AskMetric | None = None
    """Asks one question of a metric gate with a token; None: this operator asks nobody."""
    probe: Probe | None = None
    """Looks at one host, by fleet, pool and name; None: this operator reaches no hosts."""
