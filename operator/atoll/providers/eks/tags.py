"""Tags: Atoll's own and those out of governance labels. What others have put on a resource stays. Pure.

A governance label that is taken back has to go from the cloud too, without taking anybody's own tag along: so one tag
of ours tells which keys were set by us, by the first 24 bits of their digests.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from atoll.errors import BadInput
from atoll.ports import ClusterRef
from atoll.providers.managed.marks import ID, MARKS

AFTER: Final = "atoll-after"
"""The newest moment that EKS told of when the latest operation began: failures that are older are not its own."""
KEYS: Final = "atoll-labels"
OWN: Final = MARKS | {AFTER, KEYS}
LONGEST_KEY: Final = 128
LONGEST_VALUE: Final = 256
MOST_TAGS: Final = 50
_ALLOWED: Final = re.compile(r"[\w .:/=+\-@]*")
_DIGEST_LENGTH: Final = 4


def build_tags(ref: ClusterRef, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that a resource of a cluster shall carry; BadInput where AWS does not allow a label."""
    for key, value in labels.items():
        _check(key, value)
    if len(labels) > MOST_TAGS - len(OWN):
        raise BadInput(
            f"{len(labels)} governance labels are more than the {MOST_TAGS - len(OWN)} that AWS has room for as tags: "
            "use fewer labels",
            field="spec.labels",
        )
    keys = "".join(sorted(_digest(key) for key in labels))
    return {**labels, ID: ref.id, **({KEYS: keys} if keys else {})}


def find_stale(seen: Mapping[str, str], wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys that we have set once, and that no label asks for any more."""
    kept = seen.get(KEYS, "")
    ours = {kept[at : at + _DIGEST_LENGTH] for at in range(0, len(kept), _DIGEST_LENGTH)}
    stale = {key for key in seen if key not in wanted and key not in OWN and _digest(key) in ours}
    return tuple(sorted(stale | ({KEYS} if kept and KEYS not in wanted else set())))


def find_missing(seen: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that are not there, or have another value."""
    return {key: value for key, value in wanted.items() if seen.get(key) != value}


def _check(key: str, value: str) -> None:
    if key.lower().startswith("aws:") or key in OWN or not _ALLOWED.fullmatch(key) or len(key) > LONGEST_KEY:
        raise BadInput(
            f"governance label `{key}` cannot be a tag of AWS: keys have at most {LONGEST_KEY} characters out of "
            "letters, digits, spaces and . : / = + - @ _, and do not begin with aws: or atoll-. Choose another key",
            field="spec.labels",
        )
    if not _ALLOWED.fullmatch(value) or len(value) > LONGEST_VALUE:
        raise BadInput(
            f"the value of governance label `{key}` cannot be that of a tag of AWS: use at most {LONGEST_VALUE} "
            "characters out of letters, digits, spaces and . : / = + - @ _",
            field="spec.labels",
        )


def _digest(key: str) -> str:
    return base64.urlsafe_b64encode(sha256(key.encode()).digest()[:3]).decode()
