"""Which rollout people mean. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from atoll.errors import BadInput
from atoll.rollout.stored import UNFINISHED, rollout_number

from .why_model import find_body, parse_target

Body = Mapping[str, Any]


def choose_rollout(text: str, bodies: Sequence[Body], fleet: str) -> Body:
    """Find the rollout that `NAME`, `rollout/NAME` or a ClusterSet's name means; raises BadInput.

    A bare name is a Rollout's first, and a ClusterSet's when there is no such Rollout.
    """
    kind, name = parse_target(text) if "/" in text else ("", text)
    if kind not in {"", "Rollout", "ClusterSet"}:
        raise BadInput(f"`{text}` is no rollout; write its name, such as eu-7 or rollout/eu-7, or its ClusterSet's")
    if kind != "ClusterSet" and (found := find_body(bodies, "Rollout", name)) is not None:
        return found
    cluster_set = find_body(bodies, "ClusterSet", name) if kind != "Rollout" else None
    if cluster_set is None:
        there = ", ".join(sorted(body["metadata"]["name"] for body in bodies if body["kind"] == "Rollout")) or "none"
        raise BadInput(f"there is no Rollout {name} in fleet {fleet}; there is: {there}")
    current = find_current(cluster_set, bodies)
    if current is None:
        raise BadInput(
            f"ClusterSet {name} has no Rollout; one begins when members are not as its spec says. See "
            f"`atoll why cset/{name}`"
        )
    return current


def is_rollout_name(text: str, bodies: Sequence[Body]) -> bool:
    """Say whether a text names one rollout, and not whichever a set has at the time."""
    kind, name = parse_target(text) if "/" in text else ("", text)
    return kind == "Rollout" or (kind == "" and find_body(bodies, "Rollout", name) is not None)


def find_current(cluster_set: Body, bodies: Sequence[Body]) -> Body | None:
    """Return the rollout that a set follows, or its last one; None when it never had any."""
    named = str((cluster_set.get("status") or {}).get("currentRollout", ""))
    last = find_last(cluster_set["metadata"]["name"], bodies)
    # Between the creation of a Rollout and the set's next status the newer one is the one that is meant.
    if last is not None and read_state(last) in UNFINISHED:
        return last
    return find_body(bodies, "Rollout", named) if named and find_body(bodies, "Rollout", named) else last


def find_last(set_name: str, bodies: Sequence[Body]) -> Body | None:
    """Return a set's rollout with the highest number."""
    own = [body for body in bodies if body["kind"] == "Rollout" and read_set_name(body) == set_name]
    return max(own, key=lambda body: rollout_number(body["metadata"]["name"], set_name), default=None)


def read_state(rollout: Body) -> str:
    """Return the state that the operator wrote last; empty when it has not looked yet."""
    return str((rollout.get("status") or {}).get("state", ""))


def read_set_name(rollout: Body) -> str:
    """Return the ClusterSet of a rollout."""
    return str((rollout.get("spec") or {}).get("setName", ""))
