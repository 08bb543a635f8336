"""What is declared of one member, from bodies as they stand: converting a large set costs more than that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atoll.decision.settings import settle_settings
from atoll.ports import Body, ClusterRef

from .cache import Cache


def find_child(cache: Cache, ref: ClusterRef) -> Body | None:
    """Return the ChildCluster of exactly this cluster."""
    child = cache.get(ref.fleet, "ChildCluster", ref.name)
    return child if child is not None and child["spec"].get("id") == ref.id else None


def find_block(cluster_set: Body, member_name: str, kind: str) -> tuple[dict[str, Any], bool]:
    """Return a provider's block as it holds for a member, and whether the set lists that member."""
    block = (cluster_set["spec"].get("provider") or {}).get(kind) or {}
    for member in cluster_set["spec"].get("clusters") or ():
        if member["name"] == member_name:
            return {**block, **(member.get(kind) or {})}, True
    return dict(block), False


def find_settings(cluster_set: Body, child: Body, kind: str) -> Mapping[str, Any]:
    """Return the block that holds for a managed cluster: where it is stays as it was when it was made."""
    block, listed = find_block(cluster_set, child["spec"]["memberName"], kind)
    return settle_settings(block, child["spec"].get("cloud") or {}, listed=listed)
