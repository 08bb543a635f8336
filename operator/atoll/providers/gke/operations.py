"""What GKE's own list of operations says before a call is made: that it is at work, or has failed too often. Pure.

A cluster does not tell that an operation on it has failed: it is as it was. So a call whose operation ended badly would
be made again for ever; after some times in a row the cloud's own words are the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

from atoll.errors import AtollError, Conflict, QuotaExceeded, Refused
from atoll.providers.managed.moves import Call

ATTEMPTS: Final = 3
WINDOW: Final = timedelta(minutes=30)
BESIDE: Final = frozenset({"AUTO_REPAIR_NODES"})
"""Operations beside which others may run."""
TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "create_cluster": "CREATE_CLUSTER",
        "delete_cluster": "DELETE_CLUSTER",
        "update_master": "UPGRADE_MASTER",
        "create_node_pool": "CREATE_NODE_POOL",
        "update_node_pool": "UPGRADE_NODES",
        "delete_node_pool": "DELETE_NODE_POOL",
    }
)
"""Calls that are not made again and again, and the type of their operation."""
_QUOTA: Final = re.compile(r"\bquota\b|RESOURCE_EXHAUSTED", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a call is about."""

    cluster: str
    pool: str = ""


def find_target(call: Call) -> Target:
    """Return what a call is about, from its arguments."""
    arguments = call.arguments
    if "cluster" in arguments:
        return Target(cluster=arguments["cluster"]["name"])
    words = str(arguments.get("name") or arguments.get("parent")).split("/")
    named = dict(zip(words[::2], words[1::2], strict=False))
    pool = arguments["nodePool"]["name"] if "nodePool" in arguments else named.get("nodePools", "")
    return Target(cluster=named.get("clusters", ""), pool=pool)


def check_operations(call: Call, operations: Iterable[Mapping[str, Any]], now: datetime) -> AtollError | None:
    """Say why a call is not to be made now; None: it may. `operations` are those of the place (camelCase)."""
    target = find_target(call)
    ours = [said for said in operations if _read_target(said).cluster == target.cluster]
    for said in ours:
        if said.get("status") != "DONE" and said.get("operationType") not in BESIDE:
            return Conflict(f"GKE is at work on {target.cluster}: {said.get('operationType')} ({said.get('name')})")
    kind = TYPES.get(call.name)
    same = [said for said in ours if said.get("operationType") == kind and _read_target(said).pool == target.pool]
    return _judge(call, sorted(same, key=_read_start), now) if kind else None


def _judge(call: Call, history: Sequence[Mapping[str, Any]], now: datetime) -> AtollError | None:
    """Count how often the same has failed in a row, lately."""
    failed: list[str] = []
    for said in reversed(history):
        words = (said.get("error") or {}).get("message") or said.get("statusMessage") or ""
        if not words or now - _read_start(said) > WINDOW:
            break
        failed.append(words)
    if len(failed) < ATTEMPTS:
        return None
    kind = QuotaExceeded if _QUOTA.search(failed[0]) else Refused
    minutes = round(WINDOW.total_seconds() / 60)
    return kind(
        f"GKE could not {call.step}: {len(failed)} times within {minutes} minutes it ended in: {failed[0]} Mend what "
        f"it names; Atoll asks again when {minutes} minutes have gone by"
    )


def _read_target(said: Mapping[str, Any]) -> Target:
    words = str(said.get("targetLink") or "").split("/")
    named = dict(pairwise(words))
    return Target(cluster=named.get("clusters", ""), pool=named.get("nodePools", ""))


def _read_start(said: Mapping[str, Any]) -> datetime:
    try:
        time = datetime.fromisoformat(str(said.get("startTime")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
