"""From bodies to values, as far as staged changes are concerned: waves, gates, windows, Rollouts and Approvals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from atoll.errors import BadInput
from atoll.fleet import observed, spec, values
from atoll.fleet.gates import Approval

from . import regime, rollout
from .convert_parts import convert_meta, convert_selector, freeze_model, freeze_status
from .meta import Window
from .parse import parse_as
from .upgrade import Gate, Upgrade, Wave

Body = Mapping[str, Any]


def convert_upgrade(upgrade: Upgrade) -> spec.Upgrade:
    """Convert `ClusterSet.spec.upgrade`; raises BadInput naming the field."""
    return spec.Upgrade(
        waves=tuple(_convert_wave(wave) for wave in upgrade.waves),
        max_concurrent=values.Share.parse(upgrade.max_concurrent),
        max_concurrent_per_region=upgrade.max_concurrent_per_region,
        failure_budget=values.Share.parse(upgrade.failure_budget),
        on_failure=upgrade.on_failure,
        windows=_convert_windows(upgrade.windows),
        retry=upgrade.retry,
    )


def convert_regime_upgrade(upgrade: regime.RegimeUpgrade) -> spec.RegimeUpgrade:
    """Convert `Regime.spec.upgrade`."""
    return spec.RegimeUpgrade(
        min_soak_seconds=upgrade.min_soak_seconds,
        approvals=upgrade.approvals,
        windows=_convert_windows(upgrade.windows),
    )


def convert_rollout(body: Body) -> observed.Rollout:
    """Convert a Rollout; raises BadInput naming the field."""
    parsed = parse_as(rollout.Rollout, body, status=False)
    wanted = parsed.spec
    return observed.Rollout(
        meta=convert_meta(parsed.metadata),
        set_name=wanted.set_name,
        target_version=values.Version.parse(wanted.target.version),
        target_revision=wanted.target.revision,
        retry=wanted.target.retry,
        requested_by=wanted.requested_by,
        action=wanted.action,
        waves=tuple(
            observed.RolloutWave(
                name=wave.name,
                clusters=wave.clusters,
                max_concurrent=wave.max_concurrent,
                soak_seconds=wave.soak_seconds,
                min_soak_seconds=wave.min_soak_seconds,
                gates=wave.gates,
            )
            for wave in wanted.waves
        ),
        status=freeze_status(body),
    )


def convert_approval(body: Body) -> Approval:
    """Convert an Approval; raises BadInput naming the field."""
    parsed = parse_as(rollout.Approval, body, status=False)
    wanted = parsed.spec
    return Approval(
        meta=convert_meta(parsed.metadata),
        rollout=wanted.rollout_ref.name,
        rollout_uid=wanted.rollout_ref.uid,
        wave=wanted.wave,
        gate=wanted.gate,
        username=wanted.approver.username,
        groups=wanted.approver.groups,
    )


def _convert_windows(windows: Iterable[Window]) -> tuple[spec.Window, ...]:
    return tuple(
        spec.Window(cron=window.cron, duration_minutes=window.duration_minutes, time_zone=window.time_zone)
        for window in windows
    )


def _convert_wave(wave: Wave) -> spec.Wave:
    selector = convert_selector(wave.cluster_selector, f"spec.upgrade.waves[{wave.name}].clusterSelector")
    assert selector is not None
    return spec.Wave(
        name=wave.name,
        selector=selector,
        max_concurrent=values.Share.parse(wave.max_concurrent),
        soak_seconds=wave.soak_seconds,
        min_soak_seconds=wave.min_soak_seconds,
        gates=tuple(_convert_gate(gate, wave.name) for gate in wave.gates),
    )


def _convert_gate(gate: Gate, wave: str) -> spec.Gate:
    there = [kind for kind in ("approval", "metric", "job") if getattr(gate, kind) is not None]
    if len(there) != 1:
        path = f"spec.upgrade.waves[{wave}].gates[{gate.name}]"
        raise BadInput(
            f"{path} must have exactly one of approval, metric, job; it has {' and '.join(there) or 'none'}.",
            field=path,
        )
    return spec.Gate(name=gate.name, kind=there[0], settings=freeze_model(getattr(gate, there[0])))
