"""The evidence pack as one HTML page: no script, nothing loaded from elsewhere, for the screen and for print. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .report_articles import build_cluster, build_place, build_regime, state_enforced
from .report_markup import Content, Html, page, state, table, tag
from .report_places import NOT_SEEN

Row = Mapping[str, Any]

_RESIDENCY: Final = {"Kept": "good", "Broken": "bad", "NotBound": ""}
_STATES: Final = {"Placed": "good", "Refused": "bad"}
_PURPOSE: Final = "Which tenant runs where, under which rules, what enforces them, and when it was verified."


def build_page(pack: Row) -> str:
    """Write a pack as a page."""
    title = f"Evidence pack: fleet {pack['fleet']}"
    return page(
        title,
        tag(
            "header",
            tag("h1", title),
            tag("p", _PURPOSE, cls="quiet"),
            tag("p", pack["digest"], cls="digest"),
            _tiles(pack["summary"]),
        ),
        _exceptions(pack["exceptions"]),
        _where(pack),
        _unplaced(pack["unplaced"]),
        _section("Rules, and what enforces them", [build_place(place) for place in pack["placements"]]),
        _section("Regimes", [build_regime(regime) for regime in pack["regimes"]]),
        _section("Clusters", [build_cluster(cluster) for cluster in pack["clusters"]]),
        _changes(pack),
        _footer(pack),
    )


def _tiles(counts: Row) -> Html:
    wanted = counts["placements"] + counts["unplaced"]
    tiles = (
        (
            "clusters seen",
            f"{counts['clustersSeen']} of {counts['clusters']}",
            counts["clustersSeen"] < counts["clusters"],
        ),
        ("tenants", counts["tenants"], False),
        ("namespaces placed", f"{counts['placed']} of {wanted}", counts["placed"] < wanted),
        ("seen enforced", f"{counts['enforced']} of {counts['placements']}", counts["enforced"] < counts["placements"]),
        ("exceptions", counts["exceptions"], counts["exceptions"] > 0),
    )
    boxes = [tag("div", tag("b", value), label, cls="tile bad" if bad else "tile") for label, value, bad in tiles]
    return tag("div", *boxes, cls="tiles")


def _exceptions(exceptions: Sequence[Row]) -> Html:
    rows = [[row["object"], row["cluster"], state(row["rule"], "bad"), row["message"]] for row in exceptions]
    if not rows:
        return _section(
            "Exceptions", [tag("p", state("none", "good"), ": no rule is broken, and everything was seen.")]
        )
    heads = ("Object", "Cluster", "Rule", "What is wrong")
    return _section("Exceptions", [table(heads, rows, short=frozenset({0, 1, 2}))])


def _where(pack: Row) -> Html:
    wrong = {(row["object"], row["cluster"], row["namespace"]) for row in pack["exceptions"]}
    rows: list[list[Content]] = [
        [
            place["tenant"],
            place["environment"],
            tag("code", place["namespace"]),
            place["cluster"],
            state(place["residency"]["country"] or "unknown", _RESIDENCY[place["residency"]["result"]]),
            place["isolation"]["given"] or place["isolation"]["demanded"],
            ", ".join(regime["name"] for regime in place["regimes"]) or "none",
            state(place["state"] or "unknown", _tone_of(place, wrong)),
            state_enforced(place["enforcedBy"]),
        ]
        for place in pack["placements"]
    ]
    heads = ("Tenant", "Environment", "Namespace", "Cluster", "Country", "Isolation", "Regimes", "State", "Enforced")
    return _section("What runs where", [table(heads, rows)] if rows else [])


def _tone_of(place: Row, wrong: set[tuple[str, str, str]]) -> str:
    """Choose the colour of a placement: red where there is an exception, and not green where nothing was seen."""
    if (f"Tenant/{place['tenant']}", place["cluster"], place["namespace"]) in wrong:
        return "bad"
    tone = _STATES.get(place["state"], "unknown")
    return "unknown" if tone == "good" and place["enforcedBy"]["result"] == NOT_SEEN else tone


def _unplaced(entries: Sequence[Row]) -> Html | None:
    if not entries:
        return None
    rows: list[list[Content]] = [
        [
            entry["tenant"],
            entry["environment"],
            tag("code", entry["namespace"]),
            ", ".join(f"{count} {rule}" for rule, count in entry["counts"].items()),
            "; ".join(f"{near['cluster']}: {near['message']}" for near in entry["nearest"]),
        ]
        for entry in entries
    ]
    heads = ("Tenant", "Environment", "Namespace", "Refused by", "Nearest clusters")
    return _section("What fits nowhere", [table(heads, rows, short=frozenset({0, 1}))])


def _changes(pack: Row) -> Html:
    sets = [
        [
            row["name"],
            row["version"]["wanted"],
            row["version"]["served"] or "none yet",
            row["deletionPolicy"],
            "yes" if row["deletionProtection"] else "no",
            ", ".join(row["regimes"]) or "none",
        ]
        for row in pack["clusterSets"]
    ]
    rollouts = [
        [
            row["name"],
            row["to"],
            row["requestedBy"] or "unknown",
            row["state"],
            row["startedTime"],
            row["completedTime"],
        ]
        for row in pack["rollouts"]
    ]
    tables = []
    if sets:
        tables.append(table(("ClusterSet", "Wanted", "Served", "On deletion", "Protected", "Attested for"), sets))
    if rollouts:
        tables.append(table(("Rollout", "To", "Requested by", "State", "Began", "Ended"), rollouts))
    return _section("Versions and rollouts", tables)


def _footer(pack: Row) -> Html:
    command = f"atoll report -n {pack['fleet']} -o json | jq -cSj 'del(.digest)' | sha256sum"
    return tag(
        "footer",
        tag("p", "Digest of this pack: ", tag("span", pack["digest"], cls="digest")),
        tag("p", "The same fleet gives the same digest. To compute it again: ", tag("code", command), cls="quiet wrap"),
    )


def _section(title: str, content: Sequence[Html]) -> Html:
    return tag("section", tag("h2", title), *content or [tag("p", "There is nothing.", cls="quiet")])
