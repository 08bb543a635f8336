"""The one decision about a fleet: from what was asked for and what was seen to what shall be done now.

This module is a table of contents: each line asks one room, in the order in which they depend on each other. It knows
no rule of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from atoll.fleet.decisions import (
    AddressPlan,
    Candidate,
    MembershipDecision,
    PlacementDecision,
    Problem,
    RolloutDecision,
)
from atoll.fleet.hosts import HostDecision
from atoll.fleet.plan import Plan
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet, Member
from atoll.fleet.values import Version
from atoll.membership.members import plan_members
from atoll.network import plan_addresses
from atoll.placement import build_candidates, place
from atoll.rollout import Revisions, plan_rollouts

from .checks import check_fleet
from .compose import compose_plan
from .hosts import plan_hosts
from .interior import Covers
from .tenancy import Tenancy, plan_tenancy
from .works import plan_works


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided, room by room, and the plan that follows."""

    addresses: AddressPlan
    candidates: tuple[Candidate, ...]
    placement: PlacementDecision
    rollout: RolloutDecision
    membership: MembershipDecision
    hosts: HostDecision
    problems: tuple[Problem, ...]
    statuses: Mapping[tuple[str, str], Mapping[str, Any]]
    """Wanted status by (kind, name)."""
    plan: Plan


def decide(fleet: Fleet, now: datetime, *, covers: Covers, assume_available: bool = False) -> Decision:
    """Decide everything about one fleet. `assume_available`: plan as if all members were there already (offline)."""

    revisions: dict[tuple[str, Version], Revisions] = {}

    def revision_of(cluster_set: ClusterSet, member: Member) -> str:
        # A set is asked about as it is, and as those shall join who join at its last completed version.
        key = (cluster_set.meta.name, cluster_set.version)
        if key not in revisions:
            revisions[key] = Revisions(cluster_set, fleet.regimes)
        return revisions[key].of(member)

    checked = check_fleet(fleet)
    addresses = plan_addresses(fleet.cluster_sets, fleet.children, fleet.foreign_blocks)
    refused = frozenset(problem.name for problem in checked if problem.kind == "ClusterSet")
    rollout = plan_rollouts(fleet, now, refused=refused)
    candidates = build_candidates(fleet, now, assume_available=assume_available)
    placement = place(fleet, candidates, now)
    problems = (*checked, *addresses.problems, *rollout.problems, *placement.problems)
    tenancy: Tenancy = plan_tenancy(fleet, placement, now, covers=covers)
    blocked = {problem.name for problem in (*checked, *addresses.problems) if problem.kind == "ClusterSet"}
    paused = {item.meta.name for item in fleet.cluster_sets if item.paused is not None and item.paused.holds(now)}
    membership = plan_members(
        fleet, addresses, revision_of, blocked=blocked | paused, placed_on=tenancy.counts_by_cluster()
    )
    hosts = plan_hosts(fleet, now, unproven=assume_available)
    works = plan_works(fleet, tenancy, hosts, now)
    statuses, plan = compose_plan(
        fleet,
        now,
        problems=problems,
        rollout=rollout,
        placement=placement,
        membership=membership,
        tenancy=tenancy,
        works=works,
        hosts=hosts,
        candidates=candidates,
        revision_of=revision_of,
        covers=covers,
    )
    return Decision(
        addresses=addresses,
        candidates=candidates,
        placement=placement,
        rollout=rollout,
        membership=membership,
        hosts=hosts,
        problems=problems,
        statuses=statuses,
        plan=plan,
    )
