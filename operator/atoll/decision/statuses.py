"""The wanted status of every object of a fleet, beside the one that stands there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from atoll.fleet import reasons
from atoll.fleet.audit import AuditEntry
from atoll.fleet.conditions import common, no, settle, unknown
from atoll.fleet.decisions import Candidate, PlacementDecision, Problem, RolloutDecision
from atoll.fleet.hosts import HostDecision
from atoll.fleet.snapshot import Fleet, Invalid
from atoll.fleet.spec import ClusterSet, Member, Meta, Paused, Tenant
from atoll.fleet.values import add_all, thaw
from atoll.membership.operations import Work
from atoll.membership.protection import is_protected
from atoll.rollout import plan_entries, set_revision
from atoll.rollout.stored import rollout_number

from .interior import Interior
from .status.child import ChildFacts, summarise_child
from .status.cluster_set import summarise_cluster_set
from .status.hosts import summarise_host, summarise_host_pool
from .status.rollout import summarise_rollout
from .status.tenancy import summarise_environment, summarise_regime, summarise_tenant
from .tenancy import Tenancy

RESULTS: Final = frozenset({"Done", "Reverted", "Superseded"})
"""States of a rollout that a set's history keeps."""
GRACE: Final = timedelta(seconds=3)
"""How long objects in a child may wait to be applied before a status mentions it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One object and what its status shall say."""

    kind: str
    name: str
    uid: str
    stored: Mapping[str, Any]
    wanted: Mapping[str, Any]
    transient: bool = False
    """What makes it not ready now is objects being applied: usually over in a moment."""
    audit: tuple[AuditEntry, ...] = ()
    """Of a Rollout: what is decided now and not recorded yet."""


def summarise_all(
    fleet: Fleet,
    now: datetime,
    *,
    problems: Sequence[Problem],
    rollout: RolloutDecision,
    placement: PlacementDecision,
    tenancy: Tenancy,
    works: Mapping[str, Work],
    hosts: HostDecision,
    candidates: Sequence[Candidate],
    revision_of: Callable[[ClusterSet, Member], str],
    detached: frozenset[str],
) -> list[Subject]:
    """Summarise children first: sets read what their members say now."""
    by_object: dict[tuple[str, str], list[Problem]] = {}
    for problem in (*problems, *tenancy.problems):
        by_object.setdefault((problem.kind, problem.name), []).append(problem)
    subjects = _children(fleet, now, tenancy, works, hosts, candidates, detached)
    child_statuses = {subject.name: subject.wanted for subject in subjects}
    running = {progress.set_name: progress for progress in rollout.progress}
    for cluster_set in fleet.cluster_sets:
        if not cluster_set.meta.uid or cluster_set.meta.name in rollout.unseen:
            continue
        members = fleet.children_of(cluster_set.meta.name)
        protected = _protection(cluster_set.meta, protected=cluster_set.deletion_protection)
        wanted = summarise_cluster_set(
            cluster_set,
            members,
            child_statuses,
            {cluster_set.child_name(m.name): revision_of(cluster_set, m) for m in cluster_set.members},
            set_revision=set_revision(cluster_set, fleet.regimes),
            rollout=running.get(cluster_set.meta.name),
            ended=_list_ended(fleet, cluster_set, rollout),
            detached=sum(1 for child in members if child.name in detached),
            problems=(*protected, *by_object.get(("ClusterSet", cluster_set.meta.name), ())),
            paused=_pause(cluster_set.paused, now),
            now=now,
        )
        subjects.append(_subject("ClusterSet", cluster_set.meta, cluster_set.status, wanted))
    subjects += _tenancy(fleet, now, by_object, placement, tenancy)
    subjects += _hosts(fleet, now, by_object, hosts)
    subjects += [_unreadable(item, now) for item in fleet.invalid if item.uid and item.kind != "Approval"]
    rollouts = {item.meta.name: item for item in fleet.rollouts}
    for progress in rollout.progress:
        item = rollouts.get(progress.name)
        if item is not None:
            wanted = summarise_rollout(item, progress, now)
            subject = _subject("Rollout", item.meta, item.status, wanted)
            subjects.append(
                replace(subject, audit=plan_entries(item, progress, rollout, now, approvers=progress.approvers))
            )
    return subjects


