"""The long work of every child: what it needs, and whether it may begin now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from atoll.fleet.cluster import Presence
from atoll.fleet.decisions import Forecast
from atoll.fleet.hosts import HostDecision
from atoll.fleet.names import ABANDON
from atoll.fleet.observed import ChildCluster
from atoll.fleet.snapshot import Fleet
from atoll.fleet.values import Version
from atoll.membership.operations import Work, plan_work
from atoll.membership.protection import is_protected
from atoll.rollout import Estimates, to_forecast

from .hosts import is_waiting_for_hosts
from .login import choose_authentication, find_refused_login
from .settings import find_told
from .tenancy import Tenancy


def plan_works(fleet: Fleet, tenancy: Tenancy, hosts: HostDecision, now: datetime) -> Mapping[str, Work]:
    """Plan the long work of each child whose provider is here."""
    works = {}
    estimates: dict[str, Estimates] = {}

    def forecast(child: ChildCluster) -> Forecast:
        if child.set_name not in estimates:
            estimates[child.set_name] = Estimates.of_set(fleet, child.set_name, child.provider)
        hop = not child.version.is_satisfied_by(Version.parse(str(child.status.get("version") or child.version)))
        return to_forecast(estimates[child.set_name].of(child, 1 if hop else 0))

    for child in fleet.children:
        cluster_set = fleet.cluster_set(child.set_name)
        info = fleet.providers.get(child.provider)
        if info is None:
            continue
        waiting = _describe_wait(fleet, child, hosts)
        work = plan_work(
            child,
            fleet.views.get(child.name),
            info,
            now,
            may_begin=not waiting and _may_begin(fleet, child, tenancy, now),
            orphan=is_orphaned(fleet, child),
            told=find_told(fleet, child) is not None,
            authentication=choose_authentication(fleet, child),
            drill_cron=str(cluster_set.backup.get("drillCron", "")) if cluster_set is not None else "",
            forecast=partial(forecast, child),
        )
        refused = find_refused_login(fleet, child)
        if refused and work.operation is None:
            work = replace(work, held=True, reason=refused)
        works[child.name] = replace(work, reason=waiting) if waiting and work.operation is None else work
    return works


def _describe_wait(fleet: Fleet, child: ChildCluster, hosts: HostDecision) -> str:
    """Say which hosts a cluster that is to be made waits for, or nothing."""
    standing = hosts.children.get(child.name)
    view = fleet.views.get(child.name)
    if view is None or view.cluster.presence is not Presence.ABSENT or child.cluster_uid or child.meta.deleting:
        return ""
    if not is_waiting_for_hosts(child, standing):
        return ""
    assert standing is not None
    return standing.lacking or "its hosts are being claimed"


def is_orphaned(fleet: Fleet, child: ChildCluster) -> bool:
    """Say whether a deletion of this child leaves its cluster running whatever its policy says."""
    # A set whose CRD goes takes its children's objects along, so its CRD counts as theirs does.
    if ABANDON in child.meta.annotations or {"ChildCluster", "ClusterSet"} & set(fleet.terminating_kinds):
        return True
    cluster_set = fleet.cluster_set(child.set_name)
    return cluster_set is not None and is_protected(cluster_set.meta, protected=cluster_set.deletion_protection)


def _may_begin(fleet: Fleet, child: ChildCluster, tenancy: Tenancy, now: datetime) -> bool:
    """Say whether new long work may begin: not while paused, and not before tenants' access is revoked."""
    cluster_set = fleet.cluster_set(child.set_name)
    if child.meta.deleting:
        view = fleet.views.get(child.name)
        interior = tenancy.interiors.get(child.name)
        reachable = view is not None and view.member is not None and view.cluster.presence is Presence.PRESENT
        return interior is None or not interior.pending or not reachable
    return cluster_set is None or cluster_set.paused is None or not cluster_set.paused.holds(now)
