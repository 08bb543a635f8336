"""What a plan says about hosts: which would be claimed, and which clusters would wait for want of some. Pure.

Offline there are no Host objects yet: each machine that a pool lists counts as free.
"""

from __future__ import annotations

from typing import Any

from atoll.decision.decide import Decision
from atoll.decision.hosts import ask_for_hosts
from atoll.fleet.hosts import Host
from atoll.fleet.observed import ChildCluster
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Meta
from atoll.machines.claims import choose_hosts

Row = dict[str, Any]


def build_host_rows(fleet: Fleet, decision: Decision) -> list[Row]:
    """Build one row for each host that is claimed or given back, and one for each cluster that lacks some."""
    children = [*fleet.children, *_coming(fleet, decision)]
    asking = [entry for child in children if (entry := ask_for_hosts(fleet, child)) is not None]
    if not asking:
        return []
    hosts = _all_hosts(fleet)
    pools = {pool.meta.name: pool for pool in fleet.host_pools}
    known = decision.hosts
    claims, standing = choose_hosts(
        asking, pools, hosts, known.judgements, closed=known.closed, unproven=not fleet.hosts
    )
    by_name = {host.name: host for host in hosts}
    owner = {entry.child.id: entry.child.name for entry in asking}
    rows = [
        _row(fleet, by_name[claim.host], owner[claim.claim.cluster_id], "claim", f"as {claim.claim.role}")
        for claim in claims
    ]
    needs = {entry.child.name: entry.needs for entry in asking}
    rows += [
        {
            "namespace": fleet.name,
            "pool": needs[name].pool,
            "host": "",
            "cluster": name,
            "action": "lack",
            "reason": entry.lacking,
        }
        for name, entry in sorted(standing.items())
        if entry.lacking
    ]
    released = [judged for judged in known.judgements.values() if judged.release]
    rows += [_row(fleet, by_name[judged.host], "", "release", judged.message) for judged in released]
    return rows


def _coming(fleet: Fleet, decision: Decision) -> list[ChildCluster]:
    """List the clusters that are about to be made, by their names: ids are drawn when they are."""
    return [
        ChildCluster(
            meta=Meta(name=new.name, namespace=fleet.name),
            id=new.name,
            set_name=new.set_name,
            member_name=new.member_name,
            provider=cluster_set.provider.kind,
            version=new.version,
            revision=new.revision,
        )
        for new in decision.membership.new
        if (cluster_set := fleet.cluster_set(new.set_name)) is not None
    ]


def _all_hosts(fleet: Fleet) -> list[Host]:
    known = {host.name for host in fleet.hosts}
    listed = [
        Host(
            meta=Meta(name=pool.host_object(machine.name), namespace=fleet.name),
            pool_name=pool.meta.name,
            host_name=machine.name,
        )
        for pool in fleet.host_pools
        for machine in pool.hosts
    ]
    return [*fleet.hosts, *(host for host in listed if host.name not in known)]


def _row(fleet: Fleet, host: Host, cluster: str, action: str, reason: str) -> Row:
    return {
        "namespace": fleet.name,
        "pool": host.pool_name,
        "host": host.host_name,
        "cluster": cluster,
        "action": action,
        "reason": reason,
    }
