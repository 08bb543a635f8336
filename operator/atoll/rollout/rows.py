"""Rows: how far each member of a rollout is, judged from its ChildCluster and what was seen of it.

What a child says about itself decides, never what an earlier row said, with two exceptions: a failure stays a failure
until the child has arrived or another rollout moves it, and whose wave is over is not begun again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from atoll.fleet.authentication import is_to_change
from atoll.fleet.cluster import OperationState, OperationType
from atoll.fleet.decisions import RolloutRow
from atoll.fleet.names import HOLD
from atoll.fleet.observed import ChildCluster, ChildView, Rollout
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet, Member
from atoll.fleet.values import Version

from .estimates import Estimate, Estimates
from .health import (
    explain_failed_checks,
    find_illness,
    has_failed,
    is_given_up,
    may_leave_failure,
    served_version,
)
from .hops import HopRefusal, plan_hops
from .inspections import Inspection, inspect_child
from .revisions import Revisions, final_revision, hop_revision, is_return, settled_revision
from .schedule import find_wait
from .states import FINISHED
from .stored import Stored, read_stored
from .waves import build_selector_labels

CAUSE_LENGTH: Final = 300
"""Characters of a failure that are repeated on the way back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a child may be told to do next."""

    version: Version
    revision: str
    reason: str
    hops: int = 1
    """Versions to go through on the way from here, this one included; 0: its settings alone are changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A row, and what may follow from it."""

    row: RolloutRow
    child: ChildCluster | None = None
    step: Step | None = None
    """What it may be told now, if the limits allow; None: nothing."""
    midway: bool = False
    """It stands verified between two hops and keeps its place in the wave."""
    refusal: HopRefusal | None = None
    illness: str = ""
    """Why a member that has arrived is not well now."""
    wake: datetime | None = None
    stuck: str = ""
    """Why it will never be told without a person."""
    inspect: Version | None = None
    """The version for which a look is wanted at what would be in the way."""
    fresh: bool = False
    """The look that found nothing in the way of `step` is not too old."""
    estimate: Estimate | None = None
    """How long its whole way will take; None: it is under way, or over."""
    hops: int = 0
    opens: datetime | None = None
    """When its window opens, where it waits for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One rollout of one set at one moment: what every row of it is judged with."""

    fleet: Fleet
    cluster_set: ClusterSet
    rollout: Rollout
    hosted: Mapping[str, tuple[str, ...]]
    """Environments by ChildCluster."""
    noncompliant: Mapping[str, str]
    """Why a ChildCluster is not to be touched now."""
    now: datetime
    estimates: Estimates
    """How long changes of this set's members take."""
    stored: Stored = field(init=False)
    revisions: Revisions = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stored", read_stored(self.rollout))
        object.__setattr__(self, "revisions", Revisions(self.cluster_set, self.fleet.regimes))

    @property
    def name(self) -> str:
        """Name of the rollout."""
        return self.rollout.meta.name

    def view(self, child: ChildCluster) -> ChildView | None:
        """Return what was seen of a child."""
        return self.fleet.views.get(child.name)


def judge_row(course: Course, wave: str, member_name: str) -> Verdict:
    """Say how far one member is, and what it may be told next."""
    member = course.cluster_set.member(member_name)
    child = course.fleet.child(course.cluster_set.child_name(member_name))
    if member is None:
        failure = course.stored.failed.get(member_name) or _find_failure(course, child)
        if failure:
            # Taking a failed member out of the set does not make its failure unseen.
            return Verdict(row=_row(member_name, wave, "Failed", failure))
        return Verdict(row=_row(member_name, wave, "Skipped", "it has left the set"))
    if child is None:
        return Verdict(row=_row(member_name, wave, "Skipped", "it has no cluster; it joins by itself"))
    wanted = course.revisions.of(member)
    verdict = _judge(course, wave, member, child, wanted)
    over = course.stored.wave(wave).state == "Done"
    if over and verdict.row.state not in FINISHED:
        verdict = Verdict(row=_over(verdict, child), child=child)
    return verdict


