"""The smallest change that admits a case: each fix mends one rule in a copy of the case, and says so in words.

The fixes run in an order in which a later one never breaks an earlier one, and the result is checked against every
rule before anybody is told of it. What cannot be mended by editing a manifest gets a sentence and no edit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from math import ceil
from types import MappingProxyType
from typing import Final

from atoll.fleet.spec import Meta, Regime, TenantNamespace
from atoll.fleet.values import Resources, Selector, format_quantity

from .case import Case, from_thousandths
from .rules import RULES, find_incompatible, show
from .selectors import choose_labels

Fix = Callable[[Case], tuple[Case, str]]
_MEBIBYTE = 1024 * 1024


def mend(case: Case) -> tuple[Case | None, str]:
    """Return the mended case with the remedy in words; None when no edit of a manifest would do."""
    checks = {rule.code: rule.check for rule in RULES}
    sentences, mended = [], case
    for code, fix in FIXES.items():
        if checks[code](mended):
            mended, sentence = fix(mended)
            sentences.append(sentence)
    admitted = not any(check(mended) for check in checks.values())
    remedy = "; ".join(sentence for sentence in sentences if sentence)
    return (mended if admitted else None), remedy


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
        case = _with_namespaces(
            case, {name: replace(_namespace(case, name), workload_class=accepted[0]) for name in classless}
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
    case = _with_new_regimes(case, missing)
    if lacking:
        attested = tuple(sorted({*case.candidate.regimes, *lacking}))
        case = replace(case, candidate=replace(case.candidate, regimes=attested))
        sentences.append(f"attest it: add {_quote(lacking)} to {case.field}.regimes")
    return case, "; ".join(sentences)


def fix_exclusive(case: Case) -> tuple[Case, str]:
    """Let the tenant demand what the cluster is exclusive for."""
    missing = [name for name in case.candidate.regimes if name not in case.regimes]
    sentences = [f"create Regime {name}" for name in missing]
    case = _with_new_regimes(case, missing)
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
    return _with_regimes(case, changed), "; ".join(sentences)


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
    return _with_regimes(case, changed), "; ".join(sentences)


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
    return _with_regimes(case, changed), f"{sentence}spec.versions.maxMinorsBehind to {behind}"


def fix_supported(case: Case) -> tuple[Case, str]:
    """Say what to ask for instead. Weakening the isolation is nothing that we would propose as an edit."""
    sources = []
    if case.environment.topology != "SharedCluster":
        sources.append(f"use topology SharedCluster in Environment {case.environment.meta.name}")
    if case.isolation != "Namespace":
        named = [f"Regime {name}" for name in case.enforced if _isolation_of(case, name) != "Namespace"]
        if case.environment.isolation != "Namespace":
            named.insert(0, f"Environment {case.environment.meta.name}")
        if case.asked.isolation != "Namespace":
            named.insert(0, f"Tenant {case.tenant.meta.name} spec.environments[{case.asked.name}]")
        sources.append(f"accept isolation Namespace in {', '.join(named)}, or wait for a version that supports more")
    return case, "; ".join(sources)


def fix_capacity(case: Case) -> tuple[Case, str]:
    """Declare more where it is declared; ask for less where nodes are counted and something is left."""
    need, offered = case.need, case.offered
    wanted = need or {"pods": 1000}
    declarable, shrinkable, full = [], [], []
    for name, amount in sorted(wanted.items()):
        if case.candidate.capacity is not None and amount <= offered.get(name, -1) - case.used.get(name, 0):
            continue
        if name not in case.counted:
            declarable.append(name)
        elif _left(case, name) > 0:
            shrinkable.append(name)
        else:
            full.append(name)
    sentences = []
    share = 100 - case.environment.headroom_percent
    if declarable and share > 0:
        amounts = dict(case.candidate.capacity.amounts) if case.candidate.capacity is not None else {}
        for name in declarable:
            enough = (wanted[name] + case.used.get(name, 0)) * 100 / Decimal(share) / 1000
            amounts[name] = _round(name, enough, up=True)
        case = replace(case, candidate=replace(case.candidate, capacity=Resources(MappingProxyType(amounts))))
        text = ", ".join(f"{name} to {format_quantity(amounts[name])}" for name in declarable)
        sentences.append(f"set {case.field}.capacity.{text}, if it really holds that")
    if shrinkable:
        text = ", ".join(f"{format_quantity(_left(case, name))} {name}" for name in shrinkable)
        short = ", ".join(
            f"{show(need[name] - offered.get(name, 0) + case.used.get(name, 0))} {name}" for name in shrinkable
        )
        at = f"Tenant {case.tenant.meta.name} spec.environments[{case.asked.name}]"
        sentences.append(f"ask for {text} in {at}, or free {short} on {case.candidate.cluster}")
        case = _shrink(case, {name: _left(case, name) for name in shrinkable})
    if full:
        sentences.append(f"add nodes to {case.candidate.cluster}, or free {', '.join(full)} there")
    return case, "; ".join(sentences)


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
        "capacity": fix_capacity,
        "allowed-tenants": fix_allowed,
        "ceiling": fix_ceiling,
        "selector": fix_selector,
        "unavailable": fix_available,
        "leaving": fix_leaving,
    }
)
"""What regimes change comes before what reads regimes; labels come last, because stating a country adds one."""


def _quote(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _with_regimes(case: Case, changed: Mapping[str, Regime]) -> Case:
    return replace(case, regimes=MappingProxyType({**case.regimes, **changed}))


def _with_new_regimes(case: Case, names: list[str]) -> Case:
    meta = case.tenant.meta
    return _with_regimes(
        case, {name: Regime(meta=Meta(name=name, namespace=meta.namespace), title=name) for name in names}
    )


def _isolation_of(case: Case, regime: str) -> str:
    return case.regimes[regime].isolation if regime in case.regimes else "Namespace"


def _namespace(case: Case, name: str) -> TenantNamespace:
    return next(item for item in case.asked.namespaces if item.name == name)


def _with_namespaces(case: Case, changed: Mapping[str, TenantNamespace]) -> Case:
    namespaces = tuple(changed.get(item.name, item) for item in case.asked.namespaces)
    asked = replace(case.asked, namespaces=namespaces)
    environments = tuple(asked if item.name == asked.name else item for item in case.tenant.environments)
    return replace(case, tenant=replace(case.tenant, environments=environments))


def _left(case: Case, name: str) -> Decimal:
    """Return what is left of a resource, rounded down to what people would write."""
    return _round(name, from_thousandths(case.offered.get(name, 0) - case.used.get(name, 0)), up=False)


def _round(name: str, amount: Decimal, *, up: bool) -> Decimal:
    """Round to thousandths of a cpu, mebibytes of what is large, and whole ones of the rest."""
    unit = Decimal("0.001") if name == "cpu" else Decimal(_MEBIBYTE if amount >= _MEBIBYTE else 1)
    count = ceil(amount / unit) if up else int(amount // unit)
    return count * unit


def _shrink(case: Case, most: Mapping[str, Decimal]) -> Case:
    """Lower what the namespaces ask for, each by the same share, until they fit together."""
    changed = {}
    sums = {name: sum((item.resources.get(name) for item in case.namespaces), Decimal(0)) for name in most}
    for item in case.namespaces:
        amounts = dict(item.resources.amounts)
        for name, limit in most.items():
            if amounts.get(name, 0) > 0:
                amounts[name] = _round(name, amounts[name] * limit / sums[name], up=False)
        changed[item.name] = replace(item, resources=Resources(MappingProxyType(amounts)))
    return _with_namespaces(case, changed)
