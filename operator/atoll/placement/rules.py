"""The rules: each looks at one case and says what is wrong with it, or nothing.

All of them always run, so that a refusal can name everything that stands in the way. `reads` names what a rule looks
at besides the cluster: equal readings give equal answers, so 2,000 tenants do not cost 2,000 times 500 checks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from atoll.fleet.spec import Isolation
from atoll.fleet.values import format_quantity

from .case import Case, from_thousandths
from .sharing import check_isolation, check_spread, check_topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule with its code."""

    code: str
    check: Callable[[Case], str]
    """Returns what is wrong; empty when nothing is."""
    reads: Callable[[Case], Hashable] | None
    """What it looks at besides the cluster; None: what others hold there too, so the answer changes while placing."""
    per_cluster: bool = True
    """False: it does not look at the cluster at all."""


def check_selector(case: Case) -> str:
    """Check the environment's selector."""
    selector = case.environment.selector
    if selector is None or selector.matches(case.candidate.labels):
        return ""
    if selector.is_empty():
        return "the environment's empty selector matches no cluster"
    labels = case.candidate.labels
    wrong = [f"{key}={labels[key]}" if key in labels else f"no {key}" for key in _selected_keys(case)]
    return f"has {', '.join(wrong)}, and environment {case.environment.meta.name} selects {selector}"


def _selected_keys(case: Case) -> list[str]:
    selector, labels = case.environment.selector, case.candidate.labels
    if selector is None:
        return []
    keys = {key for key, value in selector.match_labels.items() if labels.get(key) != value}
    return sorted(keys | {item.key for item in selector.match_expressions if not item.matches(labels)})


def check_capability(case: Case) -> str:
    """Check that the cluster offers what environment and tenant need."""
    lacking = sorted(
        {*case.environment.required_capabilities, *case.tenant.capabilities} - {*case.candidate.capabilities}
    )
    return f"lacks {', '.join(lacking)}" if lacking else ""


def check_workload_class(case: Case) -> str:
    """Check that a classed cluster gets nothing but its classes."""
    accepted = case.candidate.workload_classes
    refused = sorted({item.workload_class or "none" for item in case.namespaces if item.workload_class not in accepted})
    if not accepted or not refused:
        return ""
    return f"accepts only workload class {', '.join(accepted)}, and these namespaces have {', '.join(refused)}"


def check_reserved(case: Case) -> str:
    """Check that the cluster is not somebody else's."""
    owners = case.candidate.reserved_for
    if owners is None or case.tenant.meta.name in owners:
        return ""
    return f"is reserved for {', '.join(owners) or 'nobody yet'}"


def check_country(case: Case) -> str:
    """Check residency: of what is demanded, and of what is attested there."""
    country = case.candidate.country
    for name in case.enforced:
        regime = case.regimes.get(name)
        if regime is not None and regime.countries and country not in regime.countries:
            where = f"stands in {country}" if country else "has no known country"
            return f"{where}, and regime {name} allows {', '.join(regime.countries)}"
    return ""


def check_attested(case: Case) -> str:
    """Check that the cluster is attested for all that is demanded. A Regime that does not exist is never satisfied."""
    missing = [name for name in case.demanded if name not in case.regimes]
    lacking = [name for name in case.demanded if name in case.regimes and name not in case.candidate.regimes]
    found = [f"regime {name} is demanded and does not exist" for name in missing]
    if lacking:
        found.append(f"is not attested for {', '.join(lacking)}")
    return "; ".join(found)


def check_exclusive(case: Case) -> str:
    """Check that the tenant demands every exclusive regime of the cluster. A missing one might be exclusive."""
    for name in case.candidate.regimes:
        regime = case.regimes.get(name)
        if regime is None:
            return f"is attested for regime {name}, which does not exist"
        if regime.exclusive and name not in case.demanded:
            return f"serves only tenants that demand regime {name}"
    return ""


def check_incompatible(case: Case) -> str:
    """Check that no two incompatible regimes would meet, whoever brings them."""
    there = {*case.enforced, *case.neighbours}
    for one, two in find_incompatible(case):
        if one in there and two in there:
            return f"would bring regimes {one} and {two} together, which are incompatible"
    return ""


def find_incompatible(case: Case) -> list[tuple[str, str]]:
    """List the incompatible pairs that the tenant or the cluster itself has a part in."""
    own, there = set(case.enforced), {*case.enforced, *case.neighbours}
    pairs = set()
    for name in there:
        regime = case.regimes.get(name)
        for other in regime.incompatible_with if regime is not None else ():
            if other in there and other != name and (name in own or other in own):
                pairs.add((min(name, other), max(name, other)))
    return sorted(pairs)


def check_version(case: Case) -> str:
    """Check that the cluster is not older than a regime allows."""
    served = (case.candidate.version.major, case.candidate.version.minor)
    for name in case.enforced:
        regime = case.regimes.get(name)
        limit = regime.max_minors_behind if regime is not None else None
        if limit is None or served >= case.newest:
            continue
        if served[0] < case.newest[0] or case.newest[1] - served[1] > limit:
            newest = f"v{case.newest[0]}.{case.newest[1]}"
            return f"serves {case.candidate.version}, and regime {name} allows {limit} minors behind {newest}"
    return ""


