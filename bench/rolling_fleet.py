"""The fleet that is rolled, and what one rollout of it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from atoll.fleet.cluster import ProviderInfo
from atoll.fleet.spec import ClusterSet, Member, Meta, ProviderBlock, Upgrade, Wave
from atoll.fleet.values import Selector, Share, Version, freeze

START: Final = datetime(2026, 11, 21, tzinfo=UTC)
PROVIDER: Final = ProviderInfo(name="local", has_nodes=False, can_revert=True)
VERSIONS: Final = tuple(Version.parse(text) for text in ("v1.34.9", "v1.35.8", "v1.36.4", "v1.37.1"))
WAVES: Final = {"first": 1, "early": 9, "many": 40, "rest": 50}
"""Percent of the clusters in each wave."""

PASS_SECONDS: Final = 1.0
"""From one decision to the next at least: events are collected for half a second, then decided about and written."""
LOOK_SECONDS: Final = 2.0
"""What a preflight takes."""
VERIFY_SECONDS: Final = 6.0
DOWN_SECONDS: Final = 30.0
"""How long a crashed operator is away."""
BLIND_SECONDS: Final = 5.0
"""How long it knows no cluster after its return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a fleet is like."""

    clusters: int = 1000
    window: int = 50
    soak_seconds: int = 60
    budget_percent: int = 5
    median_seconds: float = 60.0
    sigma: float = 0.5
    """Between clusters, in logarithms."""
    noise: float = 0.1
    """Between two changes of one cluster, in logarithms."""


def build_set(shape: Shape, version: Version) -> ClusterSet:
    """Write the set, its members in four waves."""
    members: list[Member] = []
    for wave, percent in WAVES.items():
        labels, first = freeze({"wave": wave}), len(members)
        members += [Member(name=f"c{first + n:04}", labels=labels) for n in range(shape.clusters * percent // 100)]
    waves = tuple(
        Wave(
            name=wave,
            selector=Selector(match_labels=freeze({"wave": wave})),
            max_concurrent=Share(shape.window),
            soak_seconds=shape.soak_seconds,
        )
        for wave in WAVES
    )
    return ClusterSet(
        meta=Meta(name="s", namespace="fleet", uid="uid-s"),
        version=version,
        provider=ProviderBlock(kind="local"),
        members=tuple(members),
        upgrade=Upgrade(
            waves=waves, max_concurrent=Share(shape.window), failure_budget=Share(shape.budget_percent, percent=True)
        ),
    )


@dataclass(slots=True)
class Tally:
    """What one rollout came to."""

    seconds: float = 0.0
    bound: float = 0.0
    """No schedule is shorter: waves one after another, in each the longest change or the work shared out evenly."""
    batches: float = 0.0
    """The same changes in batches of fixed members, each begun when the one before is through."""
    state: str = ""
    failures: int = 0
    late_starts: int = 0
    """Changes begun although the failure budget was exceeded."""
    most_moving: int = 0
    child_writes: int = 0
    child_transitions: int = 0
    rollout_writes: int = 0
    row_transitions: int = 0
    idle_writes: int = 0
    """Writes of a decision after which nothing had happened."""
    looks: int = 0
    """Preflights of single clusters."""
    widest: float = 0.0
    """The widest range that was told of a change, over its median."""
    grade: Mapping[str, Any] = field(default_factory=dict)
    """What the rollout's status says about its forecasts."""
    gaps: list[float] = field(default_factory=list)
    """For each place that was given to the next cluster: how long it stood empty."""
    cpu: list[float] = field(default_factory=list)
    """Seconds of each decision."""
