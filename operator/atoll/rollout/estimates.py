"""How long changes will take, each with a range that holds about 80 % of such changes, learnt from history alone.

Durations are positive and differ by factors, so all is computed in logarithms: one duration is the set's usual one,
times how slow its cluster is, times noise. A cluster's own mean is drawn to its set's by as much as the number of its
observations leaves open (empirical Bayes); a range answers for the noise, and for what is not known of the cluster and
of the set. That a cluster once stood still for a day is no reason to doubt the others, so spreads and the set's mean
are robust. Scale is free: where everything takes ten times as long, ten times as long is forecast.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import NormalDist, median
from typing import Any, Final

from atoll.fleet.cluster import OperationType, ProviderInfo
from atoll.fleet.decisions import RolloutRow, WaveStatus
from atoll.fleet.observed import ChildCluster, RolloutWave
from atoll.fleet.snapshot import Fleet

from .states import FINISHED, MOVING

UNKNOWN_SECONDS: Final = 40.0
"""How long a hop takes where not even its provider is known."""

NORMAL: Final = NormalDist()
REACH: Final = 1.2816
"""Standard deviations to either side that hold 80 % of a normal distribution."""
CAREFUL_REACH: Final = 1.4395
"""The same for 85 %: what is estimated is never as good as what is known, so this much is added while it is cheap."""
NARROW: Final = 0.4812
"""Half width, in logarithms, of a range that is as wide as its median: asinh(1/2), rounded down."""

NOISE: Final = 0.25
"""Noise between two changes of one cluster, in logarithms, as long as nobody has seen two."""
NOISE_WEIGHT: Final = 3
"""How many observations that is worth."""
LEAST_NOISE: Final = 0.05
"""No range is narrower than this allows: durations are kept in whole seconds, and the past is only the past."""
DIFFERENCE: Final = 0.4
"""Difference between clusters of one set, as long as nobody has seen two."""
DIFFERENCE_WEIGHT: Final = 2
IGNORANCE: Final = 0.9
"""How far a provider's usual time may be from a set's usual duration where nothing is remembered."""

CLIP: Final = 2.5
"""Deviations count this many times the usual one at most."""
CLIPPED_VARIANCE: Final = 0.9776
"""Mean square of a standard normal variable that is clipped there."""
INNER_QUANTILE: Final = 0.7
INNER_REACH: Final = 1.0364
"""That share of a normal distribution lies within so many standard deviations."""
LEAST_SECONDS: Final = 0.5
"""What a change took that is remembered as 0 seconds."""

DRAWS: Final = 3000
"""About so many durations are drawn for the forecast of a rollout, in pairs of scenarios that mirror each other."""
FEWEST_PAIRS: Final = 5
MOST_PAIRS: Final = 16
STRATA: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What to expect, in seconds: the middle, and a range that holds about 80 % of such changes."""

    seconds: float
    low: float
    high: float
    shared: float = 0.0
    """How much of the doubt all clusters of the set have in common: a standard deviation in logarithms."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one cluster remembers of one kind of change, in logarithms."""

    count: int
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What a set remembers of one kind of change, in logarithms."""

    mean: float
    mean_variance: float
    noise_variance: float
    noise_freedom: int
    """Degrees of freedom of that variance."""
    cluster_variance: float
    clusters: Mapping[str, _Seen] = field(default_factory=dict)

    def estimate(self, seen: _Seen | None, hops: int) -> Estimate:
        own = seen.count / (seen.count + self.noise_variance / self.cluster_variance) if seen is not None else 0.0
        mean = self.mean if seen is None else self.mean + own * (seen.mean - self.mean)
        shared = (1 - own) ** 2 * self.mean_variance
        unknown = (1 - own) * self.cluster_variance
        # Several hops one after another: each has noise of its own, and they even out.
        noise = math.log1p(math.expm1(self.noise_variance) / hops)
        middle = mean + math.log(hops) + (self.noise_variance - noise) / 2
        doubt = 1 + (REACH**2 + 1) / (4 * self.noise_freedom)
        return _spread(middle, math.sqrt(noise + unknown + shared) * doubt, math.sqrt(shared))


class Estimates:
    """How long changes of one set take. Built once for a decision."""

    __slots__ = ("_hops", "_settings")

    def __init__(self, hops: _Kind, settings: _Kind) -> None:
        self._hops = hops
        self._settings = settings

    @classmethod
    def learn(cls, children: Iterable[ChildCluster], info: ProviderInfo | None = None) -> Estimates:
        """Learn from the histories of one set's children: changes that succeeded, those of settings alone apart.

        `info`: of their provider, which knows what is usual where nothing is remembered.
        """
        usual = info.usual_seconds if info is not None else UNKNOWN_SECONDS
        hops: dict[str, list[float]] = {}
        settings: dict[str, list[float]] = {}
        for child in children:
            for entry in child.history:
                seconds = _read_seconds(entry)
                if seconds is not None:
                    kind = settings if entry.get("from") == entry.get("to") else hops
                    kind.setdefault(child.name, []).append(math.log(seconds))
        known = _learn_kind(hops or settings, usual)
        return cls(known, _learn_kind(settings, usual) if settings and hops else known)

    @classmethod
    def of_set(cls, fleet: Fleet, set_name: str, provider: str) -> Estimates:
        """Learn from all that the clusters of one set remember."""
        return cls.learn(fleet.children_of(set_name), fleet.providers.get(provider))

    def of(self, child: ChildCluster | None, hops: int = 1) -> Estimate:
        """Return how long a child's change takes; 0 hops: of its settings alone; None: of a cluster without a past."""
        kind = self._hops if hops > 0 else self._settings
        return kind.estimate(kind.clusters.get(child.name) if child is not None else None, max(1, hops))


