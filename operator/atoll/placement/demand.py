"""What tenants ask for, compared with where they stand: what stays, what leaves, what is still to be placed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from atoll.fleet import reasons
from atoll.fleet.decisions import Placement, Problem
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Environment, Tenant, TenantEnvironment

from .standing import parse_placements

LEAVING = "Leaving"


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

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Full names in the child."""
        return tuple(self.tenant.namespace_name(self.asked.name, name) for name in self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Everything that is known before anybody is placed."""

    kept: tuple[Placement, ...]
    openings: tuple[Opening, ...]
    problems: tuple[Problem, ...]


def survey(fleet: Fleet, clusters: Mapping[str, int], now: datetime) -> Standing:
    """Compare what all tenants ask for with where they stand. A placement stays while its cluster is in `clusters`."""
    environments = {item.meta.name: item for item in fleet.environments}
    kept: list[Placement] = []
    openings: list[Opening] = []
    problems: list[Problem] = []
    for tenant in sorted(fleet.tenants, key=lambda item: item.meta.name):
        standing = tuple(p for p in parse_placements(tenant.meta.name, tenant.status) if p.cluster in clusters)
        if tenant.meta.deleting:
            kept += [replace(item, state=LEAVING) for item in standing]
            continue
        if tenant.paused is not None and tenant.paused.holds(now):
            kept += standing
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
            stay, found = _compare(tenant, environment, asked, here, now)
            kept += stay
            openings += found
    # A tenant that cannot be read keeps what it has: it harms only itself, and nobody takes its place.
    for invalid in sorted(fleet.invalid, key=lambda item: item.name):
        if invalid.kind == "Tenant":
            kept += [item for item in parse_placements(invalid.name, invalid.status) if item.cluster in clusters]
    return Standing(kept=tuple(kept), openings=tuple(openings), problems=tuple(problems))


def _compare(
    tenant: Tenant, environment: Environment, asked: TenantEnvironment, here: tuple[Placement, ...], now: datetime
) -> tuple[list[Placement], list[Opening]]:
    """Keep what is asked for on as many clusters as are asked for, the oldest first; open what is missing."""
    short = {tenant.namespace_name(asked.name, item.name): item.name for item in asked.namespaces}
    wanted = [item for item in here if item.namespace in short]
    ages: dict[str, tuple[bool, str]] = {}
    for item in wanted:
        age = (item.state == LEAVING, item.since.isoformat() if item.since is not None else "")
        ages[item.cluster] = min(age, ages.get(item.cluster, age))
    hosting = sorted(ages, key=lambda cluster: (ages[cluster], cluster))[: asked.clusters]
    stay = []
    for item in here:
        if item.namespace not in short or item.cluster not in hosting:
            stay.append(replace(item, state=LEAVING))
        else:
            stay.append(replace(item, state="Pending") if item.state == LEAVING else item)
    blocked = _why_blocked(environment, now)
    openings = []
    for cluster in hosting:
        there = {short[item.namespace] for item in wanted if item.cluster == cluster}
        missing = tuple(item.name for item in asked.namespaces if item.name not in there)
        if missing:
            openings.append(
                Opening(
                    tenant=tenant,
                    environment=environment,
                    asked=asked,
                    names=missing,
                    count=1,
                    only=cluster,
                    blocked=blocked,
                )
            )
    if len(hosting) < asked.clusters:
        openings.append(
            Opening(
                tenant=tenant,
                environment=environment,
                asked=asked,
                names=tuple(item.name for item in asked.namespaces),
                count=asked.clusters - len(hosting),
                hosting=tuple(hosting),
                blocked=blocked,
            )
        )
    return stay, openings


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
