"""The decision about staged changes of all sets of a fleet.

Everything is computed from objects, views and `now`; nothing is remembered between two calls. A rollout must stand in
the API before it moves anybody, so a new one and its first Advance never come out of one decision.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from atoll.fleet import reasons
from atoll.fleet.decisions import NewRollout, Problem, RolloutDecision, RolloutProgress
from atoll.fleet.names import REQUESTED_BY
from atoll.fleet.observed import ChildCluster, Rollout
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet, Member

from .follow import follow_rollout, supersede
from .health import served_version
from .hops import HopRefusal, plan_hops
from .limits import Books, open_books
from .restrictions import find_missing_regimes
from .revisions import Revisions, final_revision, set_revision
from .rows import has_arrived, is_watched_only
from .stored import BLOCKING, UNFINISHED, next_number, read_stored, rollout_number
from .waves import freeze_waves


def plan_rollouts(fleet: Fleet, now: datetime, *, refused: Collection[str] = ()) -> RolloutDecision:
    """Decide which rollouts begin, who of the running ones moves now, and what each says about itself.

    `refused`: ClusterSets whose spec asks for what cannot be done: nothing new is begun for them.
    """
    books = open_books(fleet)
    sets = sorted(fleet.cluster_sets, key=lambda item: item.meta.name)
    return _merge(_plan_set(fleet, item, books, now, refused=item.meta.name in refused) for item in sets)


def _plan_set(fleet: Fleet, cluster_set: ClusterSet, books: Books, now: datetime, *, refused: bool) -> RolloutDecision:
    if cluster_set.meta.deleting:
        return RolloutDecision()
    name = cluster_set.meta.name
    known = tuple(rollout for rollout in fleet.rollouts if rollout.set_name == name)
    live = sorted(
        (rollout for rollout in known if not rollout.meta.deleting),
        key=lambda item: (rollout_number(item.meta.name, name), item.meta.name),
    )
    last = live[-1] if live else None
    superseded = tuple(
        supersede(rollout, f"{live[-1].meta.name} has taken its place")
        for rollout in live[:-1]
        if read_stored(rollout).state in UNFINISHED
    )
    missing = _report_missing_regimes(fleet, cluster_set)
    target = set_revision(cluster_set, fleet.regimes)
    state = read_stored(last).state if last is not None else ""
    parts = [RolloutDecision(progress=superseded)]
    if missing is not None:
        # Without it nobody knows what any member shall be: rollouts stand still, and rows stay as they were written.
        parts.append(RolloutDecision(problems=(missing,)))
    elif refused and (last is None or last.target_revision != target):
        # What it asks for is told as a problem already. What is under way finishes, and nobody else is told to move.
        pass
    elif last is not None and last.target_revision != target:
        parts.append(_begin(fleet, cluster_set, target, known, last, now))
        if state in UNFINISHED:
            message = (
                f"the target changed from {last.target_version} ({last.target_revision}); changes under way finish"
            )
            parts.append(RolloutDecision(progress=(supersede(last, message),)))
    elif last is not None and state and _is_unseen(fleet, cluster_set, last):
        # The operator has just started. What stands there is the best that is known, until everybody was looked at.
        parts.append(RolloutDecision(unseen=(name,)))
    elif last is not None and (state in UNFINISHED or _blocks(cluster_set, last, state)):
        parts.append(follow_rollout(fleet, cluster_set, last, books, now))
    else:
        parts.append(_begin(fleet, cluster_set, target, known, last, now))
    paused = cluster_set.paused
    if paused is not None and paused.until is not None and now < paused.until:
        parts.append(RolloutDecision(wake=paused.until))
    return _merge(parts)


def _is_unseen(fleet: Fleet, cluster_set: ClusterSet, rollout: Rollout) -> bool:
    names = (cluster_set.child_name(name) for wave in rollout.waves for name in wave.clusters)
    return any(fleet.child(name) is not None and name not in fleet.views for name in names)


def _blocks(cluster_set: ClusterSet, last: Rollout, state: str) -> bool:
    return state in BLOCKING and cluster_set.upgrade.retry <= last.retry


def _begin(
    fleet: Fleet,
    cluster_set: ClusterSet,
    target: str,
    known: tuple[Rollout, ...],
    last: Rollout | None,
    now: datetime,
) -> RolloutDecision:
    """Begin a rollout if members are outdated and there is a way for each of them."""
    if cluster_set.paused is not None and cluster_set.paused.holds(now):
        return RolloutDecision()
    revisions = Revisions(cluster_set, fleet.regimes)
    outdated: list[tuple[Member, ChildCluster]] = []
    creating: list[str] = []
    present: list[str] = []
    for member in sorted(cluster_set.members, key=lambda item: item.name):
        child = fleet.child(cluster_set.child_name(member.name))
        if child is None or child.meta.deleting:
            continue
        if not child.done_revision:
            creating.append(member.name)
            continue
        present.append(member.name)
        if _is_outdated(fleet, cluster_set, member, child, revisions.of(member), target, last):
            outdated.append((member, child))
    if not outdated:
        return RolloutDecision()
    problem = _find_refusal(fleet, cluster_set, outdated)
    if problem is not None:
        return RolloutDecision(problems=(problem,))
    name = f"{cluster_set.meta.name}-{next_number(cluster_set, known)}"
    names = tuple(member.name for member, _ in outdated)
    frozen = names if _has_completed(cluster_set, target, last) else tuple(present)
    left_out = f"; left out while first being created: {', '.join(creating)}" if creating else ""
    again = f", retry {cluster_set.upgrade.retry}" if cluster_set.upgrade.retry else ""
    return RolloutDecision(
        new=(
            NewRollout(
                name=name,
                set_name=cluster_set.meta.name,
                target_version=cluster_set.version,
                target_revision=target,
                retry=cluster_set.upgrade.retry,
                waves=freeze_waves(cluster_set, frozen, fleet.regimes),
                requested_by=_find_requester(cluster_set),
                reason=f"{len(names)} of {len(cluster_set.members)} members have not reached {cluster_set.version} "
                f"({target}{again}){left_out}",
            ),
        )
    )


def _find_requester(cluster_set: ClusterSet) -> str:
    """Return who asked for a change; empty: nobody knows.

    The annotation tells who wrote the set last. Where that spec has been seen before, something else has changed since,
    a Regime perhaps, and its author is no party to the change.
    """
    seen = cluster_set.status.get("observedGeneration", -1)
    return "" if seen == cluster_set.meta.generation else cluster_set.meta.annotations.get(REQUESTED_BY, "")


def _is_outdated(
    fleet: Fleet,
    cluster_set: ClusterSet,
    member: Member,
    child: ChildCluster,
    wanted: str,
    target: str,
    last: Rollout | None,
) -> bool:
    if has_arrived(child, wanted, cluster_set.version):
        return False
    if not _is_over(cluster_set, target, last):
        return True
    # The last rollout went to the same target and is over: whom it told to go there, or left out for good, is not
    # tried again by itself.
    return final_revision(child.revision) != wanted and not is_watched_only(fleet, cluster_set, member)


def _is_over(cluster_set: ClusterSet, target: str, last: Rollout | None) -> bool:
    """Say whether the last rollout went to this very target, and to its end."""
    return (
        last is not None
        and last.target_revision == target
        and last.retry >= cluster_set.upgrade.retry
        and read_stored(last).state == "Done"
    )


def _has_completed(cluster_set: ClusterSet, target: str, last: Rollout | None) -> bool:
    """Say whether the target went through all waves once, so that only who is outdated needs a wave.

    Otherwise everybody is frozen in: members that have arrived are Done at once, but their waves soak and their gates
    hold. Aborting and trying again is no way around them.
    """
    return _is_over(cluster_set, target, last) or cluster_set.status.get("revision") == target


def _find_refusal(fleet: Fleet, cluster_set: ClusterSet, outdated: list[tuple[Member, ChildCluster]]) -> Problem | None:
    """Report the first member that has no way to the target: then nobody moves."""
    kind = cluster_set.provider.kind
    info = fleet.providers.get(kind)
    if info is not None and not info.upgrades:
        return None
    for member, child in outdated:
        served = served_version(child, fleet.views.get(child.name)) or child.version
        hops = plan_hops(served, cluster_set.version, fleet.versions.get(kind, ()))
        if isinstance(hops, HopRefusal):
            return Problem(
                kind="ClusterSet",
                name=cluster_set.meta.name,
                path="spec.version",
                reason=hops.reason,
                message=f"{member.name}: {hops.message}",
            )
    return None


def _report_missing_regimes(fleet: Fleet, cluster_set: ClusterSet) -> Problem | None:
    missing = find_missing_regimes(fleet, cluster_set)
    if not missing:
        return None
    return Problem(
        kind="ClusterSet",
        name=cluster_set.meta.name,
        path="spec.regimes",
        reason=reasons.REGIME_MISSING,
        message=f"attested for Regime {', '.join(missing)}, which is not there or cannot be read, so nothing is "
        f"changed. Create it, or remove the name.",
    )


def _merge(parts: Iterable[RolloutDecision]) -> RolloutDecision:
    all_parts = tuple(parts)
    progress: tuple[RolloutProgress, ...] = tuple(item for part in all_parts for item in part.progress)
    return RolloutDecision(
        new=tuple(item for part in all_parts for item in part.new),
        progress=progress,
        advances=tuple(item for part in all_parts for item in part.advances),
        reverts=tuple(item for part in all_parts for item in part.reverts),
        inspections=tuple(item for part in all_parts for item in part.inspections),
        questions=tuple(item for part in all_parts for item in part.questions),
        unseen=tuple(item for part in all_parts for item in part.unseen),
        problems=tuple(item for part in all_parts for item in part.problems),
        wake=min((part.wake for part in all_parts if part.wake is not None), default=None),
    )
