"""One placement, one regime, one cluster of the evidence pack as a piece of its page. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from .report_markup import Content, Html, join, state, tag, titled_table, titled_text
from .report_places import INCOMPLETE, NOT_SEEN

Row = Mapping[str, Any]

_ENFORCED: Final = {"Seen": ("seen", "good"), INCOMPLETE: ("incomplete", "bad"), NOT_SEEN: ("not seen", "unknown")}
_RESULTS: Final = {"Passed": "good", "Failed": "bad", "Unknown": "unknown"}
_STATUSES: Final = {"True": "good", "False": "bad"}
_NAME: Final = frozenset({0})


def build_place(place: Row) -> Html:
    """Write one placement: its rules, each with the object that brought it, and the objects that enforce them."""
    enforced, level = place["enforcedBy"], place["podSecurity"]
    found = f"{level['found']} was found" if level["found"] else "the namespace was not seen"
    return tag(
        "article",
        tag("h3", f"{place['tenant']} / {place['environment']} on {place['cluster']} ", state_enforced(enforced)),
        tag("p", tag("code", place["namespace"]), f" · {_tell_standing(place)}", cls="quiet wrap"),
        tag("p", enforced["reason"], cls="wrap unknown") if enforced["reason"] else None,
        titled_table(
            "Regimes",
            ("Regime", "Title", "Demanded by", "Attested by"),
            [_standing(row) for row in place["regimes"]],
            short=_NAME,
        ),
        titled_table(
            "Rules",
            ("Rule", "Value", "From"),
            [[row["rule"], row["value"], tag("code", row["from"])] for row in place["rules"]],
            short=frozenset({0, 2}),
        ),
        titled_text("Pod security", f"{level['demanded']} is demanded, {found}"),
        titled_table("Enforced by", ("Kind", "Objects"), _list_objects(enforced["objects"]), short=_NAME),
    )


def build_regime(row: Row) -> Html:
    """Write one regime: its rules, and who is concerned."""
    return tag(
        "article",
        tag("h3", row["name"], f" · {row['title']}" if row["title"] else None),
        None if row["exists"] else tag("p", state("it does not exist: nothing new is placed under it", "bad")),
        titled_table("Rules", ("Rule", "Value"), [[rule["rule"], rule["value"]] for rule in row["rules"]], short=_NAME),
        titled_text("Demanded by", ", ".join(row["demandedBy"]) or "nobody"),
        titled_text("Attested by", ", ".join(row["attestedBy"]) or "nobody"),
        titled_text("Clusters", ", ".join(row["clusters"]) or "none"),
    )


def build_cluster(row: Row) -> Html:
    """Write one cluster: how it was verified, what guards all tenants on it, and how it was changed."""
    seen = row["seen"]["result"] != NOT_SEEN
    facts = (row["version"]["served"], row["provider"], row["country"], row["region"], _count_tenants(row["tenants"]))
    conditions = [
        [item["type"], state(item["status"], _tone(_STATUSES, item["status"], seen)), item["reason"], item["message"]]
        for item in row["conditions"]
    ]
    checks = [
        [
            check["check"],
            state(check["result"], _tone(_RESULTS, check["result"], seen)),
            check["message"],
            check["time"],
        ]
        for check in row["verification"]
    ]
    history = [
        [item["type"], f"{item['from']} → {item['to']}", item["result"], item["startedTime"], f"{item['seconds']} s"]
        for item in row["history"]
    ]
    attested = ", ".join(f"{regime['name']} ({', '.join(regime['attestedBy'])})" for regime in row["regimes"])
    return tag(
        "article",
        tag("h3", f"{row['name']} ", state("seen", "good") if seen else state("not seen", "unknown")),
        tag("p", " · ".join(fact for fact in facts if fact), cls="quiet"),
        tag("p", row["seen"]["reason"], cls="wrap unknown") if row["seen"]["reason"] else None,
        titled_text("Identity (UID of kube-system)", tag("code", row["uid"]) if row["uid"] else None),
        titled_text("Attested for", attested),
        titled_table("Conditions", ("Condition", "Status", "Reason", "Message"), conditions, short=frozenset({0, 2})),
        titled_table("Verified", ("Check", "Result", "Found", "When"), checks, short=frozenset({0, 3}))
        or titled_text("Verified", state("never", "unknown")),
        *_tell_borders(row["borders"], seen),
        titled_table("Guards for all tenants", ("Kind", "Objects"), _list_objects(row["guards"]), short=_NAME),
        titled_table("Changes", ("Change", "Version", "Result", "Began", "Took"), history),
        titled_text("First certificate expires", row["certificatesExpireTime"]),
    )


def _tell_borders(borders: Row | None, seen: bool) -> list[Html | None]:
    """Write what the isolation self-test found; borders of which nobody can tell are not green."""
    if borders is None:
        return [titled_text("Borders between tenants", state("not tried yet", "unknown"))]
    held = borders["tried"] - borders["redCount"]
    told = [
        (f"{held} held", "good" if held and seen else "unknown"),
        (f"{borders['redCount']} crossed", "bad" if borders["redCount"] else ""),
        (f"{borders['unknown']} unknown", "unknown" if borders["unknown"] else ""),
        (f"{borders['waiting']} still to be tried", "unknown" if borders["waiting"] else ""),
        (f"since {borders['time'] or 'nobody knows'}", ""),
    ]
    line = join([state(words, tone) for words, tone in told], "  ")
    red = [[cell["tenant"], cell["target"], cell["attempt"], cell["message"]] for cell in borders["red"]]
    return [
        titled_text("Borders between tenants", line),
        titled_table("Borders that were crossed", ("Tenant", "Border of", "Attempt", "Request"), red),
    ]


def state_enforced(enforced: Row) -> Html:
    """Write whether what enforces a placement was seen."""
    return state(*_ENFORCED[enforced["result"]])


def _tell_standing(place: Row) -> str:
    since = f"{place['state'] or 'unknown'} since {place['since']}" if place["since"] else place["state"] or "unknown"
    return f"{since} · {place['reason']}" if place["reason"] else since


def _standing(row: Row) -> list[Content]:
    title = row["title"] if row["exists"] else state("does not exist", "bad")
    return [row["name"], title, ", ".join(row["demandedBy"]), ", ".join(row["attestedBy"])]


def _tone(tones: Mapping[str, str], word: str, seen: bool) -> str:
    """Choose the colour: what a cluster showed once is not green while it cannot be seen."""
    tone = tones.get(word, "" if word == "Skipped" else "unknown")
    return "unknown" if tone == "good" and not seen else tone


def _list_objects(objects: Iterable[Row]) -> list[list[Content]]:
    """Gather objects by kind, one line each."""
    by_kind: dict[str, list[Html]] = {}
    for item in objects:
        name = f"{item['namespace']}/{item['name']}" if item["namespace"] else item["name"]
        by_kind.setdefault(item["kind"], []).append(tag("code", name))
    return [[kind, join(names, ", ")] for kind, names in sorted(by_kind.items())]


def _count_tenants(number: int) -> str:
    return "1 tenant" if number == 1 else f"{number} tenants"
