"""The provider block that holds for one member, and for one cluster: where it is does not change."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from atoll.fleet.observed import ChildCluster
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet
from atoll.fleet.values import thaw
from atoll.rollout.revisions import final_revision, member_revision

CREDENTIALS: Final = "credentialsSecretRef"
PLACES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "eks": ("region", CREDENTIALS),
        "gke": ("project", "location", CREDENTIALS),
        "aks": ("subscriptionID", "resourceGroup", "location", CREDENTIALS),
    }
)
"""Fields of each provider's block that say where a cluster is."""


def locate(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a new cluster has to remember of its settings: where it is made."""
    return {name: thaw(settings[name]) for name in PLACES.get(kind, ()) if name in settings}


def settle_settings(settings: Mapping[str, Any], cloud: Mapping[str, Any], *, listed: bool) -> Mapping[str, Any]:
    """Lay where a cluster is over what is declared now; the login of who is still listed may change."""
    kept = {name: value for name, value in cloud.items() if not (listed and name == CREDENTIALS)}
    return {**settings, **kept}


def merge_settings(cluster_set: ClusterSet, member_name: str) -> Mapping[str, Any]:
    """Lay the member's own values over the set's; a field is replaced as a whole."""
    member = cluster_set.member(member_name)
    return {**cluster_set.provider.settings, **(member.settings if member is not None else {})}


def find_told(fleet: Fleet, child: ChildCluster) -> ClusterSet | None:
    """Return the child's set if a rollout has told the child what that asks for now."""
    cluster_set = fleet.cluster_set(child.set_name)
    member = cluster_set.member(child.member_name) if cluster_set is not None else None
    if cluster_set is None or member is None:
        return None
    told = final_revision(child.revision) == member_revision(cluster_set, member, fleet.regimes)
    return cluster_set if told else None
