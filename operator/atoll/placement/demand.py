"""What tenants ask for, compared with where they stand: what stays, what leaves, what is still to be placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from atoll.fleet import reasons
from atoll.fleet.decisions import Move, Placement, Problem
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Environment, Isolation, Tenant, TenantEnvironment, Topology

from .standing import has_unseen

LEAVING: Final = "Leaving"

Place = tuple[str, str, str]
"""Tenant, environment, ChildCluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Namespaces that look for a cluster together."""

    tenant: Tenant
    environment: Environment
    asked: TenantEnvironment
    names: tuple[str, ...]
    """Short names."""
    count: int
    """How many clusters are still to be found."""
    only: str = ""
    """The one cluster that will do, because the other namespaces of the environment stand there."""
    hosting: tuple[str, ...] = ()
    """Clusters that have them already."""
    blocked: str = ""
    """Why nothing is placed for it now, whatever the clusters say."""
    unsure: bool = False
    """Nobody knows yet where its tenant stands: nothing is placed before that."""
    moving: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Clusters that are to be left, with code and message of the rule: it is a move."""
    giving_back: bool = False
    """It has a cluster to itself and needs it no longer: only one that is shared already will do."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Full names in the child."""
        return tuple(self.tenant.namespace_name(self.asked.name, name) for name in self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How every place stands to the rules now."""

    broken: Mapping[Place, tuple[str, str]] = field(default_factory=dict)
    """(code, message) of the binding rule that it breaks."""
    drifted: Mapping[Place, str] = field(default_factory=dict)
    """What has changed that moves nobody."""
    tiers: Mapping[Place, Isolation] = field(default_factory=dict)
    """Isolation that is asked for there now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Everything that is known before anybody is placed."""

    kept: tuple[Placement, ...]
    openings: tuple[Opening, ...]
    problems: tuple[Problem, ...]
    moving: tuple[Move, ...] = ()
    """Moves under way."""


def list_groups(environment: Environment, asked: TenantEnvironment) -> list[tuple[str, ...]]:
    """List the namespaces (short names) that go together: all, or those of one workload class."""
    if environment.topology is not Topology.CROSS_ENVIRONMENT:
        return [tuple(item.name for item in asked.namespaces)]
    classes = dict.fromkeys(item.workload_class for item in asked.namespaces)
    return [tuple(item.name for item in asked.namespaces if item.workload_class == one) for one in classes]


def survey(fleet: Fleet, past: Mapping[str, tuple[Placement, ...]], judged: Judgement, now: datetime) -> Standing:
    """Compare what all tenants ask for with where they stand, and with what is judged of that."""
    environments = {item.meta.name: item for item in fleet.environments}
    known = {item.meta.name for item in fleet.tenants}
    unseen = has_unseen(fleet)
    kept: list[Placement] = [item for name, found in sorted(past.items()) if name not in known for item in found]
    openings: list[Opening] = []
    problems: list[Problem] = []
    moving: list[Move] = []
    for tenant in sorted(fleet.tenants, key=lambda item: item.meta.name):
        standing = past.get(tenant.meta.name, ())
        if tenant.meta.deleting:
            kept += [replace(item, state=LEAVING) for item in standing]
            continue
        if tenant.paused is not None and tenant.paused.holds(now):
            kept += [_mark(item, judged) for item in standing]
            continue
        asked_names = {item.name for item in tenant.environments}
        kept += [replace(item, state=LEAVING) for item in standing if item.environment not in asked_names]
        for asked in tenant.environments:
            here = tuple(item for item in standing if item.environment == asked.name)
            environment = environments.get(asked.name)
            if environment is None:
                kept += here
                problems.append(_report_missing(tenant, asked))
                continue
            blocked = _why_blocked(environment, now)
            unsure = unseen and not tenant.status.get("placements")
            listed = {tenant.namespace_name(asked.name, item.name) for item in asked.namespaces}
            kept += [replace(item, state=LEAVING) for item in here if item.namespace not in listed]
            for names in list_groups(environment, asked):
                group = _Group(
                    tenant=tenant, environment=environment, asked=asked, names=names, blocked=blocked, unsure=unsure
                )
                stay, found, under_way = _compare(group, here, judged)
                kept += stay
                openings += found
                moving += under_way
    return Standing(kept=tuple(kept), openings=tuple(openings), problems=tuple(problems), moving=tuple(moving))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Namespaces that go together."""

    tenant: Tenant
    environment: Environment
    asked: TenantEnvironment
    names: tuple[str, ...]
    blocked: str
    unsure: bool

    def open(self, *, names: tuple[str, ...], count: int, only: str = "", hosting: Sequence[str] = ()) -> Opening:
        return Opening(
            tenant=self.tenant,
            environment=self.environment,
            asked=self.asked,
            names=names,
            count=count,
            only=only,
            hosting=tuple(hosting),
            blocked=self.blocked,
            unsure=self.unsure,
        )


def _compare(
    group: _Group, here: tuple[Placement, ...], judged: Judgement
) -> tuple[list[Placement], list[Opening], list[Move]]:
    """Keep what is asked for on as many clusters as are asked for, the oldest first; open what is missing.

    Where a binding rule is broken another place is made first. Only when that stands does the old one leave.
    """
    tenant, asked = group.tenant, group.asked
    short = {tenant.namespace_name(asked.name, name): name for name in group.names}
    wanted = [item for item in here if item.namespace in short]
    by_cluster: dict[str, list[Placement]] = {}
    for item in wanted:
        by_cluster.setdefault(item.cluster, []).append(item)

    def age(cluster: str) -> tuple[bool, str, str]:
        first = min(
            (item.state == LEAVING, item.since.isoformat() if item.since is not None else "")
            for item in by_cluster[cluster]
        )
        return (*first, cluster)

    reasons_to_go = _list_reasons(group, by_cluster, judged)
    good = sorted((cluster for cluster in by_cluster if cluster not in reasons_to_go), key=age)
    lowered = [cluster for cluster in good if _is_lowered(group, cluster, by_cluster[cluster], judged)]
    if lowered and len(good) - len(lowered) >= asked.clusters:
        # Another place has been made for those: they give their clusters back.
        good = [cluster for cluster in good if cluster not in lowered]
        reasons_to_go |= dict.fromkeys(lowered, _GIVEN_BACK)
        lowered = []
    hosting = good[: asked.clusters]
    ready = [
        cluster
        for cluster in hosting
        if len(by_cluster[cluster]) == len(short) and all(item.state == "Placed" for item in by_cluster[cluster])
    ]
    stay, openings = [], []
    for item in wanted:
        leaves = item.cluster not in hosting and (item.cluster not in reasons_to_go or len(ready) >= asked.clusters)
        if leaves:
            stay.append(_mark(replace(item, state=LEAVING), judged, reasons_to_go.get(item.cluster)))
        else:
            held = replace(item, state="Pending") if item.state == LEAVING else item
            tier = judged.tiers.get((item.tenant, item.environment, item.cluster))
            if tier is not None and item.cluster not in lowered and item.cluster not in reasons_to_go:
                held = replace(held, isolation=tier)
            stay.append(_mark(held, judged))
    for cluster in hosting:
        there = {short[item.namespace] for item in by_cluster[cluster]}
        missing = tuple(name for name in group.names if name not in there)
        if missing:
            openings.append(group.open(names=missing, count=1, only=cluster))
    lacking = asked.clusters - len(hosting)
    if lacking > 0:
        opening = group.open(names=group.names, count=lacking, hosting=sorted(by_cluster))
        going = {cluster: reasons_to_go[cluster] for cluster in sorted(reasons_to_go)}
        openings.append(replace(opening, moving=MappingProxyType(going)))
    for cluster in lowered:
        opening = group.open(names=group.names, count=1, hosting=sorted(by_cluster))
        going = {cluster: _GIVEN_BACK}
        openings.append(replace(opening, moving=MappingProxyType(going), giving_back=True))
    # Who came last is where they go.
    targets = list(reversed(hosting)) if lacking <= 0 else []
    under_way = [
        Move(
            tenant=tenant.meta.name,
            environment=asked.name,
            namespaces=tuple(sorted(item.namespace for item in by_cluster[origin])),
            origin=origin,
            target=target,
            rule=reasons_to_go[origin][0],
            reason=f"{origin} {reasons_to_go[origin][1]}",
        )
        for origin, target in zip(sorted(reasons_to_go), targets, strict=False)
    ]
    return stay, openings, under_way


_GIVEN_BACK: Final = ("isolation", "needs no cluster to itself any more, and gives it back")


def _list_reasons(
    group: _Group, by_cluster: Mapping[str, Sequence[Placement]], judged: Judgement
) -> dict[str, tuple[str, str]]:
    tenant, environment = group.tenant.meta.name, group.asked.name
    return {
        cluster: judged.broken[tenant, environment, cluster]
        for cluster in by_cluster
        if (tenant, environment, cluster) in judged.broken
    }


def _is_lowered(group: _Group, cluster: str, items: Sequence[Placement], judged: Judgement) -> bool:
    """Say whether a place was made for a stricter isolation than is asked for now."""
    tier = judged.tiers.get((group.tenant.meta.name, group.asked.name, cluster), Isolation.NAMESPACE)
    return tier is Isolation.NAMESPACE and any(item.isolation is not Isolation.NAMESPACE for item in items)


def _mark(item: Placement, judged: Judgement, why: tuple[str, str] | None = None) -> Placement:
    """Write down which binding rule a place breaks, and why it is left."""
    code, message = why or judged.broken.get((item.tenant, item.environment, item.cluster), ("", ""))
    if not code:
        return replace(item, rule="") if item.rule else item
    return replace(item, rule=code, reason=message) if item.state == LEAVING else replace(item, rule=code)


def _why_blocked(environment: Environment, now: datetime) -> str:
    name = environment.meta.name
    if environment.meta.deleting:
        return f"environment {name} is being deleted, so nothing new is placed in it. Choose another environment."
    if environment.paused is not None and environment.paused.holds(now):
        return f"environment {name} is paused ({environment.paused.reason}), so nothing new is placed in it for now."
    return ""


def _report_missing(tenant: Tenant, asked: TenantEnvironment) -> Problem:
    path = f"spec.environments[{asked.name}]"
    message = (
        f"Tenant {tenant.meta.name} {path} names Environment {asked.name}, which does not exist. Create it, or remove "
        "the entry."
    )
    return Problem(kind="Tenant", name=tenant.meta.name, path=path, reason=reasons.ENVIRONMENT_MISSING, message=message)
