"""The smallest change where there is not enough room: declare more where it is declared, or ask for less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from math import ceil
from types import MappingProxyType
from typing import Final

from atoll.fleet.values import Resources, format_quantity

from .case import Case, from_thousandths
from .edits import with_namespaces
from .rules import show

_MEBIBYTE: Final = 1024 * 1024


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
    return with_namespaces(case, changed)
