"""What a report must not let anybody overlook: where a rule is broken, nothing was seen, or a check failed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .report_index import Row
from .report_places import INCOMPLETE, NOT_SEEN
from .report_regimes import rank_isolation, rank_pod_security

Pack = Mapping[str, Any]
PASSED = frozenset({"Passed", "Skipped"})


def list_exceptions(pack: Pack) -> list[Row]:
    """List every exception of a pack: where it is, the rule, and what is wrong."""
    found = [
        *(row for place in pack["placements"] for row in _of_place(place)),
        *(row for entry in pack["unplaced"] for row in _of_unplaced(entry)),
        *(row for cluster in pack["clusters"] for row in _of_cluster(cluster)),
        *(row for regime in pack["regimes"] for row in _of_regime(regime)),
    ]
    unique = {tuple(row.values()): row for row in found}
    return [unique[key] for key in sorted(unique)]


def _of_place(place: Row) -> Iterator[Row]:
    def tell(rule: str, message: str) -> Row:
        return {
            "object": f"Tenant/{place['tenant']}",
            "cluster": place["cluster"],
            "namespace": place["namespace"],
            "rule": rule,
            "message": message,
        }

    where = f"namespace {place['namespace']} (environment {place['environment']})"
    broken = place["rule"]
    if broken:
        yield tell(broken, f"{where}: {place['reason'] or 'a binding rule is broken'}")
    if place["state"] == "Refused":
        yield tell("taken", f"{where} is refused: {place['reason'] or 'it belongs to somebody else'}")
    residency = place["residency"]
    if residency["result"] == "Broken" and broken != "country":
        country = residency["country"] or "unknown"
        allowed = ", ".join(residency["allowed"]) or "no country at all"
        yield tell("country", f"{where}: the country of the cluster is {country}, allowed is {allowed}")
    for regime in place["regimes"]:
        if regime["demandedBy"] and not regime["attestedBy"] and broken != "not-attested":
            asking = " and ".join(regime["demandedBy"])
            yield tell("not-attested", f"{where}: {asking} asks for {regime['name']}; nothing attests the cluster")
    isolation = place["isolation"]
    if isolation["given"] and rank_isolation(isolation["given"]) < rank_isolation(isolation["demanded"]):
        yield tell("isolation", f"{where} has isolation {isolation['given']}; {isolation['demanded']} is demanded")
    level = place["podSecurity"]
    if level["found"] and rank_pod_security(level["found"]) < rank_pod_security(level["demanded"]):
        yield tell("podSecurity", f"{where} enforces {level['found']}; {level['demanded']} is demanded")
    if place["enforcedBy"]["result"] == INCOMPLETE and place["state"] == "Placed":
        yield tell("enforcement", place["enforcedBy"]["reason"])


def _of_unplaced(entry: Row) -> Iterator[Row]:
    counts = ", ".join(f"{count} {rule}" for rule, count in entry["counts"].items()) or "no cluster was asked"
    yield {
        "object": f"Tenant/{entry['tenant']}",
        "cluster": "",
        "namespace": entry["namespace"],
        "rule": "unplaced",
        "message": f"namespace {entry['namespace']} (environment {entry['environment']}) fits nowhere: {counts}",
    }


def _of_cluster(cluster: Row) -> Iterator[Row]:
    def tell(rule: str, message: str) -> Row:
        name = cluster["name"]
        return {"object": f"ChildCluster/{name}", "cluster": name, "namespace": "", "rule": rule, "message": message}

    if cluster["seen"]["result"] == NOT_SEEN:
        yield tell("not-seen", cluster["seen"]["reason"])
    for check in cluster["verification"]:
        if check["result"] not in PASSED:
            yield tell("verification", f"{check['check']}: {check['result']}: {check['message']}")
    borders = cluster["borders"] or {"red": [], "redCount": 0}
    for red in borders["red"]:
        yield tell(
            "border", f"{red['tenant']} crosses the border of {red['target']} ({red['attempt']}): {red['message']}"
        )
    if borders["redCount"] > len(borders["red"]):
        yield tell("border", f"{borders['redCount'] - len(borders['red'])} more let somebody through")


def _of_regime(regime: Row) -> Iterator[Row]:
    if not regime["exists"]:
        named = ", ".join([*regime["demandedBy"], *regime["attestedBy"]])
        yield {
            "object": f"Regime/{regime['name']}",
            "cluster": "",
            "namespace": "",
            "rule": "regime-missing",
            "message": f"it does not exist, and {named} names it: nothing new is placed under it",
        }
