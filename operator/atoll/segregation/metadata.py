"""Names and labels that all our objects in a child share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from atoll.fleet.names import ENVIRONMENT_LABEL, MANAGED_BY, MANAGER, TENANT_LABEL

ROLES: Final = ("admin", "developer", "viewer")


def build_metadata(
    name: str, namespace: str = "", *, tenant: str = "", environment: str = "", labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Build `metadata`. Objects in a child carry no owner references: their owner lives in another cluster."""
    own = {MANAGED_BY: MANAGER}
    if tenant:
        own[TENANT_LABEL] = tenant
    if environment:
        own[ENVIRONMENT_LABEL] = environment
    metadata: dict[str, Any] = {"name": name, "labels": dict(sorted({**(labels or {}), **own}.items()))}
    if namespace:
        metadata["namespace"] = namespace
    return metadata


def find_key(body: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return kind, namespace and name of an object."""
    metadata = body["metadata"]
    return body["kind"], metadata.get("namespace", ""), metadata["name"]