def check_supported(case: Case) -> str:
    """Check that this build can keep the tenant apart in the way that is asked for."""
    if case.isolation is Isolation.HOSTS:
        return "isolation Hosts is not supported by this version, which keeps tenants apart by namespace or by cluster"
    return ""


def check_border(case: Case) -> str:
    """Check that walls hold where the tenant needs them: under a regime, or where it says who may talk to it."""
    if not case.candidate.unwalled or not (case.demanded or case.tenant.network):
        return ""
    why = f"regime {case.demanded[0]}" if case.demanded else "spec.network"
    return f"enforces no NetworkPolicy, and the tenant needs a border ({why})"


def check_capacity(case: Case) -> str:
    """Check that all that is asked for is free, headroom taken off."""
    if case.candidate.capacity is None:
        return "its capacity is unknown: it has neither nodes nor `capacity`"
    found = []
    offered = case.offered
    for name, need in sorted(case.need.items()):
        if name not in offered:
            found.append(f"its capacity does not name {name}")
            continue
        free = offered[name] - case.used.get(name, 0)
        if free < need:
            found.append(f"{show(max(free, 0))} of {show(need)} {name} free")
    return ", ".join(found)


def check_allowed(case: Case) -> str:
    """Check that the environment lets the tenant in."""
    allowed = case.environment.allowed_tenants
    if allowed is None or case.tenant.meta.name in allowed:
        return ""
    return f"environment {case.environment.meta.name} does not allow tenant {case.tenant.meta.name}"


def check_ceiling(case: Case) -> str:
    """Check that the tenant stays within what one tenant may have in the environment, over all its clusters."""
    most = case.environment.max_per_tenant
    over = [
        name for name, amount in sorted(case.total.amounts.items()) if name in most.amounts and amount > most.get(name)
    ]
    if not over:
        return ""
    asked = ", ".join(f"{format_quantity(case.total.get(name))} {name}" for name in over)
    ceiling = ", ".join(f"{format_quantity(most.get(name))} {name}" for name in over)
    return f"asks for {asked}, and environment {case.environment.meta.name} allows {ceiling} per tenant"


def check_available(case: Case) -> str:
    """Check that the cluster is known to be well: an unknown one accepts nothing new."""
    if case.candidate.available:
        return ""
    return case.candidate.unavailable_message or "it is not available"


def check_leaving(case: Case) -> str:
    """Check that the cluster is not on its way out."""
    return "is leaving the fleet and accepts nothing new" if case.candidate.leaving else ""


def show(thousandths: int) -> str:
    """Write an amount for people and manifests."""
    return format_quantity(from_thousandths(thousandths))


def _read_demanded(case: Case) -> Hashable:
    return case.demanded


RULES: Final = (
    Rule(code="selector", check=check_selector, reads=lambda case: case.environment.meta.name),
    Rule(
        code="capability",
        check=check_capability,
        reads=lambda case: frozenset((*case.environment.required_capabilities, *case.tenant.capabilities)),
    ),
    Rule(
        code="workload-class",
        check=check_workload_class,
        reads=lambda case: frozenset(item.workload_class for item in case.namespaces),
    ),
    Rule(code="reserved", check=check_reserved, reads=lambda case: case.tenant.meta.name),
    Rule(code="country", check=check_country, reads=_read_demanded),
    Rule(code="not-attested", check=check_attested, reads=_read_demanded),
    Rule(code="regime-exclusive", check=check_exclusive, reads=_read_demanded),
    Rule(code="regime-incompatible", check=check_incompatible, reads=None),
    Rule(code="version", check=check_version, reads=_read_demanded),
    Rule(
        code="not-supported",
        check=check_supported,
        reads=lambda case: (case.environment.isolation, case.asked.isolation, case.demanded),
    ),
    Rule(code="isolation", check=check_isolation, reads=None),
    Rule(code="topology", check=check_topology, reads=None),
    Rule(code="border", check=check_border, reads=lambda case: (case.demanded, bool(case.tenant.network))),
    Rule(code="spread", check=check_spread, reads=None),
    Rule(code="capacity", check=check_capacity, reads=None),
    Rule(
        code="allowed-tenants",
        check=check_allowed,
        per_cluster=False,
        reads=lambda case: (case.environment.meta.name, case.tenant.meta.name),
    ),
    Rule(
        code="ceiling",
        check=check_ceiling,
        per_cluster=False,
        reads=lambda case: (case.environment.meta.name, case.tenant.meta.name),
    ),
    Rule(code="unavailable", check=check_available, reads=lambda case: ()),
    Rule(code="leaving", check=check_leaving, reads=lambda case: ()),
)
"""In the order in which a refusal names them."""

BINDING: Final = ("not-attested", "regime-exclusive", "country", "regime-incompatible", "isolation")
"""Rules that bind for as long as somebody stands there: broken later, they plan a move."""
DRIFTING: Final = ("selector", "capability", "workload-class", "reserved", "version", "allowed-tenants", "ceiling")
"""Rules that bind when placing: broken later, they are told of, and move nobody."""
