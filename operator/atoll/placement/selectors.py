"""Which labels would make a selector match: chosen key by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from atoll.fleet.decisions import Candidate
from atoll.fleet.labels import is_reserved
from atoll.fleet.values import Requirement, Selector

_FACTS: Final = ("region", "country")
"""Labels that repeat a field of the member: nobody should be told to lie about them."""


def choose_labels(selector: Selector, candidate: Candidate) -> tuple[dict[str, str], str, str, frozenset[str]]:
    """Return labels, region and country with which the selector matches, and the keys for which nothing would do."""
    labels = dict(candidate.labels)
    facts = {"region": candidate.region, "country": candidate.country}
    hopeless = set()
    for key in sorted({*selector.match_labels, *(item.key for item in selector.match_expressions)}):
        requirements = _requirements(selector, key)
        if all(item.matches(labels) for item in requirements):
            continue
        value = _choose_value(key, requirements)
        settable = not is_reserved(key) and (key not in _FACTS or (key not in labels and not facts[key]))
        if value is None or not settable or (key == "country" and not _is_country(value)):
            hopeless.add(key)
            continue
        labels[key] = value
        if key in facts:
            facts[key] = value
    return labels, facts["region"], facts["country"], frozenset(hopeless)


def _requirements(selector: Selector, key: str) -> tuple[Requirement, ...]:
    """List what is required of one key, `matchLabels` included."""
    found = [item for item in selector.match_expressions if item.key == key]
    if key in selector.match_labels:
        found.insert(0, Requirement(key=key, operator="In", values=(selector.match_labels[key],)))
    return tuple(found)


def _choose_value(key: str, requirements: Iterable[Requirement]) -> str | None:
    """Return the first value that satisfies all requirements of a key; None when none does."""
    requirements = tuple(requirements)
    proposals = [value for item in requirements if item.operator == "In" for value in item.values]
    for value in [*proposals, "true", "other"]:
        labels: Mapping[str, str] = {key: value}
        if all(item.matches(labels) for item in requirements):
            return value
    return None


def _is_country(text: str) -> bool:
    return len(text) == 2 and text.isascii() and text.isupper()
