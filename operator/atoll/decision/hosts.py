"""Hosts: where each one stands, who gets which, and the steps that follow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from atoll.fleet.hosts import ChildHosts, Host, HostDecision, HostPool
from atoll.fleet.names import API_VERSION, MANAGED_LABELS, POOL_LABEL
from atoll.fleet.observed import ChildCluster
from atoll.fleet.plan import ApplyObject, CreateObject, DeleteObject, HubStep
from atoll.fleet.snapshot import Fleet
from atoll.machines.claims import Asking, choose_hosts
from atoll.machines.demands import read_needs
from atoll.machines.life import judge_host

from .settings import merge_settings


def plan_hosts(fleet: Fleet, now: datetime, *, unproven: bool = False) -> HostDecision:
    """Judge every host and give free ones to clusters. `unproven`: nobody has looked, all count as free (offline)."""
    pools = {pool.meta.name: pool for pool in fleet.host_pools}
    children = {child.id: child for child in fleet.children}
    twins = _find_twins(fleet)
    judgements = {}
    for host in fleet.hosts:
        child = children.get(host.claim.cluster_id) if host.claim is not None else None
        judgements[host.name] = judge_host(
            host,
            pools.get(host.pool_name),
            fleet.host_views.get(host.name),
            child=child,
            child_view=fleet.views.get(child.name) if child is not None else None,
            twins=twins.get(host.name, ()),
            written=fleet.written.get(("Host", host.name)),
        )
    asking = [entry for child in fleet.children if (entry := ask_for_hosts(fleet, child)) is not None]
    closed = {name: why for name, pool in pools.items() if (why := _explain_closed(pool, now))}
    claims, standing = choose_hosts(asking, pools, fleet.hosts, judgements, closed=closed, unproven=unproven)
    return HostDecision(judgements=judgements, claims=claims, children=standing, closed=closed)


def _explain_closed(pool: HostPool, now: datetime) -> str:
    """Say why no host of a pool may be claimed; empty when they may."""
    if pool.meta.deleting:
        return f"HostPool {pool.meta.name} is being deleted: name another one in hostPoolRef"
    if pool.paused is not None and pool.paused.holds(now):
        until = f" until {pool.paused.until:%Y-%m-%d %H:%M} UTC" if pool.paused.until is not None else ""
        return f"HostPool {pool.meta.name} is paused{until} ({pool.paused.reason}): remove its spec.paused"
    return ""


def ask_for_hosts(fleet: Fleet, child: ChildCluster) -> Asking | None:
    """Say which hosts a child asks for; None: it uses none, or shall have none any more."""
    info = fleet.providers.get(child.provider)
    if info is None or not info.uses_host_pool or child.meta.deleting:
        return None
    cluster_set = fleet.cluster_set(child.set_name)
    if cluster_set is None:
        return None
    return Asking(child=child, needs=read_needs(merge_settings(cluster_set, child.member_name)))


def _find_twins(fleet: Fleet) -> Mapping[str, tuple[str, ...]]:
    """Find hosts that share a machine-id, which kubelets and networks take for one machine."""
    by_id: dict[str, list[str]] = {}
    for name, view in fleet.host_views.items():
        if view.facts is not None and view.facts.machine_id:
            by_id.setdefault(view.facts.machine_id, []).append(name)
    return {name: tuple(sorted(set(names) - {name})) for names in by_id.values() if len(names) > 1 for name in names}


def plan_host_objects(fleet: Fleet, decision: HostDecision) -> list[HubStep]:
    """Make a Host for each machine that is listed, write claims, end those that are proven over, drop what left."""
    steps: list[HubStep] = []
    known = {host.name: host for host in fleet.hosts}
    for pool in fleet.host_pools:
        if not pool.meta.uid or pool.meta.deleting:
            continue
        for listed in pool.hosts:
            name = pool.host_object(listed.name)
            if name not in known:
                body = build_host(pool, listed.name)
                steps.append(
                    CreateObject(kind="Host", name=name, body=body, reason=f"HostPool {pool.meta.name} lists it")
                )
    pools = {pool.meta.name: pool for pool in fleet.host_pools}
    for claim in decision.claims:
        host = known[claim.host]
        pool = pools[host.pool_name]
        if host.meta.uid:
            steps.append(
                ApplyObject(kind="Host", name=host.name, body=build_claim(pool, host, claim.claim), reason=claim.reason)
            )
    for host in fleet.hosts:
        steps += _let_go(host, pools.get(host.pool_name), decision)
    return steps


def _let_go(host: Host, pool: HostPool | None, decision: HostDecision) -> list[HubStep]:
    judged = decision.judgements[host.name]
    if host.claim is not None:
        if not judged.release or pool is None:
            return []
        reason = "its cluster is gone and nothing of it is left: it is back in the pool"
        return [ApplyObject(kind="Host", name=host.name, body=build_claim(pool, host, None), reason=reason)]
    if pool is not None and not pool.meta.deleting and pool.host(host.host_name) is not None:
        return []
    return [
        DeleteObject(
            kind="Host",
            name=host.name,
            uid=host.meta.uid,
            resource_version=host.meta.resource_version,
            reason=f"HostPool {host.pool_name} no longer lists it, and no cluster has it",
        )
    ]


def build_host(pool: HostPool, host_name: str) -> dict[str, Any]:
    """Build the body of a Host that nobody has claimed."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Host",
        "metadata": {
            "name": pool.host_object(host_name),
            "namespace": pool.meta.namespace,
            "labels": {**MANAGED_LABELS, POOL_LABEL: pool.meta.name},
            "ownerReferences": [
                {"apiVersion": API_VERSION, "kind": "HostPool", "name": pool.meta.name, "uid": pool.meta.uid}
            ],
        },
        "spec": {"poolName": pool.meta.name, "hostName": host_name},
    }


def build_claim(pool: HostPool, host: Host, claim: Any) -> dict[str, Any]:
    """Build a Host with that claim, or none; it is written only over what was read: resourceVersion goes with it."""
    body = build_host(pool, host.host_name)
    body["metadata"] |= {"uid": host.meta.uid, "resourceVersion": host.meta.resource_version}
    if claim is not None:
        body["spec"]["claim"] = {"clusterID": claim.cluster_id, "role": str(claim.role)}
    return body


def is_waiting_for_hosts(child: ChildCluster, standing: ChildHosts | None) -> bool:
    """Say whether a cluster lacks hosts, or the list of those that it has is not written into its spec yet."""
    return standing is not None and (not standing.complete or child.hosts != standing.claimed)
