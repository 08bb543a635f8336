"""Governance labels as tags of Azure. Pure.

Azure forbids some characters in names of tags, the slash of label keys among them, and does not tell names apart by
case. Two labels that would meet in one tag are refused: neither may silently win.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from atoll.errors import BadInput
from atoll.providers.managed.marks import MARKS

MOST_TAGS: Final = 50
LONGEST_NAME: Final = 512
LONGEST_VALUE: Final = 256
ATTEMPT: Final = "atoll-attempt"
"""How often the operation of the marks has been sent to Azure; absent: once, or it is over."""
OWN: Final = MARKS | {ATTEMPT}
RESERVED_PREFIXES: Final = ("microsoft", "azure", "windows")
_FORBIDDEN: Final = re.compile(r"[<>%&\\?/\x00-\x1f\x7f]")
_REGIMES: Final = ("governance.atoll.dev_", "regime.atoll.dev_")
"""Nobody but Atoll may write labels under these, so the tags are Atoll's to remove, too."""


def build_tag_name(key: str) -> str:
    """Return the name of the tag for a label key."""
    return _FORBIDDEN.sub("_", key)


def build_tags(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the tags for governance labels; raises BadInput where Azure would not take them, or two would meet."""
    taken: dict[str, str] = {mark.casefold(): "a mark of Atoll" for mark in OWN}
    tags: dict[str, str] = {}
    for key, value in sorted(labels.items()):
        name = build_tag_name(key)
        other = taken.setdefault(name.casefold(), f"label {key}")
        if other != f"label {key}":
            raise BadInput(
                f"label {key} would become the tag {name} of Azure, which is taken by {other}: rename the label",
                field="spec.labels",
            )
        if name.casefold().startswith(RESERVED_PREFIXES):
            raise BadInput(
                f"label {key} would become the tag {name}, and Azure keeps names that begin with "
                f"{', '.join(RESERVED_PREFIXES)} to itself: rename the label",
                field="spec.labels",
            )
        if len(name) > LONGEST_NAME or len(value) > LONGEST_VALUE:
            raise BadInput(
                f"label {key} is too long for a tag of Azure ({LONGEST_NAME} characters, its value {LONGEST_VALUE}): "
                "shorten it",
                field="spec.labels",
            )
        tags[name] = value
    if len(tags) + len(OWN) > MOST_TAGS:
        raise BadInput(
            f"{len(tags)} labels are more than the {MOST_TAGS - len(OWN)} tags that Azure leaves for them: "
            "use fewer labels",
            field="spec.labels",
        )
    return tags


def merge_tags(there: Mapping[str, str], tags: Mapping[str, str], marks: Mapping[str, str]) -> dict[str, str]:
    """Return all tags that a cluster shall have: strangers' stay, those of regimes that bind no more go."""
    ours = {name.casefold() for name in (*tags, *OWN)}
    kept = {
        name: value
        for name, value in there.items()
        if name.casefold() not in ours and not name.casefold().startswith(_REGIMES)
    }
    return {**kept, **tags, **marks}


def find_tag_drift(there: Mapping[str, str], tags: Mapping[str, str]) -> tuple[str, ...]:
    """Say which tags differ, one sentence each."""
    found = []
    for name, value in sorted(tags.items()):
        if name not in there:
            found.append(f"tag {name} is missing")
        elif there[name] != value:
            found.append(f"tag {name} is {there[name]!r} and shall be {value!r}")
    stale = sorted(name for name in there if name not in tags and name.casefold().startswith(_REGIMES))
    return (*found, *(f"tag {name} is there, and its regime binds no more" for name in stale))
