"""The evidence pack of a fleet: what runs where, under which rules, enforced and verified by what. Pure.

The same fleet gives the same bytes: everything is sorted, and no time stands in it that is not a result in a status.
So the digest at its end tells whether anything has changed between two packs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from atoll.fleet.conditions import find

from .report_exceptions import list_exceptions
from .report_index import Body, Index, Row, Seen, build_index, pick, read_spec, read_status
from .report_places import (
    NOT_SEEN,
    SEEN,
    build_place_rows,
    build_unplaced_rows,
    count_tenants,
    list_guards,
    read_provider,
)
from .report_regimes import build_attested, build_regime_rows
from .tree_model import read_ready

FORMAT: Final = "atoll.dev/evidence/v1"
_CONDITIONS: Final = ("Ready", "Reachable", "Verified", "PolicyEnforced")


def build_report(fleet: str, bodies: Iterable[Body], seen: Mapping[str, Seen]) -> Row:
    """Build the pack of one fleet; `seen` has by name what each child showed, or why it showed nothing."""
    index = build_index(fleet, bodies, seen)
    pack: Row = {
        "format": FORMAT,
        "fleet": fleet,
        "summary": {},
        "exceptions": [],
        "placements": build_place_rows(index),
        "unplaced": build_unplaced_rows(index),
        "regimes": build_regime_rows(index),
        "clusters": [_cluster_row(index, body) for body in index.all("ChildCluster")],
        "clusterSets": [_set_row(body) for body in index.all("ClusterSet")],
        "rollouts": [_rollout_row(body) for body in index.all("Rollout")],
    }
    pack["exceptions"] = list_exceptions(pack)
    pack["summary"] = _summarise(index, pack)
    return {**pack, "digest": compute_digest(pack)}


def compute_digest(pack: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a pack's canonical JSON: sorted keys, no blanks, without the digest itself."""
    return f"sha256:{hashlib.sha256(write_canonical(pack).encode()).hexdigest()}"


def write_canonical(pack: Mapping[str, Any]) -> str:
    """Write a pack as its digest reads it."""
    rest = {key: value for key, value in pack.items() if key != "digest"}
    return json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write_json(pack: Mapping[str, Any]) -> str:
    """Write a pack for people and programs, the digest last."""
    return f"{json.dumps(pack, indent=2, ensure_ascii=False)}\n"


def _cluster_row(index: Index, body: Body) -> Row:
    name, spec, status = str(body["metadata"]["name"]), read_spec(body), read_status(body)
    member, seen = index.member(name), index.seen_in(name)
    ready, _, _ = read_ready(body)
    return {
        "name": name,
        "clusterSet": str(spec.get("setName", "")),
        "member": str(spec.get("memberName", "")),
        "provider": read_provider(body),
        "uid": str(spec.get("clusterUID") or ""),
        "version": {"served": str(status.get("version") or ""), "wanted": str(spec.get("version") or "")},
        "country": str(member.get("country") or ""),
        "region": str(member.get("region") or ""),
        "ready": ready,
        "conditions": [
            {"type": kind, **pick(condition, "status", "reason", "message")}
            for kind in _CONDITIONS
            if (condition := find(dict(status), kind))
        ],
        "regimes": build_attested(index, name),
        "environments": sorted(str(entry) for entry in status.get("environments") or ()),
        "tenants": count_tenants(index, name),
        "seen": {"result": NOT_SEEN if seen.objects is None else SEEN, "reason": seen.reason},
        "guards": list_guards(seen),
        "verification": _sorted(
            pick(check, "check", "result", "message", "time") for check in status.get("verification") or ()
        ),
        "borders": _border_row(status.get("borders")),
        "history": [
            pick(change, "type", "from", "to", "startedTime", "seconds", "result")
            for change in status.get("history") or ()
        ],
        "certificatesExpireTime": str(status.get("certificatesExpireTime") or ""),
    }


def _border_row(borders: Body | None) -> Row | None:
    """Take over what the isolation self-test found; None until it has run."""
    if not borders:
        return None
    red = _sorted(pick(cell, "tenant", "target", "attempt", "message") for cell in borders.get("red") or ())
    counts = {key: int(borders.get(key) or 0) for key in ("tried", "unknown", "waiting", "redCount")}
    return {"time": str(borders.get("time") or ""), **counts, "red": red}


def _set_row(body: Body) -> Row:
    spec, status = read_spec(body), read_status(body)
    ready, reason, message = read_ready(body)
    return {
        "name": str(body["metadata"]["name"]),
        "version": {"served": str(status.get("version") or ""), "wanted": str(spec.get("version") or "")},
        "ready": ready,
        "reason": reason,
        "message": message,
        "regimes": sorted(str(name) for name in spec.get("regimes") or ()),
        "deletionPolicy": str(spec.get("deletionPolicy") or "Orphan"),
        "deletionProtection": bool(spec.get("deletionProtection")),
        "history": [
            {key: value for key, value in sorted(change.items()) if isinstance(value, (str, int, bool))}
            for change in status.get("history") or ()
        ],
    }


def _rollout_row(body: Body) -> Row:
    spec, status = read_spec(body), read_status(body)
    return {
        "name": str(body["metadata"]["name"]),
        "clusterSet": str(spec.get("setName", "")),
        "to": str((spec.get("target") or {}).get("version", "")),
        "requestedBy": str(spec.get("requestedBy") or ""),
        **pick(status, "state", "startedTime", "completedTime"),
        "counts": dict(sorted((status.get("counts") or {}).items())),
    }


def _sorted(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def _summarise(index: Index, pack: Mapping[str, Any]) -> dict[str, int]:
    places = pack["placements"]
    return {
        "clusters": len(pack["clusters"]),
        "clustersSeen": sum(row["seen"]["result"] == SEEN for row in pack["clusters"]),
        "tenants": len(index.all("Tenant")),
        "placements": len(places),
        "placed": sum(row["state"] == "Placed" for row in places),
        "enforced": sum(row["enforcedBy"]["result"] == SEEN for row in places),
        "unplaced": len(pack["unplaced"]),
        "exceptions": len(pack["exceptions"]),
    }
