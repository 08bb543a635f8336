"""Governance labels as resource labels of Google Cloud, and which of a cluster's labels are ours. Pure.

Google's labels know lower case letters, digits, `_` and `-` only. What else stands in a key or value is written as `_`;
two keys that become one are refused, never merged. Which labels we set is written beside them, as short digests of
their keys: so a label that is no longer declared can be removed, and those of others stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

from atoll.errors import BadInput
from atoll.providers.managed.marks import MARKS

LONGEST: Final = 63
MOST: Final = 64
"""Resource labels that a cluster may have."""
OWNED: Final = "atoll-labels"
"""Which labels are ours; where one value cannot hold them, `atoll-labels-2` and so on go on."""
_DIGEST: Final = 6
_PER_VALUE: Final = (LONGEST + 1) // (_DIGEST + 1)


def build_labels(governance: Mapping[str, str]) -> dict[str, str]:
    """Return governance labels as Google takes them; BadInput names the label that cannot be written."""
    if faults := find_label_faults(governance):
        raise faults[0]
    return {_spell(key): _spell(value) for key, value in sorted(governance.items())}


def find_label_faults(governance: Mapping[str, str]) -> tuple[BadInput, ...]:
    """Find all labels that Google cannot take."""
    found: list[BadInput] = []
    sources: dict[str, str] = {}
    for key, value in sorted(governance.items()):
        spelled = _spell(key)
        if len(spelled) > LONGEST or len(value) > LONGEST:
            found.append(_fault(key, f"is longer than the {LONGEST} characters that Google Cloud allows: shorten it"))
        elif not spelled[:1].isalpha():
            found.append(_fault(key, "does not begin with a letter, as labels of Google Cloud must: rename it"))
        elif spelled in MARKS or spelled.startswith(("goog", OWNED)):
            found.append(_fault(key, f"would be {spelled} in Google Cloud, which is not yours to set: rename it"))
        elif spelled in sources:
            found.append(_fault(key, f"and {sources[spelled]} would both be {spelled} in Google Cloud: rename one"))
        sources.setdefault(spelled, key)
    room = MOST - len(MARKS) - len(_build_owned(sources))
    if len(sources) > room:
        message = f"there are {len(sources)} governance labels, and a cluster of GKE has room for {room}: remove some"
        found.append(BadInput(message, field="spec.labels"))
    return tuple(found)


def merge_labels(present: Mapping[str, str], wanted: Mapping[str, str], marks: Mapping[str, str]) -> dict[str, str]:
    """Return all labels that a cluster shall have: ours as they are wanted, those of others as they are."""
    ours = _read_owned(present)
    kept = {
        key: value
        for key, value in present.items()
        if key not in MARKS and not key.startswith(OWNED) and _digest(key) not in ours
    }
    return {**kept, **wanted, **_build_owned(wanted), **marks}


def _build_owned(keys: Iterable[str]) -> dict[str, str]:
    digests = sorted({_digest(key) for key in keys})
    chunks = [digests[start : start + _PER_VALUE] for start in range(0, len(digests), _PER_VALUE)]
    return {
        OWNED if number == 1 else f"{OWNED}-{number}": "-".join(chunk) for number, chunk in enumerate(chunks, start=1)
    }


def _read_owned(present: Mapping[str, str]) -> frozenset[str]:
    return frozenset(
        digest for key, value in present.items() if key.startswith(OWNED) for digest in value.split("-") if digest
    )


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()[:_DIGEST]


def _spell(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "_", text.lower())


def _fault(key: str, what: str) -> BadInput:
    field = f"spec.labels[{key}]"
    return BadInput(f"label {key} {what}", field=field)