def _list_ended(fleet: Fleet, cluster_set: ClusterSet, decision: RolloutDecision) -> list[tuple[str, str]]:
    """List a set's rollouts that are over, as stored or by this decision, the oldest first, each with its result."""
    name = cluster_set.meta.name
    states = {item.meta.name: str(item.status.get("state", "")) for item in fleet.rollouts if item.set_name == name}
    states |= {progress.name: progress.state for progress in decision.progress if progress.set_name == name}
    over = [item for item in states.items() if item[1] in RESULTS]
    return sorted(over, key=lambda item: rollout_number(item[0], name))


def _children(
    fleet: Fleet,
    now: datetime,
    tenancy: Tenancy,
    works: Mapping[str, Work],
    hosts: HostDecision,
    candidates: Sequence[Candidate],
    detached: frozenset[str],
) -> list[Subject]:
    capacity = {candidate.cluster: candidate.capacity for candidate in candidates}
    resources = {
        (tenant.meta.name, full): namespace.resources
        for tenant in fleet.tenants
        for _, namespace, full in tenant.list_namespaces()
    }
    subjects = []
    for child in fleet.children:
        here = tenancy.on_cluster(child.name)
        interior = tenancy.interiors.get(child.name, Interior())
        cluster_set = fleet.cluster_set(child.set_name)
        busy = fleet.busy_since.get(child.name)
        facts = ChildFacts(
            paused=_pause(cluster_set.paused if cluster_set is not None else None, now),
            detached=child.name in detached,
            # Repairing a drifted object takes a moment; saying so in between would cost two writes more.
            enforced=not interior.pending or busy is None or now - busy < GRACE,
            foreign_owner=interior.foreign_owner,
            environments=tuple(sorted({placement.environment for placement in here})),
            tenants=len({placement.tenant for placement in here}),
            allocated=add_all(
                resources[placement.tenant, placement.namespace]
                for placement in here
                if (placement.tenant, placement.namespace) in resources
            ),
            capacity=capacity.get(child.name),
            hosts=hosts.children.get(child.name),
        )
        wanted = summarise_child(
            child,
            fleet.views.get(child.name),
            works.get(child.name, Work(operation=child.operation)),
            fleet.providers.get(child.provider),
            facts,
            now,
        )
        if child.name not in fleet.views and child.status.get("conditions"):
            # After a restart nothing has been looked at yet: what stands there is the best that is known.
            continue
        subjects.append(_subject("ChildCluster", child.meta, child.status, wanted))
    return subjects


def _tenancy(
    fleet: Fleet,
    now: datetime,
    by_object: Mapping[tuple[str, str], list[Problem]],
    placement: PlacementDecision,
    tenancy: Tenancy,
) -> list[Subject]:
    subjects = []
    drifted: dict[str, dict[str, str]] = {}
    for (name, _, cluster), message in placement.drifted.items():
        drifted.setdefault(name, {})[cluster] = message
    for tenant in fleet.tenants:
        name = tenant.meta.name
        pending = _pending_cluster(fleet, tenant, tenancy, now)
        wanted = summarise_tenant(
            tenant,
            tenancy.of_tenant(name),
            [entry for entry in placement.unplaced if entry.tenant == name],
            by_object.get(("Tenant", name), ()),
            pending_on=pending,
            moves=[move for move in placement.moves if move.tenant == name],
            drifted=drifted.get(name, {}),
            paused=_pause(tenant.paused, now),
            now=now,
        )
        subjects.append(_subject("Tenant", tenant.meta, tenant.status, wanted, transient=bool(pending)))
    for environment in fleet.environments:
        wanted = summarise_environment(
            environment,
            tenancy.placements,
            placement.unplaced,
            by_object.get(("Environment", environment.meta.name), ()),
            kept=placement.kept.get(environment.meta.name, ()),
            paused=_pause(environment.paused, now),
            now=now,
        )
        subjects.append(_subject("Environment", environment.meta, environment.status, wanted))
    for regime in fleet.regimes:
        name = regime.meta.name
        wanted = summarise_regime(
            regime,
            demanded_by=sum(name in item.regimes for item in fleet.environments)
            + sum(name in item.regimes for item in fleet.tenants),
            attested_by=sum(
                name in item.regimes or any(name in member.regimes for member in item.members)
                for item in fleet.cluster_sets
            ),
            problems=by_object.get(("Regime", name), ()),
            now=now,
        )
        subjects.append(_subject("Regime", regime.meta, regime.status, wanted))
    return subjects


