"""The smallest change that admits a case: each fix mends one rule in a copy of the case, and says so in words.

The fixes run in an order in which a later one never breaks an earlier one, and the result is checked against every
rule before anybody is told of it. What cannot be mended by editing a manifest gets a sentence and no edit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from atoll.fleet.spec import Regime
from atoll.fleet.values import Resources, Selector, format_quantity

from .case import Case
from .edits import find_namespace, with_namespaces, with_new_regimes, with_regimes
from .remedies_capacity import fix_capacity
from .remedies_sharing import fix_isolation, fix_spread, fix_supported, fix_topology
from .rules import RULES, find_incompatible
from .selectors import choose_labels

Fix = Callable[[Case], tuple[Case, str]]
_CHECKS: Final = {rule.code: rule.check for rule in RULES}


def mend(case: Case) -> tuple[Case | None, str]:
    """Return the mended case with the remedy in words; None when no edit of a manifest would do.

    A fix that another one has made needless is left out again.
    """
    mended, told = _apply(case, tuple(FIXES))
    if any(rule.check(mended) for rule in RULES):
        return None, "; ".join(told.values())
    for code in tuple(told):
        fewer, words = _apply(case, tuple(item for item in told if item != code))
        if not any(rule.check(fewer) for rule in RULES):
            mended, told = fewer, words
    return mended, "; ".join(told.values())


def _apply(case: Case, codes: Sequence[str]) -> tuple[Case, dict[str, str]]:
    """Apply these fixes where their rules are broken; return the words of each that was."""
    told = {}
    for code in codes:
        if _CHECKS[code](case):
            case, sentence = FIXES[code](case)
            told[code] = sentence
    return case, {code: sentence for code, sentence in told.items() if sentence}


def fix_capability(case: Case) -> tuple[Case, str]:
    """Let the member offer what is lacking."""
    old = case.candidate.capabilities
    lacking = sorted({*case.environment.required_capabilities, *case.tenant.capabilities} - {*old})
    return (
        replace(case, candidate=replace(case.candidate, capabilities=tuple(sorted({*old, *lacking})))),
        f"add {_quote(lacking)} to {case.field}.capabilities",
    )


def fix_workload_class(case: Case) -> tuple[Case, str]:
    """Let the cluster accept the classes; where a namespace has none, give it one, or open the cluster to all."""
    accepted = case.candidate.workload_classes
    if any(not item.name and not item.workload_class for item in case.namespaces):
        opened = replace(case, candidate=replace(case.candidate, workload_classes=()))
        return opened, f"remove {case.field}.workloadClasses, or declare namespaces with a workloadClass"
    lacking = sorted({item.workload_class for item in case.namespaces if item.workload_class} - {*accepted})
    classless = [item.name for item in case.namespaces if not item.workload_class]
    sentences = []
    if classless:
        case = with_namespaces(
            case, {name: replace(find_namespace(case, name), workload_class=accepted[0]) for name in classless}
        )
        sentences.append(f"give {', '.join(classless)} of Tenant {case.tenant.meta.name} workloadClass {accepted[0]}")
    if lacking:
        case = replace(case, candidate=replace(case.candidate, workload_classes=(*accepted, *lacking)))
        sentences.append(f"add {_quote(lacking)} to {case.field}.workloadClasses")
    return case, "; ".join(sentences)


def fix_reserved(case: Case) -> tuple[Case, str]:
    """Add the tenant to the owners."""
    name = case.tenant.meta.name
    owners = (*(case.candidate.reserved_for or ()), name)
    return (
        replace(case, candidate=replace(case.candidate, reserved_for=owners)),
        f'add "{name}" to {case.field}.reservedFor.tenants',
    )


def fix_attested(case: Case) -> tuple[Case, str]:
    """Create what does not exist, and attest what is demanded."""
    missing = [name for name in case.demanded if name not in case.regimes]
    lacking = [name for name in case.demanded if name not in case.candidate.regimes]
    sentences = [f"create Regime {name}" for name in missing]
    case = with_new_regimes(case, missing)
    if lacking:
        attested = tuple(sorted({*case.candidate.regimes, *lacking}))
        case = replace(case, candidate=replace(case.candidate, regimes=attested))
        sentences.append(f"attest it: add {_quote(lacking)} to {case.field}.regimes")
    return case, "; ".join(sentences)


def fix_exclusive(case: Case) -> tuple[Case, str]:
    """Let the tenant demand what the cluster is exclusive for."""
    missing = [name for name in case.candidate.regimes if name not in case.regimes]
    sentences = [f"create Regime {name}" for name in missing]
    case = with_new_regimes(case, missing)
    lacking = [name for name in case.candidate.regimes if case.regimes[name].exclusive and name not in case.demanded]
    if lacking:
        case = replace(case, tenant=replace(case.tenant, regimes=(*case.tenant.regimes, *lacking)))
        sentences.append(f"add {_quote(lacking)} to Tenant {case.tenant.meta.name} spec.regimes")
    return case, "; ".join(sentences)


def fix_country(case: Case) -> tuple[Case, str]:
    """State a country that is not known; one that is known is a fact, so it is the regime that must allow it."""
    strict = {
        name: case.regimes[name] for name in case.enforced if name in case.regimes and case.regimes[name].countries
    }
    country, sentences = case.candidate.country, []
    if not country:
        common = set.intersection(*(set(regime.countries) for regime in strict.values()))
        every = sorted(common) or sorted({item for regime in strict.values() for item in regime.countries})
        country = every[0]
        labels = MappingProxyType({"country": country, **case.candidate.labels})
        case = replace(case, candidate=replace(case.candidate, country=country, labels=labels))
        sentences.append(f"set {case.field}.country to where it stands, such as {country}")
    changed = {
        name: replace(regime, countries=(*regime.countries, country))
        for name, regime in strict.items()
        if country not in regime.countries
    }
    sentences += [f'add "{country}" to Regime {name} spec.countries' for name in changed]
    return with_regimes(case, changed), "; ".join(sentences)


def fix_incompatible(case: Case) -> tuple[Case, str]:
    """Let the regimes stand each other; nothing less does, where both are needed on this cluster."""
    pairs = find_incompatible(case)
    changed: dict[str, Regime] = {}
    sentences = []
    for pair in pairs:
        for name, other in (pair, pair[::-1]):
            regime = changed.get(name) or case.regimes.get(name)
            if regime is not None and other in regime.incompatible_with:
                left = tuple(item for item in regime.incompatible_with if item != other)
                changed[name] = replace(regime, incompatible_with=left)
                sentences.append(f'remove "{other}" from Regime {name} spec.incompatibleWith')
    return with_regimes(case, changed), "; ".join(sentences)


def fix_version(case: Case) -> tuple[Case, str]:
    """Let the regimes allow the version that is served."""
    served, newest = case.candidate.version, case.newest
    behind = newest[1] - served.minor
    if served.major != newest[0]:
        return case, f"upgrade ClusterSet {case.candidate.set_name} to v{newest[0]}.{newest[1]}"
    changed = {}
    for name in case.enforced:
        regime = case.regimes.get(name)
        if regime is not None and regime.max_minors_behind is not None and regime.max_minors_behind < behind:
            changed[name] = replace(regime, max_minors_behind=behind)
    sentence = f"upgrade ClusterSet {case.candidate.set_name}, or set Regime {', '.join(changed)} "
    return with_regimes(case, changed), f"{sentence}spec.versions.maxMinorsBehind to {behind}"


def fix_allowed(case: Case) -> tuple[Case, str]:
    """Let the tenant in."""
    name = case.tenant.meta.name
    allowed = (*(case.environment.allowed_tenants or ()), name)
    return (
        replace(case, environment=replace(case.environment, allowed_tenants=allowed)),
        f'add "{name}" to Environment {case.environment.meta.name} spec.allowedTenants',
    )


def fix_ceiling(case: Case) -> tuple[Case, str]:
    """Raise the ceiling to what is asked for."""
    old = case.environment.max_per_tenant.amounts
    raised = {name: max(amount, case.total.get(name)) for name, amount in old.items()}
    over = [name for name in sorted(raised) if raised[name] != old[name]]
    text = ", ".join(f"{name} to {format_quantity(raised[name])}" for name in over)
    changed = replace(case.environment, max_per_tenant=Resources(MappingProxyType(raised)))
    sentence = f"raise Environment {case.environment.meta.name} spec.maxPerTenant.{text}, or ask for less"
    return replace(case, environment=changed), sentence


def fix_selector(case: Case) -> tuple[Case, str]:
    """Label the member so that it is selected; where labels cannot help, widen the selector."""
    selector = case.environment.selector or Selector()
    candidate, environment = case.candidate, case.environment
    labels, region, country, hopeless = choose_labels(selector, candidate)
    before = candidate.labels
    sentences = []
    changed = {key: value for key, value in labels.items() if before.get(key) != value}
    for field, value in (("region", region), ("country", country)):
        if value != getattr(candidate, field):
            sentences.append(f"set {case.field}.{field} to {value}, if that is true")
            changed.pop(field, None)
    if changed:
        text = ", ".join(f"{key}={value}" for key, value in sorted(changed.items()))
        sentences.append(f"set {text} in {case.field}.labels")
    candidate = replace(candidate, labels=MappingProxyType(labels), region=region, country=country)
    if hopeless or selector.is_empty():
        kept = Selector(
            match_labels=MappingProxyType({k: v for k, v in selector.match_labels.items() if k not in hopeless}),
            match_expressions=tuple(
                item for item in selector.match_expressions if item.key not in hopeless or item.matches(labels)
            ),
        )
        environment = replace(environment, selector=None if kept.is_empty() else kept)
        what = f"let go of {', '.join(sorted(hopeless))} in" if hopeless else "remove the empty"
        sentences.append(f"{what} Environment {environment.meta.name} spec.placement.clusterSelector")
    return replace(case, candidate=candidate, environment=environment), "; ".join(sentences)


def fix_border(case: Case) -> tuple[Case, str]:
    """Say which pod network would hold; only a new verification can prove it."""
    return case, (
        f"give ClusterSet {case.candidate.set_name} a pod network that enforces NetworkPolicies "
        "(spec.provider.kubeadm.podNetwork.manifestsRef)"
    )


def fix_available(case: Case) -> tuple[Case, str]:
    """Say where to look; time or repair helps, no manifest does."""
    return case, f"wait until {case.candidate.cluster} is available (atoll why child/{case.candidate.cluster})"


def fix_leaving(case: Case) -> tuple[Case, str]:
    """Say how it would stay."""
    return (
        case,
        f"declare {case.candidate.member_name} in ClusterSet {case.candidate.set_name} again, or use another cluster",
    )


FIXES: Final[Mapping[str, Fix]] = MappingProxyType(
    {
        "capability": fix_capability,
        "workload-class": fix_workload_class,
        "reserved": fix_reserved,
        "not-attested": fix_attested,
        "regime-exclusive": fix_exclusive,
        "country": fix_country,
        "regime-incompatible": fix_incompatible,
        "version": fix_version,
        "not-supported": fix_supported,
        "border": fix_border,
        "isolation": fix_isolation,
        "topology": fix_topology,
        "capacity": fix_capacity,
        "allowed-tenants": fix_allowed,
        "ceiling": fix_ceiling,
        "selector": fix_selector,
        "spread": fix_spread,
        "unavailable": fix_available,
        "leaving": fix_leaving,
    }
)
"""What regimes change comes before what reads regimes. Labels come late, because stating a country or region adds one.

Spread comes last: a wider selector has more regions to spread over."""


def _quote(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