def is_watched_only(fleet: Fleet, cluster_set: ClusterSet, member: Member) -> bool:
    """Say whether nobody shall bring this member to a version: a provider that cannot, and `upgrade: Never`."""
    info = fleet.providers.get(cluster_set.provider.kind)
    if info is None or info.upgrades:
        return False
    setting = member.settings.get("upgrade", cluster_set.provider.settings.get("upgrade", "Never"))
    return bool(setting == "Never")


def has_arrived(child: ChildCluster, wanted: str, target: Version) -> bool:
    """Say whether a child is, verified, what its set asks for; one that went back to just that is too."""
    settled = child.revision == child.done_revision and settled_revision(child.revision) == wanted
    return settled and target.is_satisfied_by(child.version)


def _judge(course: Course, wave: str, member: Member, child: ChildCluster, wanted: str) -> Verdict:
    view = course.view(child)
    target = course.rollout.target_version

    def verdict(state: str, message: str) -> Verdict:
        return Verdict(row=_row(member.name, wave, state, message), child=child)

    if has_arrived(child, wanted, target):
        illness = find_illness(child, view, course.now)
        row = _row(member.name, wave, "Done", illness)
        return Verdict(row=row, child=child, illness=illness)
    if is_watched_only(course.fleet, course.cluster_set, member):
        return verdict("Skipped", "Atoll only watches it (spec.provider.existing.upgrade is Never)")
    if child.meta.deleting:
        return verdict("Held", "it is being deleted")
    if not child.done_revision:
        return verdict("Held", "its first creation has not finished")
    mine = child.rollout == course.name
    ordered = final_revision(child.revision) == wanted
    if is_return(child.revision, course.name):
        return verdict(*_judge_return(course, child, view))
    if ordered and child.revision != child.done_revision:
        if mine or not has_failed(child, view):
            return verdict(*_judge_moving(course, child, view, mine=mine))
        reason = f"tries {child.version} again, which failed in an earlier rollout"
        step = Step(version=child.version, revision=child.revision, reason=reason)
        return _judge_start(course, member, child, verdict("Pending", ""), step)
    failure = _find_failure(course, child)
    unsettled = child.rollout == course.name and child.revision != child.done_revision
    if not failure and (unsettled or _is_midway(course, child)):
        failure = course.stored.failed.get(child.member_name, "")
    if failure:
        # Its settings have changed since, or it has recovered between two hops; only another rollout tries again.
        return verdict("Failed", failure)
    step_or_refusal = _next_step(course, child, view, wanted)
    if isinstance(step_or_refusal, HopRefusal):
        return replace(verdict("Held", step_or_refusal.message), refusal=step_or_refusal)
    return _judge_start(course, member, child, verdict("Pending", ""), step_or_refusal)


def _judge_moving(course: Course, child: ChildCluster, view: ChildView | None, *, mine: bool) -> tuple[str, str]:
    """Judge a child that has been told to move and has not arrived."""
    operation = child.operation
    if operation is not None and not operation.failed:
        # How far it is stands in the ChildCluster alone: a rollout is not written anew for each of its steps.
        return "Changing", f"changing to {child.version}"
    failure = _find_failure(course, child) if mine else ""
    if failure:
        return "Failed", failure
    if child.member_name in course.stored.failed:
        return "Failed", course.stored.failed[child.member_name]
    served = served_version(child, view)
    if served is None or not child.version.is_satisfied_by(served) or (operation is not None and operation.failed):
        return "Changing", f"changing to {child.version}"
    seen = view.cluster.authentication if view is not None else None
    if is_to_change(course.cluster_set.authentication, seen):
        return "Changing", "changing how people log in"
    return "Verifying", f"serves {served}, verifying"


