"""Steps on the management plane: finalizers, new objects, the specs of children, deletions."""

from __future__ import annotations

from collections.abc import Mapping

from atoll.fleet.cluster import Presence
from atoll.fleet.decisions import Advance, MembershipDecision, RevertChild, RolloutDecision
from atoll.fleet.hosts import HostDecision
from atoll.fleet.names import FINALIZER
from atoll.fleet.observed import ChildCluster
from atoll.fleet.plan import ApplyObject, CreateObject, DeleteObject, HubStep, SetFinalizer
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet, DeletionPolicy, Meta
from atoll.governance import compile_labels
from atoll.membership.build import build_child, build_labels, build_new_child
from atoll.membership.operations import Work
from atoll.rollout import build_rollout

from .interior import Covers
from .settings import locate, merge_settings
from .tenancy import Tenancy
from .works import is_orphaned


def plan_finalizers(fleet: Fleet, tenancy: Tenancy) -> list[HubStep]:
    """Hold every object that we must clean up after, and let it go when that is done."""
    steps: list[HubStep] = []
    for cluster_set in fleet.cluster_sets:
        done = not fleet.children_of(cluster_set.meta.name)
        steps += _finalizer("ClusterSet", cluster_set.meta, done=done)
    for tenant in fleet.tenants:
        steps += _finalizer("Tenant", tenant.meta, done=not tenancy.of_tenant(tenant.meta.name))
    listing = {host.pool_name for host in fleet.hosts}
    for pool in fleet.host_pools:
        steps += _finalizer("HostPool", pool.meta, done=pool.meta.name not in listing)
    for environment in fleet.environments:
        used = any(item.environment == environment.meta.name for item in tenancy.placements)
        steps += _finalizer("Environment", environment.meta, done=not used)
    named = _list_regimes(fleet) if fleet.regimes else set()
    for regime in fleet.regimes:
        steps += _finalizer("Regime", regime.meta, done=regime.meta.name not in named)
    return steps


def _list_regimes(fleet: Fleet) -> set[str]:
    """List every regime that somebody demands or is attested for: without its Regime nobody knows its rules."""
    demanded = [*(item.regimes for item in fleet.environments), *(item.regimes for item in fleet.tenants)]
    attested = [member.regimes for item in fleet.cluster_sets for member in item.members]
    return {name for names in (*demanded, *(item.regimes for item in fleet.cluster_sets), *attested) for name in names}


def _finalizer(kind: str, meta: Meta, *, done: bool) -> list[HubStep]:
    held = FINALIZER in meta.finalizers
    if not meta.uid or (not meta.deleting and held) or (meta.deleting and not held):
        return []
    if not meta.deleting:
        reason = "Atoll cleans up after it when it is deleted"
        return [SetFinalizer(kind=kind, name=meta.name, uid=meta.uid, finalizer=FINALIZER, present=True, reason=reason)]
    if not done:
        return []
    reason = "everything that it stood for is cleaned up"
    return [SetFinalizer(kind=kind, name=meta.name, uid=meta.uid, finalizer=FINALIZER, present=False, reason=reason)]


def plan_new_objects(fleet: Fleet, rollout: RolloutDecision, membership: MembershipDecision) -> list[HubStep]:
    """Create children and rollouts, and delete the children that depart."""
    steps: list[HubStep] = []
    for new in membership.new:
        cluster_set = fleet.cluster_set(new.set_name)
        if cluster_set is None or not cluster_set.meta.uid:
            continue
        member = cluster_set.member(new.member_name)
        labels = build_labels(cluster_set, member, new.member_name, _governance(fleet, cluster_set, new.member_name))
        cloud = locate(cluster_set.provider.kind, merge_settings(cluster_set, new.member_name))
        body = build_new_child(new, cluster_set, labels, cloud=cloud)
        steps.append(CreateObject(kind="ChildCluster", name=new.name, body=body, reason=new.reason, needs_id=True))
    for started in rollout.new:
        cluster_set = fleet.cluster_set(started.set_name)
        if cluster_set is None or not cluster_set.meta.uid:
            continue
        body = build_rollout(started, cluster_set)
        steps.append(CreateObject(kind="Rollout", name=started.name, body=body, reason=started.reason))
    for departure in membership.departures:
        child = fleet.child(departure.child)
        if child is None or child.meta.deleting:
            continue
        steps.append(
            DeleteObject(
                kind="ChildCluster",
                name=child.name,
                uid=child.meta.uid,
                resource_version=child.meta.resource_version,
                reason=departure.reason,
            )
        )
    return steps


