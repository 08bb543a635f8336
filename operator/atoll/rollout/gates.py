"""Gates: what must be open before a wave ends, judged anew in every decision until it has ended.

The names of a wave's gates are frozen when the rollout begins; what they ask stands in the ClusterSet, or in a Regime.
A gate that was taken out of the ClusterSet meanwhile stays closed: otherwise whoever may edit the set could pass it
alone. Only a new rollout leaves it behind. Unknown is never open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from atoll.fleet.gates import Approval, GateKey, JobQuestion, MetricQuestion
from atoll.fleet.observed import RolloutWave
from atoll.fleet.spec import Gate

from .rows import Course, Verdict
from .stored import StoredGate
from .waves import REGIME_PREFIX

OPEN: Final = "Open"
CLOSED: Final = "Closed"
UNKNOWN: Final = "Unknown"
JOB_PACE: Final = timedelta(seconds=5)
"""How often somebody looks how a Job goes."""
STALE_AFTER: Final = timedelta(seconds=30)
"""How much older than two of its intervals an answer may be before it counts for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """How one gate stands now."""

    name: str
    state: str
    message: str
    questions: tuple[MetricQuestion | JobQuestion, ...] = ()
    """What has to be asked outside to know."""
    measured: bool = False
    """It is a measurement: while a wave soaks it is evidence, or an alert."""
    alert: bool = False
    """It was measured a moment ago, and was above its limit."""
    wake: datetime | None = None
    """When to ask again."""
    approvers: tuple[str, ...] = ()
    """Whose word counted."""


def judge_gates(course: Course, wave: RolloutWave, verdicts: Sequence[Verdict]) -> tuple[GateVerdict, ...]:
    """Judge every gate of a wave. `verdicts`: of its members."""
    stored = course.stored.wave(wave.name).gates
    return tuple(
        _keep_words(_judge(course, wave, name, verdicts, stored.get(name)), stored.get(name)) for name in wave.gates
    )


def find_gate(course: Course, wave: str, name: str) -> Gate | None:
    """Return what a gate asks for, as the set or a Regime says now; None: nobody says any more."""
    if name.startswith(REGIME_PREFIX):
        regime = course.fleet.regime(name.removeprefix(REGIME_PREFIX))
        return (
            None if regime is None else Gate(name=name, kind="approval", settings={"count": regime.upgrade.approvals})
        )
    declared = next((item for item in course.cluster_set.upgrade.waves if item.name == wave), None)
    return next((gate for gate in declared.gates if gate.name == name), None) if declared is not None else None


def _judge(
    course: Course, wave: RolloutWave, name: str, verdicts: Sequence[Verdict], before: StoredGate | None
) -> GateVerdict:
    gate = find_gate(course, wave.name, name)
    if gate is None:
        message = (
            f"gate {name} was taken out of spec.upgrade.waves[{wave.name}].gates while the rollout runs, and stays "
            f"closed. Put it back, or `atoll abort {course.name}` and `atoll retry {course.rollout.set_name}` for a "
            "rollout without it"
        )
        return GateVerdict(name=name, state=CLOSED, message=message)
    return JUDGES[gate.kind](course, wave.name, gate, verdicts, before)


def _judge_approval(
    course: Course, wave: str, gate: Gate, verdicts: Sequence[Verdict], before: StoredGate | None
) -> GateVerdict:
    del verdicts, before
    groups = tuple(gate.settings.get("groups", ()))
    asked = int(gate.settings.get("count", 1))
    requester = course.rollout.requested_by
    wanted = asked if requester or not asked else asked + 1
    mine = [item for item in course.fleet.approvals if _is_meant(course, wave, gate.name, item)]
    counted = sorted({item.username for item in mine if _counts(item, requester, groups)})
    told = f"{len(counted)} of {wanted} approvals" + (f" ({', '.join(counted)})" if counted else "")
    if len(counted) >= wanted:
        return GateVerdict(name=gate.name, state=OPEN, message=told, approvers=tuple(counted))
    who = f"Somebody of {' or '.join(groups)}" if groups else "Somebody who may create Approvals"
    others = "" if not requester else f" other than {requester}, who asked for the change,"
    more = "" if requester else "; it needs one more than usual, because nobody knows who asked for the change"
    vain = sorted({item.username for item in mine} - set(counted))
    ignored = f"; not counted: {', '.join(vain)}" if vain else ""
    message = (
        f"gate {gate.name}: {told}{more}{ignored}. {who}{others} has to run "
        f"`atoll approve {course.name} --wave {wave} --gate {gate.name}`"
    )
    return GateVerdict(name=gate.name, state=CLOSED, message=message)