def _find_failure(course: Course, child: ChildCluster | None) -> str:
    """Say how a child failed that this rollout told to move; empty when it did not, or may still arrive."""
    if child is None or child.rollout != course.name or child.revision == child.done_revision:
        return ""
    operation = child.operation
    if operation is not None and operation.failed and operation.rollout in {"", course.name}:
        return operation.message or f"its operation {operation.type} failed"
    view = course.view(child)
    run = view.verification if view is not None else None
    if operation is not None or run is None or not is_given_up(child, view):
        return ""
    begun = course.rollout.meta.creation_time
    if begun is not None and run.time < begun:
        return ""
    return f"verification failed: {explain_failed_checks(run)}"


def _judge_return(course: Course, child: ChildCluster, view: ChildView | None) -> tuple[str, str]:
    """Judge a child that this rollout has sent back: it counts as failed until it is back and verified."""
    state, message = _describe_return(child, view)
    cause = read_cause(course.stored.failed.get(child.member_name, ""))
    return state, f"{shorten(cause, CAUSE_LENGTH)}; {message}" if cause else message


def _describe_return(child: ChildCluster, view: ChildView | None) -> tuple[str, str]:
    operation = child.operation
    served = served_version(child, view)
    if operation is not None and operation.type is OperationType.REVERT and operation.failed:
        return "Failed", f"going back failed: {operation.message}"
    if operation is not None or served is None or not child.version.is_satisfied_by(served):
        point = view.cluster.revert_point if view is not None else None
        return "Failed", f"goes back to {child.version}{f' ({point.message})' if point is not None else ''}"
    if child.revision == child.done_revision:
        return "Reverted", f"is back at {child.version}{_tell_loss(view)}"
    run = view.verification if view is not None else None
    if run is None or not is_given_up(child, view):
        return "Failed", f"is back at {child.version}, verifying"
    return "Failed", f"is back at {child.version}, but its verification failed: {explain_failed_checks(run)}"


def read_cause(message: str) -> str:
    """Return why a member failed, without what was said about its way back."""
    return re.split(r"(?:^|; )(?:goes back to|going back failed|is back at)", message, maxsplit=1)[0]


def shorten(text: str, length: int) -> str:
    """Leave out the middle of a text that is too long: it ends with what went wrong, or with what happens now."""
    if len(text) <= length:
        return text
    half = (length - 3) // 2
    return f"{text[:half]} … {text[-half:]}"


def _tell_loss(view: ChildView | None) -> str:
    """Repeat what going back has cost, as long as the provider remembers it."""
    last = view.cluster.operation if view is not None else None
    if last is None or last.type is not OperationType.REVERT or last.state is not OperationState.SUCCEEDED:
        return ""
    return f"; {last.message}" if last.message else ""


def _next_step(course: Course, child: ChildCluster, view: ChildView | None, wanted: str) -> Step | HopRefusal:
    """Return the next hop of a child on its way to the target."""
    target = course.rollout.target_version
    served = served_version(child, view) or child.version
    if is_target_served_by_owner(course):
        hops: tuple[Version, ...] | HopRefusal = () if target.is_satisfied_by(served) else (target,)
    else:
        hops = plan_hops(served, target, course.fleet.versions.get(course.cluster_set.provider.kind, ()))
    if isinstance(hops, HopRefusal):
        return hops
    if not hops:
        kept = child.version if target.is_satisfied_by(child.version) else served
        version = target if target.patch is not None else kept
        return Step(version=version, revision=wanted, reason=f"changes its settings at {version}", hops=0)
    first = hops[0]
    revision = wanted if len(hops) == 1 else hop_revision(wanted, first)
    way = "" if len(hops) == 1 else f", hop 1 of {len(hops)} to {hops[-1]}"
    return Step(version=first, revision=revision, reason=f"changes from {served} to {first}{way}", hops=len(hops))


