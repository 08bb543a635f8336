"""Who owns a child: written into the child itself, so that two fleets never fight over one cluster."""

from __future__ import annotations

from typing import Any, Final

from atoll.fleet.names import SYSTEM_NAMESPACE
from atoll.fleet.observed import ChildCluster, MemberView

from .metadata import build_metadata

OWNER_NAME: Final = "atoll-owner"


def build_system_namespace() -> dict[str, Any]:
    """Build the namespace of Atoll's own objects."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": build_metadata(SYSTEM_NAMESPACE)}


def build_owner(hub_uid: str, fleet: str, child: ChildCluster) -> dict[str, Any]:
    """Build the record of the owner."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": build_metadata(OWNER_NAME, SYSTEM_NAMESPACE),
        "data": {"hubUID": hub_uid, "fleet": fleet, "clusterID": child.id, "name": child.name},
    }


def taken_owner(view: MemberView, hub_uid: str, fleet: str, cluster_id: str) -> str:
    """Say whose cluster it is when the record names somebody else; empty when it is ours or nobody's."""
    body = view.objects.get(("ConfigMap", SYSTEM_NAMESPACE, OWNER_NAME))
    if body is None:
        return ""
    data = body.get("data") or {}
    ours = {"hubUID": hub_uid, "fleet": fleet, "clusterID": cluster_id}
    others = [
        f"{key} {data.get(key) or 'nothing'} instead of {want}" for key, want in ours.items() if data.get(key) != want
    ]
    if not others:
        return ""
    return (
        f"ConfigMap {SYSTEM_NAMESPACE}/{OWNER_NAME} names another owner: {', '.join(others)}. Nothing was written "
        "to the cluster. To take it over on purpose, set the annotation atoll.dev/take-over on the ChildCluster."
    )
