"""The provider block that holds for one member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atoll.fleet.spec import ClusterSet


def merge_settings(cluster_set: ClusterSet, member_name: str) -> Mapping[str, Any]:
    """Lay the member's own values over the set's; a field is replaced as a whole."""
    member = cluster_set.member(member_name)
    return {**cluster_set.provider.settings, **(member.settings if member is not None else {})}
