"""What a spec asks for that cannot be done: found before anything moves, named with field and remedy.

What the API admits and this version does not do yet is refused here, openly; it is never passed over in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from atoll.fleet import reasons
from atoll.fleet.decisions import Problem
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet, Environment, Isolation, Tenant
from atoll.machines.demands import check_demands
from atoll.membership.drills import check_cron

from .login import check_authentication
from .settings import merge_settings

CRON: Final = "spec.backup.drillCron"
SetCheck = Callable[[ClusterSet, Fleet], list[Problem]]


def check_fleet(fleet: Fleet) -> tuple[Problem, ...]:
    """Run every check on every object and report all findings."""
    problems = [
        Problem(kind=item.kind, name=item.name, path=item.path, reason=item.reason, message=item.message)
        for item in fleet.invalid
    ]
    for cluster_set in fleet.cluster_sets:
        for check in SET_CHECKS:
            problems += check(cluster_set, fleet)
    for environment in fleet.environments:
        problems += _check_environment(environment)
    for tenant in fleet.tenants:
        problems += _check_tenant(tenant)
    problems += _check_pools(fleet)
    return tuple(problems)


def _check_provider(cluster_set: ClusterSet, fleet: Fleet) -> list[Problem]:
    kind = cluster_set.provider.kind
    if kind in fleet.providers:
        return []
    there = ", ".join(sorted(fleet.providers)) or "none"
    return [
        _problem(
            cluster_set,
            f"spec.provider.{kind}",
            reasons.PROVIDER_MISSING,
            f"spec.provider.{kind} is not available here; this operator has: {there}. Use one of those, or an "
            "operator that has it.",
        )
    ]


def _check_version(cluster_set: ClusterSet, fleet: Fleet) -> list[Problem]:
    available = fleet.versions.get(cluster_set.provider.kind, ())
    if not available or any(cluster_set.version.is_satisfied_by(version) for version in available):
        return []
    # Members that serve it already need no binaries to go on serving it.
    children = fleet.children_of(cluster_set.meta.name)
    if children and all(child.version == cluster_set.version for child in children):
        return []
    choices = ", ".join(str(version) for version in available)
    return [
        _problem(
            cluster_set,
            "spec.version",
            reasons.VERSION_UNAVAILABLE,
            f"spec.version {cluster_set.version} cannot be had for provider {cluster_set.provider.kind}. Choose one "
            f"of {choices}, or put its binaries into $ATOLL_ASSETS/{cluster_set.version}/.",
        )
    ]


def _check_names(cluster_set: ClusterSet, fleet: Fleet) -> list[Problem]:
    del fleet
    names = [member.name for member in cluster_set.members]
    doubles = sorted({name for name in names if names.count(name) > 1})
    return [
        _problem(
            cluster_set,
            f"spec.clusters[{name}]",
            reasons.DUPLICATE_MEMBER,
            f"spec.clusters names {name} more than once; names of members must be unique. Rename or remove one.",
        )
        for name in doubles
    ]


def _check_backup(cluster_set: ClusterSet, fleet: Fleet) -> list[Problem]:
    """Refuse drills where nobody can do them, and cron times that never come."""
    info = fleet.providers.get(cluster_set.provider.kind)
    cron = str(cluster_set.backup.get("drillCron", ""))
    asked = [("spec.backup.drillBeforeHop", bool(cluster_set.backup.get("drillBeforeHop"))), (CRON, bool(cron))]
    if info is not None and not info.can_drill:
        return [
            _problem(
                cluster_set,
                path,
                reasons.NOT_IMPLEMENTED,
                f"{path} asks for restore drills, which this version of Atoll cannot do for provider "
                f"{cluster_set.provider.kind} yet. Remove it to go on.",
            )
            for path, wanted in asked
            if wanted
        ]
    wrong = check_cron(cron) if cron else ""
    return [_problem(cluster_set, CRON, reasons.INVALID_SPEC, f"{CRON}: {wrong}.")] if wrong else []


def _check_hosts(cluster_set: ClusterSet, fleet: Fleet) -> list[Problem]:
    """Refuse what kubeadm blocks ask for and this version does not do; a member's own block is named as such."""
    info = fleet.providers.get(cluster_set.provider.kind)
    if info is None or not info.uses_host_pool:
        return []
    found: dict[tuple[str, str], Problem] = {}
    for member in cluster_set.members:
        for finding in check_demands(merge_settings(cluster_set, member.name)):
            field = finding.field.rpartition(".")[2]
            own = field in member.settings
            path = f"spec.clusters[{member.name}].kubeadm.{field}" if own else finding.field
            found[path, finding.reason] = _problem(cluster_set, path, finding.reason, f"{path}: {finding.message}")
    return list(found.values())


def _check_pools(fleet: Fleet) -> list[Problem]:
    return [
        Problem(
            kind="HostPool",
            name=pool.meta.name,
            path="spec.reimage",
            reason=reasons.NOT_IMPLEMENTED,
            message="spec.reimage asks for new images on hosts, which this version of Atoll does not do yet: a host of "
            "the wrong image is only refused. Remove it to go on.",
        )
        for pool in fleet.host_pools
        if pool.reimage
    ]


def _check_environment(environment: Environment) -> list[Problem]:
    problems = []
    if environment.selector is not None and environment.selector.is_empty():
        problems.append(
            Problem(
                kind="Environment",
                name=environment.meta.name,
                path="spec.placement.clusterSelector",
                reason=reasons.INVALID_SPEC,
                message="spec.placement.clusterSelector must name a label or be left out; an empty one takes nothing.",
            )
        )
    if environment.isolation is Isolation.HOSTS:
        problems.append(
            Problem(
                kind="Environment",
                name=environment.meta.name,
                path="spec.isolation",
                reason=reasons.NOT_IMPLEMENTED,
                message="spec.isolation Hosts is not supported by this version of Atoll; use Cluster.",
            )
        )
    return problems


def _check_tenant(tenant: Tenant) -> list[Problem]:
    return [
        Problem(
            kind="Tenant",
            name=tenant.meta.name,
            path=f"spec.environments[{entry.name}].isolation",
            reason=reasons.NOT_IMPLEMENTED,
            message=f"spec.environments[{entry.name}].isolation Hosts is not supported by this version of Atoll; use "
            "Cluster.",
        )
        for entry in tenant.environments
        if entry.isolation is Isolation.HOSTS
    ]


def _problem(cluster_set: ClusterSet, path: str, reason: str, message: str) -> Problem:
    return Problem(kind="ClusterSet", name=cluster_set.meta.name, path=path, reason=reason, message=message)


SET_CHECKS: Final[tuple[SetCheck, ...]] = (
    _check_provider,
    _check_version,
    _check_names,
    _check_backup,
    check_authentication,
    _check_hosts,
)
