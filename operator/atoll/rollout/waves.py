"""Waves: which members change together, frozen by name when a rollout begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from atoll.fleet.names import MEMBER_LABEL, SET_LABEL
from atoll.fleet.observed import RolloutWave
from atoll.fleet.spec import ClusterSet, Member, Regime

REGIME_PREFIX: Final = "regime-"
"""Of the names of gates that Regimes add; the API keeps people from using it."""
REST: Final = "rest"
"""Name of the last wave: whom no other wave selects, one by one."""


def freeze_waves(
    cluster_set: ClusterSet, members: tuple[str, ...], regimes: Iterable[Regime] = ()
) -> tuple[RolloutWave, ...]:
    """Divide members into waves: each goes to the first that selects it, the others last. Empty waves are dropped.

    A wave soaks for as long as the strictest regime wants that one of its members is attested for, and has a gate
    `regime-<name>` for each of them that wants approvals.
    """
    known = {regime.meta.name: regime for regime in regimes}
    left = sorted(name for name in set(members) if cluster_set.member(name) is not None)
    frozen: list[RolloutWave] = []
    for wave in cluster_set.upgrade.waves:
        taken = tuple(name for name in left if wave.selector.matches(_labels_of(cluster_set, name)))
        left = [name for name in left if name not in taken]
        if taken:
            frozen.append(
                RolloutWave(
                    name=wave.name,
                    clusters=taken,
                    max_concurrent=wave.max_concurrent.of(len(taken), least=1),
                    soak_seconds=wave.soak_seconds,
                    min_soak_seconds=wave.min_soak_seconds,
                    gates=tuple(gate.name for gate in wave.gates),
                )
            )
    if left:
        frozen.append(RolloutWave(name=_rest_name(cluster_set), clusters=tuple(left)))
    return tuple(_add_regimes(cluster_set, wave, known) for wave in frozen)


def _add_regimes(cluster_set: ClusterSet, wave: RolloutWave, known: Mapping[str, Regime]) -> RolloutWave:
    attested = {*cluster_set.regimes}
    for name in wave.clusters:
        member = cluster_set.member(name)
        attested |= set(member.regimes) if member is not None else set()
    rules = {name: known[name].upgrade for name in sorted(attested) if name in known}
    least = max((rule.min_soak_seconds for rule in rules.values()), default=0)
    return replace(
        wave,
        soak_seconds=max(wave.soak_seconds, least),
        min_soak_seconds=None if wave.min_soak_seconds is None else max(wave.min_soak_seconds, least),
        gates=(*wave.gates, *(f"{REGIME_PREFIX}{name}" for name, rule in rules.items() if rule.approvals)),
    )


def build_selector_labels(cluster_set: ClusterSet, member: Member) -> Mapping[str, str]:
    """Return what selectors of waves read: as on the member's ChildCluster."""
    place = {key: value for key, value in (("region", member.region), ("country", member.country)) if value}
    return {
        **place,
        **cluster_set.labels,
        **member.labels,
        SET_LABEL: cluster_set.meta.name,
        MEMBER_LABEL: member.name,
    }


def _labels_of(cluster_set: ClusterSet, name: str) -> Mapping[str, str]:
    member = cluster_set.member(name)
    return build_selector_labels(cluster_set, member) if member is not None else {}


def _rest_name(cluster_set: ClusterSet) -> str:
    """Return a name that no declared wave has: names of waves are keys in status."""
    names = {wave.name for wave in cluster_set.upgrade.waves}
    return next(name for name in (REST, *(f"{REST}-{n}" for n in range(2, len(names) + 3))) if name not in names)