def forecast_waves(
    waves: Sequence[tuple[RolloutWave, WaveStatus]],
    rows: Sequence[RolloutRow],
    estimates: Mapping[str, Estimate],
    set_limit: int,
    *,
    spent: Mapping[str, float] | None = None,
    waits: Mapping[str, float] | None = None,
) -> Estimate:
    """Return how much time is left: wave after wave, longest first, each soak in full.

    `estimates` and `spent` by member name, `spent`: the seconds that rows under way have had; `waits` by wave: seconds
    from now until it may start.
    """
    nobody = Estimates.learn(()).of(None)
    left = [row for row in rows if row.state not in FINISHED]
    known = {row.cluster: estimates.get(row.cluster, nobody) for row in left}
    plan = [
        _plan_wave(wave, [row for row in left if row.wave == wave.name], known, set_limit, spent or {}, waits or {})
        for wave, status in waves
        if status.state != "Done"
    ]
    count = sum(len(wave.jobs) for wave in plan)
    pairs = min(MOST_PAIRS, max(FEWEST_PAIRS, DRAWS // (2 * max(1, count))))
    table = [NORMAL.inv_cdf((index + 0.5) / STRATA) for index in range(STRATA)]
    common = [NORMAL.inv_cdf(0.5 + (pair + 0.5) / (2 * pairs)) for pair in range(pairs)]
    ends = [_play(plan, table, sign, sign * common[pair], pair) for pair in range(pairs) for sign in (1.0, -1.0)]
    longest = max(ends)
    if longest <= 0:
        return Estimate(seconds=0.0, low=0.0, high=0.0)
    logs = [math.log(max(end, 1e-3 * longest)) for end in ends]
    middle = math.fsum(logs) / len(logs)
    variance = math.fsum((value - middle) ** 2 for value in logs) / len(logs)
    return _spread(middle, math.sqrt(variance), 0.0)


@dataclass(frozen=True, slots=True)
class _Job:
    """One row that is not over: logarithms of its duration, own and shared doubt, and what it has had of it."""

    middle: float
    own: float
    shared: float
    spent: float
    moving: bool


@dataclass(frozen=True, slots=True)
class _WavePlan:
    jobs: Sequence[_Job]
    places: int
    soak: float
    wait: float


def _plan_wave(
    wave: RolloutWave,
    rows: Sequence[RolloutRow],
    estimates: Mapping[str, Estimate],
    set_limit: int,
    spent: Mapping[str, float],
    waits: Mapping[str, float],
) -> _WavePlan:
    jobs = []
    for row in sorted(rows, key=lambda row: (row.state not in MOVING, -estimates[row.cluster].seconds, row.cluster)):
        estimate = estimates[row.cluster]
        doubt = math.log(estimate.high / estimate.low) / (2 * REACH) if 0 < estimate.low < estimate.high else 0.0
        job = _Job(
            math.log(max(estimate.seconds, 1e-9)),
            math.sqrt(max(0.0, doubt**2 - estimate.shared**2)),
            min(doubt, estimate.shared),
            max(0.0, spent.get(row.cluster, 0.0)),
            row.state in MOVING or row.cluster in spent,
        )
        jobs.append(job)
    return _WavePlan(jobs, max(1, min(wave.max_concurrent, set_limit)), wave.soak_seconds, waits.get(wave.name, 0.0))


def _play(plan: Sequence[_WavePlan], table: Sequence[float], sign: float, common: float, seed: int) -> float:
    """Play one scenario to its end. The numbers look random and are not: the same question has the same answer."""
    state = (seed + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    clock = 0.0
    for wave in plan:
        clock = max(clock, wave.wait)
        under_way: list[float] = []
        waiting: list[float] = []
        for job in wave.jobs:
            state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
            middle = job.middle + job.shared * common
            z = sign * table[state >> 54]
            if job.spent:
                under_way.append(_draw_rest(middle, job.own, job.spent, z))
            else:
                (under_way if job.moving else waiting).append(math.exp(middle + job.own * z))
        # Who is under way already may be more than are allowed now; the next one starts when enough are through.
        places = heapq.nlargest(wave.places, under_way) + [0.0] * (wave.places - len(under_way))
        heapq.heapify(places)
        for seconds in waiting:
            heapq.heapreplace(places, places[0] + seconds)
        clock += max(places) + wave.soak
    return clock


def _draw_rest(middle: float, doubt: float, spent: float, z: float) -> float:
    """Return how long a change goes on that has taken `spent` already: whoever is late is expected to stay late."""
    if doubt <= 0:
        return max(0.0, math.exp(middle) - spent)
    begun = (math.log(spent) - middle) / doubt
    left = NORMAL.cdf(-begun)
    if left < 1e-9:
        return 0.1 * spent
    return max(0.0, math.exp(middle - doubt * NORMAL.inv_cdf(left * NORMAL.cdf(-z))) - spent)


def _learn_kind(seen: Mapping[str, Sequence[float]], usual: float) -> _Kind:
    if not seen:
        return _Kind(
            mean=math.log(usual),
            mean_variance=IGNORANCE**2,
            noise_variance=NOISE**2,
            noise_freedom=NOISE_WEIGHT,
            cluster_variance=DIFFERENCE**2,
        )
    clusters = {name: _Seen(len(values), _locate(values)) for name, values in seen.items()}
    means = [cluster.mean for cluster in clusters.values()]
    centre = _find_centre(means)
    between = _square([mean - centre for mean in means]) * len(means) / max(1, len(means) - 1)
    # Two neighbours in a history differ by noise alone, whatever their cluster is like.
    steps = [(later - earlier) / math.sqrt(2) for values in seen.values() for earlier, later in pairwise(values)]
    usual = min(NOISE**2, between) if len(means) > DIFFERENCE_WEIGHT + NOISE_WEIGHT else NOISE**2
    noise = (len(steps) * _square(steps) + NOISE_WEIGHT * usual) / (len(steps) + NOISE_WEIGHT)
    noise = max(noise, LEAST_NOISE**2)
    averaged = noise * math.fsum(1 / cluster.count for cluster in clusters.values()) / len(means)
    freedom = len(means) - 1
    cluster = (freedom * max(0.0, between - averaged) + DIFFERENCE_WEIGHT * DIFFERENCE**2) / (
        freedom + DIFFERENCE_WEIGHT
    )
    return _Kind(
        mean=centre,
        mean_variance=(cluster + averaged) / len(means),
        noise_variance=noise,
        noise_freedom=len(steps) + NOISE_WEIGHT,
        cluster_variance=cluster,
        clusters=clusters,
    )


def _read_seconds(entry: Mapping[str, Any]) -> float | None:
    """Return how long a change took that succeeded; None: it is something else, or cannot be read."""
    if entry.get("result") != "Succeeded" or entry.get("type", OperationType.CHANGE) != OperationType.CHANGE:
        return None
    seconds = entry.get("seconds")
    if not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        return None
    return max(float(seconds), LEAST_SECONDS)


def _locate(values: Sequence[float]) -> float:
    """Return the mean of a few values; from three on, of those in the middle."""
    if len(values) < 3:
        return math.fsum(values) / len(values)
    return _find_centre(values)


def _find_centre(values: Sequence[float]) -> float:
    """Return a mean in which what is far off counts as if it were only somewhat off."""
    middle = median(values)
    deviations = [value - middle for value in values]
    reach = 1.5 * math.sqrt(_square(deviations))
    return middle + math.fsum(min(reach, max(-reach, deviation)) for deviation in deviations) / len(values)


def _square(deviations: Sequence[float]) -> float:
    """Return the mean square of deviations from 0; one absurd deviation counts as a great one."""
    if not deviations:
        return 0.0
    sizes = sorted(abs(deviation) for deviation in deviations)
    # The greatest is never asked, where there are others: it may be the absurd one.
    inner = sizes[min(int(INNER_QUANTILE * len(sizes)), max(0, len(sizes) - 2))]
    clip = CLIP * max(inner / INNER_REACH, LEAST_NOISE)
    return math.fsum(min(size, clip) ** 2 for size in sizes) / len(sizes) / CLIPPED_VARIANCE


def _spread(middle: float, doubt: float, shared: float) -> Estimate:
    """Write a middle and a standard deviation, both in logarithms, as an Estimate.

    While that makes the range no wider than its median, it is made to hold a little more than 80 %.
    """
    reach = max(REACH * doubt, min(CAREFUL_REACH * doubt, NARROW))
    seconds = math.exp(middle)
    return Estimate(seconds=seconds, low=seconds * math.exp(-reach), high=seconds * math.exp(reach), shared=shared)