def is_target_served_by_owner(course: Course) -> bool:
    """Say whether somebody else brings these clusters to a version."""
    info = course.fleet.providers.get(course.cluster_set.provider.kind)
    return info is not None and not info.upgrades


def _judge_start(course: Course, member: Member, child: ChildCluster, pending: Verdict, step: Step) -> Verdict:
    """Judge a child that could be told to move now: hold it when it is not well, or must not be touched yet."""
    view = course.view(child)
    judged = replace(
        pending,
        midway=_is_midway(course, child),
        estimate=course.estimates.of(child, step.hops),
        hops=step.hops,
    )
    message = (
        _find_hold(course, child, view, step)
        or course.noncompliant.get(child.name, "")
        or _find_named_hold(course, member)
    )
    if message:
        return _hold(judged, message)
    environments = course.hosted.get(child.name, ())
    hop = course.estimates.of(child, min(step.hops, 1))
    wait = find_wait(course.fleet, course.cluster_set, member, environments, course.now, hop)
    if is_target_served_by_owner(course) or child.revision != child.done_revision:
        # Nothing is changed there by us; or it has failed, and may be too ill to be asked what is in the way.
        seen = Inspection(clear=True, fresh=True)
    else:
        seen = inspect_child(view, course.name, step.version, course.now)
    judged = replace(judged, inspect=step.version if seen.wanted else None)
    if wait is not None:
        moment = min((time for time in (wait.until, seen.wake) if time is not None), default=None)
        stuck = "" if wait.until is not None else wait.message
        return replace(_hold(judged, wait.message), wake=moment, stuck=stuck, opens=wait.until)
    if seen.finding:
        return replace(_hold(judged, seen.finding), wake=seen.wake)
    return replace(judged, step=step if seen.clear else None, fresh=seen.fresh)


def _hold(verdict: Verdict, message: str) -> Verdict:
    return replace(verdict, row=replace(verdict.row, state="Held", message=message))


def _find_hold(course: Course, child: ChildCluster, view: ChildView | None, step: Step) -> str:
    kind = course.cluster_set.provider.kind
    if kind not in course.fleet.providers:
        return f"spec.provider.{kind} is not available in this operator"
    failed = child.revision != child.done_revision and has_failed(child, view)
    if not failed and child.revision != child.done_revision:
        return f"it finishes an earlier change to {child.version} first"
    if failed:
        return may_leave_failure(child, view, step.version)
    illness = find_illness(child, view, course.now)
    if illness:
        return f"{illness}; an unhealthy cluster is not changed"
    served = served_version(child, view)
    if is_target_served_by_owner(course) and (served is None or not step.version.is_satisfied_by(served)):
        return f"its owner has to bring it from {served} to {step.version}; Atoll does not change it"
    return ""


def _find_named_hold(course: Course, member: Member) -> str:
    """Say for which of the member's labels a person has put a hold on the rollout; empty: none."""
    holds = course.rollout.meta.list_named(HOLD)
    if not holds:
        return ""
    labels = build_selector_labels(course.cluster_set, member)
    for named in sorted(holds):
        key, _, value = named.partition("=")
        if labels.get(key) == value:
            return f"held for {named} by annotation {HOLD} of Rollout {course.name}; take it off to go on"
    return ""


def _is_midway(course: Course, child: ChildCluster) -> bool:
    return child.rollout == course.name and child.revision == child.done_revision != final_revision(child.revision)


def _over(verdict: Verdict, child: ChildCluster) -> RolloutRow:
    """Judge a member that needs something again although its wave is over: a later rollout takes it."""
    done = child.revision == child.done_revision and verdict.row.state in {"Pending", "Held"}
    message = "changed again after its wave was over; the next rollout takes it"
    return _row(verdict.row.cluster, verdict.row.wave, "Done" if done else "Skipped", message)


def _row(cluster: str, wave: str, state: str, message: str) -> RolloutRow:
    return RolloutRow(cluster=cluster, wave=wave, state=state, message=message)
