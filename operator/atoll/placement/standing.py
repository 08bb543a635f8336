"""What the past left: placements as they stand in `Tenant.status`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from atoll.fleet.decisions import Placement
from atoll.fleet.spec import Isolation


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


def _parse_time(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return datetime.fromisoformat(value) if value else None