def _hosts(
    fleet: Fleet, now: datetime, by_object: Mapping[tuple[str, str], list[Problem]], hosts: HostDecision
) -> list[Subject]:
    subjects = []
    for pool in fleet.host_pools:
        name = pool.meta.name
        problems = (
            *_protection(pool.meta, protected=pool.deletion_protection),
            *by_object.get(("HostPool", name), ()),
        )
        mine = [host for host in fleet.hosts if host.pool_name == name]
        wanted = summarise_host_pool(pool, mine, hosts, problems, paused=_pause(pool.paused, now), now=now)
        subjects.append(_subject("HostPool", pool.meta, pool.status, wanted))
    for host in fleet.hosts:
        view = fleet.host_views.get(host.name)
        if view is None and host.status.get("conditions"):
            continue
        wanted = summarise_host(host, view, hosts.judgements[host.name], now)
        subjects.append(_subject("Host", host.meta, host.status, wanted))
    return subjects


def _unreadable(item: Invalid, now: datetime) -> Subject:
    """Mark an object that cannot be read; what its status says beside that stays as it was."""
    ready = no("Ready", item.reason, f"{item.path}: {item.message}" if item.path else item.message)
    conditions = common(ready=ready, available=unknown("Available", item.reason, item.message))
    wanted = {
        **thaw(item.status),
        "observedGeneration": item.generation,
        "conditions": settle(conditions, item.status.get("conditions", ()), item.generation, now),
    }
    return Subject(kind=item.kind, name=item.name, uid=item.uid, stored=item.status, wanted=wanted)


def _pending_cluster(fleet: Fleet, tenant: Tenant, tenancy: Tenancy, now: datetime) -> str:
    """Name a cluster on which objects of the tenant are being applied, if that is worth telling.

    After a change of its spec it always is; repairing a drifted object is, once it takes longer than a moment.
    """
    changed = tenant.status.get("observedGeneration") != tenant.meta.generation
    for placement in tenancy.of_tenant(tenant.meta.name):
        interior = tenancy.interiors.get(placement.cluster)
        busy = fleet.busy_since.get(placement.cluster)
        long = busy is not None and now - busy >= GRACE
        if interior is not None and tenant.meta.name in interior.pending and (changed or long):
            return placement.cluster
    return ""


def _subject(
    kind: str, meta: Meta, stored: Mapping[str, Any], wanted: Mapping[str, Any], *, transient: bool = False
) -> Subject:
    return Subject(kind=kind, name=meta.name, uid=meta.uid, stored=stored, wanted=wanted, transient=transient)


def _pause(paused: Paused | None, now: datetime) -> str:
    return paused.reason or "paused" if paused is not None and paused.holds(now) else ""


def _protection(meta: Meta, *, protected: bool) -> tuple[Problem, ...]:
    if not meta.deleting or not is_protected(meta, protected=protected):
        return ()
    return (
        Problem(
            kind="ClusterSet",
            name=meta.name,
            path="spec.deletionProtection",
            reason=reasons.DELETION_PROTECTED,
            message=f"spec.deletionProtection is true, so nothing is destroyed. Set it to false, or annotate the "
            f"object with atoll.dev/confirm-deletion={meta.name}.",
        ),
    )