def _is_meant(course: Course, wave: str, gate: str, approval: Approval) -> bool:
    uid = course.rollout.meta.uid
    same = approval.rollout == course.name and approval.rollout_uid == uid
    return same and approval.wave == wave and approval.gate == gate and not approval.meta.deleting


def _counts(approval: Approval, requester: str, groups: Sequence[str]) -> bool:
    if approval.username == requester:
        return False
    return not groups or bool(set(groups) & set(approval.groups))


def _judge_metric(
    course: Course, wave: str, gate: Gate, verdicts: Sequence[Verdict], before: StoredGate | None
) -> GateVerdict:
    del verdicts, before
    settings = gate.settings
    interval = int(settings.get("intervalSeconds", 30))
    secret: Mapping[str, str] = settings.get("secretRef") or {}
    question = MetricQuestion(
        key=GateKey(rollout_uid=course.rollout.meta.uid, wave=wave, gate=gate.name),
        url=str(settings["url"]),
        query=str(settings["query"]),
        max=str(settings["max"]),
        interval_seconds=interval,
        secret_name=str(secret.get("name", "")),
        reason=f"gate {gate.name} of wave {wave}, rollout {course.name}",
    )
    reading = course.fleet.readings.get(question.key)
    if reading is None:
        state, message = UNKNOWN, f"gate {gate.name} is being asked for the first time"
    elif course.now - reading.time > timedelta(seconds=2 * interval) + STALE_AFTER:
        state, message = UNKNOWN, f"gate {gate.name}: no answer since {reading.time:%H:%M:%S} UTC"
    else:
        state = OPEN if reading.open else CLOSED
        message = f"gate {gate.name}: {reading.message} ({reading.time:%H:%M:%S} UTC)"
    alert = state == CLOSED and reading is not None and reading.cause == "Above"
    return GateVerdict(name=gate.name, state=state, message=message, questions=(question,), measured=True, alert=alert)


def _judge_job(
    course: Course, wave: str, gate: Gate, verdicts: Sequence[Verdict], before: StoredGate | None
) -> GateVerdict:
    if before is not None and before.state == OPEN:
        # It has succeeded. What was run is gone by now, and is not run twice.
        return GateVerdict(name=gate.name, state=OPEN, message=before.message)
    key = GateKey(rollout_uid=course.rollout.meta.uid, wave=wave, gate=gate.name)
    manifests = str(gate.settings["manifestsRef"]["name"])
    reason = f"gate {gate.name} of wave {wave}, rollout {course.name}"
    questions: list[JobQuestion] = []
    wakes: list[datetime] = []
    waiting: list[str] = []
    failed: list[str] = []
    changed = [verdict for verdict in verdicts if verdict.child is not None and verdict.row.state == "Done"]
    for verdict in changed:
        assert verdict.child is not None
        view = course.view(verdict.child)
        reading = view.jobs.get(key) if view is not None else None
        if reading is not None and reading.open:
            continue
        if reading is None or course.now - reading.time >= JOB_PACE:
            questions.append(JobQuestion(key=key, child=verdict.child.name, manifests=manifests, reason=reason))
        else:
            wakes.append(reading.time + JOB_PACE)
        told = f"{verdict.row.cluster}: {reading.message}" if reading is not None else f"{verdict.row.cluster}: begins"
        (failed if reading is not None and reading.cause == "Failed" else waiting).append(told)
    if failed:
        state, message = CLOSED, f"gate {gate.name} failed in {_tell_first(failed)}"
    elif waiting:
        state, message = UNKNOWN, f"gate {gate.name}: ConfigMap {manifests} in {_tell_first(waiting)}"
    else:
        state, message = OPEN, f"ConfigMap {manifests} succeeded in {len(changed)} clusters"
    wake = min(wakes, default=None)
    return GateVerdict(name=gate.name, state=state, message=message, questions=tuple(questions), wake=wake)


def _tell_first(told: Sequence[str]) -> str:
    return told[0] if len(told) == 1 else f"{told[0]} (and {len(told) - 1} more)"


def _keep_words(verdict: GateVerdict, before: StoredGate | None) -> GateVerdict:
    """Keep what stands there while only numbers and times have changed: a measurement of the same kind is no news."""
    if (
        before is None
        or before.state != verdict.state
        or _drop_numbers(before.message) != _drop_numbers(verdict.message)
    ):
        return verdict
    return replace(verdict, message=before.message)


def _drop_numbers(text: str) -> str:
    return re.sub(r"[-+]?\d[\d.:e+-]*", "#", text)


JUDGES: Final[Mapping[str, Callable[[Course, str, Gate, Sequence[Verdict], StoredGate | None], GateVerdict]]] = (
    MappingProxyType({"approval": _judge_approval, "metric": _judge_metric, "job": _judge_job})
)
