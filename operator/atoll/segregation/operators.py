"""Who Atoll is inside a child, as that child's API server reports it."""

from __future__ import annotations

from dataclasses import dataclass

from atoll.fleet.names import OPERATORS_GROUP


@dataclass(frozen=True, slots=True, kw_only=True)
class Operators:
    """User names and groups whom the child's policies let through."""

    usernames: tuple[str, ...] = ()
    groups: tuple[str, ...] = (OPERATORS_GROUP,)


def find_operators(username: str, groups: tuple[str, ...] = ()) -> Operators | None:
    """Return whom to let through for the identity that we have there; None when it is not known.

    A group that Atoll alone bears is enough, and lasts longer than a name. Any other group (`system:masters`,
    `kubeadm:cluster-admins`) would let other administrators through, so there the name counts.
    """
    if OPERATORS_GROUP in groups:
        return Operators()
    return Operators(usernames=(username,)) if username else None
