"""Names and labels that all our objects in a child share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from atoll.fleet.names import ENVIRONMENT_LABEL, MANAGED_BY, MANAGER, TENANT_LABEL

ROLES: Final = ("admin", "developer", "viewer")

Labels = Mapping[str, str]


def build_metadata(
    name: str, namespace: str = "", *, tenant: str = "", environment: str = "", labels: Labels | None = None
) -> dict[str, Any]:
    """Build `metadata`; `labels` are compiled governance labels, and never win over our own.

    Objects in a child carry no owner references: their owner lives in another cluster.
    """
    own = {MANAGED_BY: MANAGER}
    if tenant:
        own[TENANT_LABEL] = tenant
    if environment:
        own[ENVIRONMENT_LABEL] = environment
    metadata: dict[str, Any] = {"name": name, "labels": dict(sorted({**(labels or {}), **own}.items()))}
    if namespace:
        metadata["namespace"] = namespace
    return metadata


def merge_labels(several: Iterable[Labels]) -> dict[str, str]:
    """Merge the labels of a tenant's environments for what serves them all; a key on which they differ is left out."""
    merged: dict[str, str] = {}
    differing: set[str] = set()
    for labels in several:
        for key, value in labels.items():
            if merged.setdefault(key, value) != value:
                differing.add(key)
    return {key: value for key, value in merged.items() if key not in differing}


def find_key(body: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return kind, namespace and name of an object."""
    metadata = body["metadata"]
    return body["kind"], metadata.get("namespace", ""), metadata["name"]
