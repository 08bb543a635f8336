"""Status of a HostPool and of its Hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from atoll.fleet import reasons
from atoll.fleet.conditions import Condition, common, join_first, no, settle, unknown, yes
from atoll.fleet.decisions import Problem
from atoll.fleet.hosts import Host, HostDecision, HostFacts, HostJudgement, HostPool, HostState, HostView
from atoll.fleet.values import thaw

DISK_STEP_BYTES: Final = 1_000_000_000
"""Free space is told in whole steps, so that a log file that grows is no news."""
NAMED: Final = 3


def summarise_host(host: Host, view: HostView | None, judged: HostJudgement, now: datetime) -> dict[str, Any]:
    """Say how a host is."""
    status: dict[str, Any] = {"observedGeneration": host.meta.generation, "state": str(judged.state)}
    facts = view.facts if view is not None else None
    if facts is not None:
        status["facts"] = _write_facts(facts, host.status.get("facts", {}))
        if facts.image_version:
            status["imageVersion"] = facts.image_version
    else:
        status |= {key: thaw(host.status[key]) for key in ("facts", "imageVersion") if key in host.status}
    fingerprint = (view.fingerprint if view is not None else "") or host.status.get("hostKeyFingerprint", "")
    if fingerprint:
        status["hostKeyFingerprint"] = fingerprint
    if judged.message:
        status["message"] = judged.message[:1024]
    conditions = common(ready=_ready(judged), available=_available(judged), working=_working(judged))
    status["conditions"] = settle(conditions, host.status.get("conditions", ()), host.meta.generation, now)
    return status


def _ready(judged: HostJudgement) -> Condition:
    if not judged.known:
        return unknown("Ready", judged.reason, judged.message)
    return yes("Ready", judged.reason) if judged.usable else no("Ready", judged.reason, judged.message)


def _available(judged: HostJudgement) -> Condition:
    if not judged.known:
        return unknown("Available", judged.reason, judged.message)
    free = judged.state is HostState.AVAILABLE
    return yes("Available", reasons.AVAILABLE) if free else no("Available", judged.reason, judged.message)


def _working(judged: HostJudgement) -> str:
    return "" if judged.usable else judged.message or f"{judged.state}"


def _write_facts(facts: HostFacts, before: Mapping[str, Any]) -> dict[str, Any]:
    written = {
        "os": facts.os[:253],
        "kernel": facts.kernel[:63],
        "architecture": facts.architecture,
        "cpus": facts.cpus,
        "memory": str(facts.memory),
        "diskFree": _write_size(facts.disk_free, before.get("diskFree", "")),
        "cgroupVersion": facts.cgroup_version,
        "containerRuntime": facts.container_runtime[:63],
        "machineID": facts.machine_id,
    }
    return {key: value for key, value in written.items() if value != ""}


def _write_size(size: int, before: str) -> str:
    """Tell a size in whole steps; one that wavers around a step is not told again and again."""
    told = before.removesuffix("G")
    if told.isdigit() and abs(size - int(told) * DISK_STEP_BYTES) < 2 * DISK_STEP_BYTES:
        return before
    return f"{size // DISK_STEP_BYTES}G"


def summarise_host_pool(
    pool: HostPool,
    hosts: Sequence[Host],
    decision: HostDecision,
    problems: Sequence[Problem],
    *,
    paused: str,
    now: datetime,
) -> dict[str, Any]:
    """Say how a pool is: its hosts, summed up."""
    judged = {host.name: decision.judgements[host.name] for host in hosts}
    states = [entry.state for entry in judged.values()]
    status: dict[str, Any] = {
        "observedGeneration": pool.meta.generation,
        "hosts": {
            "total": len(pool.hosts),
            "available": states.count(HostState.AVAILABLE),
            "claimed": sum(1 for host in hosts if host.claim is not None),
            "quarantined": states.count(HostState.QUARANTINED),
        },
    }
    ready = _pool_ready(pool, judged, problems)
    free = states.count(HostState.AVAILABLE)
    available = (
        yes("Available", reasons.AVAILABLE, f"{free} host(s) may be claimed")
        if free
        else no("Available", reasons.HOSTS_LACKING, "no host may be claimed")
    )
    conditions = common(
        ready=ready, available=available, paused=paused, working="" if ready.status == "True" else ready.message
    )
    status["conditions"] = settle(conditions, pool.status.get("conditions", ()), pool.meta.generation, now)
    return status


def _pool_ready(pool: HostPool, judged: Mapping[str, HostJudgement], problems: Sequence[Problem]) -> Condition:
    if problems:
        return no("Ready", problems[0].reason, problems[0].message)
    if pool.meta.deleting:
        held = sum(1 for entry in judged.values() if entry.state is not HostState.AVAILABLE)
        return no("Ready", reasons.DELETING, f"{held} of its hosts are still in use" if held else "it is being deleted")
    bad = sorted(name for name, entry in judged.items() if entry.state is HostState.QUARANTINED)
    if bad:
        told = join_first([f"{name}: {judged[name].message}" for name in bad], NAMED)
        return no("Ready", judged[bad[0]].reason, told)
    blind = sorted(name for name, entry in judged.items() if not entry.known)
    waiting = [pool.host_object(host.name) for host in pool.hosts if pool.host_object(host.name) not in judged]
    if waiting or blind:
        silent = [name for name in blind if judged[name].reason == reasons.UNREACHABLE]
        if silent:
            told = "; ".join(f"{name}: {judged[name].message}" for name in silent[:NAMED])
            return unknown("Ready", reasons.UNREACHABLE, told)
        return no("Ready", reasons.PROGRESSING, f"{', '.join([*waiting, *blind][:NAMED])}: being probed")
    return yes("Ready", reasons.READY)
