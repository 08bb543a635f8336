"""What the past left: placements as they stand in `Tenant.status`, or, where that was lost, in the clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from atoll.fleet.decisions import Placement
from atoll.fleet.names import ENVIRONMENT_LABEL, MANAGED_BY, MANAGER, PLACEMENT_LABEL, TENANT_LABEL
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Isolation, Tenant


def read_past(fleet: Fleet, clusters: Iterable[str]) -> Mapping[str, tuple[Placement, ...]]:
    """Return what stands, by tenant; a placement stays while its cluster is in `clusters`.

    A backup may bring a Tenant back without its status. Its namespaces bear its name, and tell where it was.
    """
    known = frozenset(clusters)
    past: dict[str, tuple[Placement, ...]] = {}
    for tenant in fleet.tenants:
        told = parse_placements(tenant.meta.name, tenant.status)
        found = told or (() if tenant.meta.deleting else _rebuild(fleet, tenant))
        past[tenant.meta.name] = tuple(item for item in found if item.cluster in known)
    # A tenant that cannot be read keeps what it has: it harms only itself, and nobody takes its place.
    for invalid in fleet.invalid:
        if invalid.kind == "Tenant":
            told = parse_placements(invalid.name, invalid.status)
            past[invalid.name] = tuple(item for item in told if item.cluster in known)
    return past


def has_unseen(fleet: Fleet) -> bool:
    """Say whether a tenant of which nothing is written may stand in a cluster that nobody has looked at yet."""
    return any(child.cluster_uid and child.name not in fleet.views for child in fleet.children)


def parse_placements(tenant: str, status: Mapping[str, Any]) -> tuple[Placement, ...]:
    """Read `status.placements`; entries without a cluster or namespace are passed over, of twins the first counts."""
    found: dict[tuple[str, str, str], Placement] = {}
    for entry in status.get("placements") or ():
        key = (entry.get("environment", ""), entry.get("namespace", ""), entry.get("cluster", ""))
        if all(key) and key not in found:
            found[key] = Placement(
                tenant=tenant,
                environment=key[0],
                namespace=key[1],
                cluster=key[2],
                isolation=Isolation(entry.get("isolation") or Isolation.NAMESPACE),
                state=entry.get("state") or "Pending",
                since=_parse_time(entry.get("since")),
                reason=entry.get("reason") or "",
            )
    return tuple(found[key] for key in sorted(found))


def _rebuild(fleet: Fleet, tenant: Tenant) -> tuple[Placement, ...]:
    asked = {full: environment.name for environment, _, full in tenant.list_namespaces()}
    found = []
    for cluster, view in fleet.views.items():
        for namespace, labels in view.member.namespaces.items() if view.member is not None else ():
            ours = {
                TENANT_LABEL: tenant.meta.name,
                ENVIRONMENT_LABEL: asked.get(namespace, ""),
                MANAGED_BY: MANAGER,
            }
            if any(labels.get(key) != value for key, value in ours.items()):
                continue
            if labels.get(PLACEMENT_LABEL) != "released":
                found.append(
                    Placement(
                        tenant=tenant.meta.name,
                        environment=asked[namespace],
                        namespace=namespace,
                        cluster=cluster,
                        reason="found there, bearing the tenant's name",
                    )
                )
    return tuple(sorted(found, key=lambda item: (item.environment, item.namespace, item.cluster)))


def _parse_time(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return datetime.fromisoformat(value) if value else None