def plan_child_objects(
    fleet: Fleet, rollout: RolloutDecision, works: Mapping[str, Work], hosts: HostDecision, *, covers: Covers
) -> list[HubStep]:
    """Bring the spec and labels of every child up to date: pins, moves of rollouts, policies. And let gone ones go."""
    moves: dict[str, Advance | RevertChild] = {}
    moves.update({move.child: move for move in rollout.advances})
    moves.update({move.child: move for move in rollout.reverts})
    steps: list[HubStep] = []
    for child in fleet.children:
        cluster_set = fleet.cluster_set(child.set_name)
        if child.meta.deleting:
            steps += _let_go(fleet, child, works.get(child.name))
            continue
        if cluster_set is None or cluster_set.meta.deleting:
            continue
        move = moves.get(child.name)
        member = cluster_set.member(child.member_name)
        labels = build_labels(
            cluster_set, member, child.member_name, _governance(fleet, cluster_set, child.member_name)
        )
        standing = hosts.children.get(child.name)
        own_hosts = standing.claimed if standing is not None and standing.complete else child.hosts
        pinned = child.cluster_uid or _first_identity(fleet, child, works.get(child.name))
        body = build_child(
            child,
            cluster_set,
            labels,
            version=move.version if move is not None else child.version,
            revision=move.revision if move is not None else child.revision,
            cluster_uid=pinned,
            rollout=move.rollout if move is not None else child.rollout,
            hosts=own_hosts,
        )
        if covers(body, child.body):
            continue
        reason = "its labels or policy changed"
        if move is not None:
            reason = move.reason
        elif pinned != child.cluster_uid:
            reason = f"its identity is pinned: UID {pinned}"
        elif own_hosts != child.hosts:
            reason = f"it has claimed {', '.join(own_hosts)}"
        steps.append(ApplyObject(kind="ChildCluster", name=child.name, body=body, reason=reason))
    return steps


def _governance(fleet: Fleet, cluster_set: ClusterSet, member_name: str) -> Mapping[str, str]:
    labels, _ = compile_labels(
        cluster_set,
        cluster_set.member(member_name),
        regimes={regime.meta.name: regime for regime in fleet.regimes},
    )
    return labels


def _first_identity(fleet: Fleet, child: ChildCluster, work: Work | None) -> str:
    """Return the UID to pin at the first visit: only after our own creation has ended well."""
    view = fleet.views.get(child.name)
    if view is None or view.member is None or view.refused is not None or work is None:
        return ""
    creating = work.operation is not None
    return "" if creating else view.member.cluster_uid


def _let_go(fleet: Fleet, child: ChildCluster, work: Work | None) -> list[HubStep]:
    """Remove our hold on a child that is destroyed, or that is let go of."""
    view = fleet.views.get(child.name)
    if FINALIZER not in child.meta.finalizers:
        return []
    unknown = view is None or work is None or view.cluster.presence is Presence.UNKNOWN
    destroying = child.deletion_policy is DeletionPolicy.DELETE and not is_orphaned(fleet, child)
    if destroying and (unknown or (work is not None and not work.gone)):
        return []
    if not destroying and view is not None and not view.released and child.provider in fleet.providers:
        # The child's worker strips owner references and lets go first; it says so in the next view.
        return []
    reason = "its cluster is destroyed" if destroying else "its cluster is let go and left running"
    return [
        SetFinalizer(
            kind="ChildCluster",
            name=child.name,
            uid=child.meta.uid,
            finalizer=FINALIZER,
            present=False,
            reason=reason,
        )
    ]
