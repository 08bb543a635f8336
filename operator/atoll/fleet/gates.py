"""What opens a gate between two waves: questions that are asked outside, and what came back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .spec import Meta


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's word for one gate of one Rollout; a policy has proved that it is their own."""

    meta: Meta
    rollout: str
    rollout_uid: str
    """A later Rollout of the same name is another."""
    wave: str
    gate: str
    username: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class GateKey:
    """Which gate: of which Rollout, by UID, at the end of which wave."""

    rollout_uid: str
    wave: str
    gate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricQuestion:
    """What a metric gate asks a Prometheus-compatible server, for as long as it is in the plan."""

    key: GateKey
    url: str
    """Of the server, without `/api/v1/query`."""
    query: str
    """PromQL that shall yield one number."""
    max: str
    """Greatest value with which the gate is open, as written in the spec: a decimal number."""
    interval_seconds: int
    secret_name: str = ""
    """Secret of the fleet with a bearer token under the key `token`; empty: none is sent."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuestion:
    """What a job gate runs in one changed cluster."""

    key: GateKey
    child: str
    """ChildCluster name."""
    manifests: str
    """ConfigMap of the fleet whose values are YAML documents."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReading:
    """One answer. An answer that cannot be trusted keeps the gate closed."""

    time: datetime
    """When it was asked."""
    open: bool
    cause: str
    """One word of a closed list: Below | Above | Empty | NotANumber | Several | Stale | Error | Running | Succeeded |
    Failed. While it stays the same a status keeps the first message."""
    message: str
    """What was found, for people: `0.024 is above 0.01`, and what to do where something is wrong."""
