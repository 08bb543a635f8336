"""Placements in a report: where a namespace runs, under which rules, and what enforces them there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from atoll.fleet.names import MANAGED_BY, MANAGER, SYSTEM_NAMESPACE, TENANT_LABEL
from atoll.fleet.observed import ObjectKey
from atoll.segregation.namespace import POD_SECURITY_PREFIX

from .report_index import Body, Index, Row, Seen, pick, read_spec, read_status
from .report_regimes import (
    allowed_countries,
    build_rules,
    build_standing,
    demanded_isolation,
    demanded_pod_security,
)

EXPECTED: Final = ("LimitRange", "Namespace", "NetworkPolicy", "ResourceQuota")
"""What keeps every tenant's namespace in its bounds; where one of them is not seen, the report says so."""
POD_SECURITY: Final = f"{POD_SECURITY_PREFIX}enforce"

SEEN: Final = "Seen"
INCOMPLETE: Final = "Incomplete"
NOT_SEEN: Final = "NotSeen"


def build_place_rows(index: Index) -> list[Row]:
    """Build a row for each namespace that stands in a tenant's status."""
    rows = [
        _place_row(index, str(tenant["metadata"]["name"]), place)
        for tenant in index.all("Tenant")
        for place in read_status(tenant).get("placements") or ()
    ]
    return sorted(rows, key=lambda row: (row["tenant"], row["environment"], row["namespace"], row["cluster"]))


def build_unplaced_rows(index: Index) -> list[Row]:
    """Build a row for each namespace that fits nowhere."""
    rows = [
        {
            "tenant": str(tenant["metadata"]["name"]),
            **pick(entry, "environment", "namespace"),
            "counts": dict(sorted((entry.get("counts") or {}).items())),
            "nearest": sorted(
                (pick(near, "cluster", "rule", "message", "remedy") for near in entry.get("nearest") or ()),
                key=lambda near: (near["cluster"], near["rule"]),
            ),
        }
        for tenant in index.all("Tenant")
        for entry in read_status(tenant).get("unplaced") or ()
    ]
    return sorted(rows, key=lambda row: (row["tenant"], row["environment"], row["namespace"]))


def build_residency(country: str, allowed: list[str] | None) -> Row:
    """Compare the country of a cluster with those that are allowed; an unknown country is allowed nowhere."""
    result = "NotBound" if allowed is None else "Kept" if country in allowed else "Broken"
    return {"country": country, "allowed": allowed or [], "result": result}


def list_guards(seen: Seen) -> list[Row]:
    """List what Atoll has in a child for all tenants together: roles, policies, its own namespace."""
    return list_objects(key for key, body in (seen.objects or {}).items() if _is_ours(body) and not _tenant_of(body))


def list_objects(keys: Iterable[ObjectKey]) -> list[Row]:
    """Write objects by kind, namespace and name."""
    return [{"kind": kind, "namespace": namespace, "name": name} for kind, namespace, name in sorted(keys)]


def _place_row(index: Index, tenant: str, place: Mapping[str, Any]) -> Row:
    environment, child = str(place.get("environment", "")), str(place.get("cluster", ""))
    namespace = str(place.get("namespace", ""))
    regimes = build_standing(index, tenant, environment, child)
    names = [row["name"] for row in regimes]
    seen = index.seen_in(child)
    country = str(index.member(child).get("country") or "")
    wanted = demanded_pod_security(index, names)
    return {
        "tenant": tenant,
        "environment": environment,
        "namespace": namespace,
        "cluster": child,
        **pick(place, "state", "since", "reason", "rule"),
        "isolation": {
            "demanded": demanded_isolation(index, names, tenant, environment),
            "given": str(place.get("isolation") or ""),
        },
        "regimes": regimes,
        "rules": build_rules(index, names, tenant, environment),
        "residency": build_residency(country, allowed_countries(index, names)),
        "podSecurity": {"demanded": wanted, "found": _read_level(seen, namespace)},
        "enforcedBy": _enforced_by(seen, tenant, namespace),
    }


def _read_level(seen: Seen, namespace: str) -> str:
    """Return the pod security level that a namespace has in its child; empty when it was not seen."""
    body = (seen.objects or {}).get(("Namespace", "", namespace)) or {}
    return str(((body.get("metadata") or {}).get("labels") or {}).get(POD_SECURITY, ""))


def _enforced_by(seen: Seen, tenant: str, namespace: str) -> Row:
    """Tell what enforces the rules of a namespace, as the child showed it."""
    if seen.objects is None:
        return {"result": NOT_SEEN, "reason": seen.reason, "objects": [], "missing": []}
    keys = [
        key
        for key, body in seen.objects.items()
        if _is_ours(body) and _tenant_of(body) == tenant and _stands_in(key) in {namespace, SYSTEM_NAMESPACE}
    ]
    inside = {key[0] for key in keys if _stands_in(key) == namespace}
    missing = [kind for kind in EXPECTED if kind not in inside]
    reason = f"{', '.join(missing)} was not found in namespace {namespace}" if missing else ""
    return {
        "result": INCOMPLETE if missing else SEEN,
        "reason": reason,
        "objects": list_objects(keys),
        "missing": missing,
    }


def _stands_in(key: ObjectKey) -> str:
    kind, namespace, name = key
    return name if kind == "Namespace" else namespace


def _is_ours(body: Body) -> bool:
    return _labels(body).get(MANAGED_BY) == MANAGER


def _tenant_of(body: Body) -> str:
    return str(_labels(body).get(TENANT_LABEL, ""))


def _labels(body: Body) -> Mapping[str, Any]:
    return (body.get("metadata") or {}).get("labels") or {}


def count_tenants(index: Index, child: str) -> int:
    """Count the tenants that stand on a child."""
    return sum(
        any(place.get("cluster") == child for place in read_status(tenant).get("placements") or ())
        for tenant in index.all("Tenant")
    )


def read_provider(child: Body) -> str:
    """Return which kind of provider a child has."""
    return str(read_spec(child).get("provider") or "")
