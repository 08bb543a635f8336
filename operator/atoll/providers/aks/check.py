"""What stands in the way of an operation, as far as it can be told without asking Azure. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from atoll.errors import BadInput
from atoll.fleet.values import Version
from atoll.ports import Finding, Operation, WantedCluster

from .bodies import is_private
from .seen import SeenCluster, parse_number, read_path
from .settings import PATH, Settings, check_pod_network, find_problems, parse_settings
from .tags import build_tags

IMMUTABLE = "ImmutableField"


def check(wanted: WantedCluster, _operation: Operation, seen: SeenCluster | None) -> tuple[Finding, ...]:
    """Find what is missing, contradicts itself, or can never be."""
    problems = (*find_problems(wanted.settings), *_check_tags(wanted))
    if problems:
        return problems
    settings = parse_settings(wanted.settings)
    if seen is None:
        return check_pod_network(settings, wanted.pod_cidr)
    return (*_check_hop(wanted, seen), *_check_place(wanted, settings, seen), *_check_pools(settings, seen))


def find_hop_problem(target: Version, served: Version | None) -> str:
    """Say why AKS cannot go from one version to another; empty when it can."""
    if served is None:
        return ""
    if (target.major, target.minor) < (served.major, served.minor) or (
        target.minor == served.minor and target.patch is not None and target < served
    ):
        return f"the cluster runs {served}, and AKS goes back to no older version: write spec.version {served} or newer"
    if target.major != served.major or target.minor > served.minor + 1:
        following = f"v{served.major}.{served.minor + 1}"
        return f"the cluster runs {served}, and AKS goes one minor at a time: write spec.version {following} first"
    return ""


def _check_tags(wanted: WantedCluster) -> tuple[Finding, ...]:
    try:
        build_tags(wanted.labels)
    except BadInput as error:
        return (Finding.of(error),)
    return ()


def _check_hop(wanted: WantedCluster, seen: SeenCluster) -> Iterator[Finding]:
    problem = find_hop_problem(Version.parse(wanted.version), parse_number(seen.version))
    if problem:
        yield Finding(reason="VersionSkipped", message=problem, field="spec.version")


def _check_place(wanted: WantedCluster, settings: Settings, seen: SeenCluster) -> Iterator[Finding]:
    """Find what Azure lets nobody change in a cluster."""
    facts = (
        (f"{PATH}.location", _plain(settings.place.location), _plain(str(seen.body.get("location") or ""))),
        ("spec.network", wanted.pod_cidr, read_path(seen.properties, "networkProfile", "podCidr")),
        ("spec.network", wanted.service_cidr, read_path(seen.properties, "networkProfile", "serviceCidr")),
    )
    for field, declared, there in facts:
        if declared and there and declared != there:
            yield _refuse(field, f"{there}, and {declared} is declared")
    if settings.is_private != is_private(seen):
        here, then = ("private", "public") if is_private(seen) else ("public", "private")
        yield _refuse(f"{PATH}.endpointAccess", f"a {here} API server, and a {then} one is declared")


def _check_pools(settings: Settings, seen: SeenCluster) -> Iterator[Finding]:
    there = {pool.name: str(pool.body.get("vmSize") or "") for pool in seen.pools}
    for pool in settings.pools:
        size = there.get(pool.name, "")
        if size and size.casefold() != pool.vm_size.casefold():
            yield Finding(
                reason=IMMUTABLE,
                message=f"agent pool {pool.name} has machines of {size}, and {pool.vm_size} is declared. AKS changes "
                "no pool's size of machine: declare a pool of another name with the new size, and leave this one out",
                field=f"{PATH}.agentPools[{pool.name}].vmSize",
            )


def _refuse(field: str, what: str) -> Finding:
    message = (
        f"the cluster has {what}. AKS never changes that in a cluster: write what it has, or declare a new member and "
        "move the tenants"
    )
    return Finding(reason=IMMUTABLE, message=message, field=field)


def _plain(location: str) -> str:
    """Return a location as Azure compares it: `West Europe` is `westeurope`."""
    return location.replace(" ", "").casefold()
