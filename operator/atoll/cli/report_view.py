"""The evidence pack in short, as people read it on a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.text import Text

from .report_places import NOT_SEEN

Row = Mapping[str, Any]
SHOWN: Final = 20
"""How many exceptions are shown before the rest is counted."""


def render_report(pack: Row) -> list[Text]:
    """Write a pack in short: exceptions first, then each cluster with what stands on it."""
    counts = pack["summary"]
    lines = [
        Text.assemble((pack["fleet"], "bold"), f"  {_count(counts['clusters'], 'cluster')}, {_tell(counts)}"),
        Text(),
    ]
    for row in pack["exceptions"][:SHOWN]:
        where = f"{row['object']} on {row['cluster']}" if row["cluster"] not in row["object"] else row["object"]
        lines.append(Text.assemble(("  ✗ ", "red"), f"{where:<34} ", (row["rule"], "red"), f"  {row['message']}"))
    if len(pack["exceptions"]) > SHOWN:
        lines.append(Text(f"    and {len(pack['exceptions']) - SHOWN} more; `-o json` lists them all"))
    lines += [Text()] if pack["exceptions"] else []
    for cluster in pack["clusters"]:
        lines.append(_cluster_line(cluster))
        lines += [_place_line(place) for place in pack["placements"] if place["cluster"] == cluster["name"]]
    return [*lines, Text(), Text(f"digest {pack['digest']}", style="bright_black")]


def choose_next(pack: Row) -> list[str]:
    """Choose what to do next: look into the first exception, or hand the pack over."""
    pages = f"atoll report -n {pack['fleet']} -o html --output-file evidence.html"
    for row in pack["exceptions"]:
        kind, _, name = row["object"].partition("/")
        return [f"atoll why {kind.lower()}/{name} -n {pack['fleet']}", pages]
    return [pages]


def _cluster_line(cluster: Row) -> Text:
    if cluster["seen"]["result"] == NOT_SEEN:
        sign, words = ("?", "yellow"), f"not seen: {cluster['seen']['reason']}"
    else:
        checks = [check for check in cluster["verification"] if check["result"] != "Skipped"]
        passed = sum(check["result"] == "Passed" for check in checks)
        good = bool(checks) and passed == len(checks)
        sign = ("✓", "green") if good else ("✗", "red") if checks else ("?", "yellow")
        latest = max((check["time"] for check in checks), default="")
        words = f"verified {passed}/{len(checks)}, last at {latest}" if checks else "never verified"
    facts = " ".join(part for part in (cluster["version"]["served"], cluster["country"]) if part)
    regimes = ", ".join(regime["name"] for regime in cluster["regimes"])
    tail = f"   attested for {regimes}" if regimes else ""
    return Text.assemble(f"  {cluster['name']:<22} {facts:<14} ", sign, f" {words}{tail}")


def _place_line(place: Row) -> Text:
    enforced, regimes = place["enforcedBy"], ", ".join(regime["name"] for regime in place["regimes"])
    under = f"under {regimes}" if regimes else "under no regime"
    if enforced["result"] == NOT_SEEN:
        how = ("not seen", "yellow")
    elif enforced["missing"]:
        how = (f"lacks {', '.join(enforced['missing'])}", "red")
    else:
        how = (f"enforced by {len(enforced['objects'])} objects", "green")
    what = f"{place['tenant']}/{place['environment']}"
    state = place["state"] or "unknown"
    return Text.assemble(f"    {what:<20} {place['namespace']:<24} {state:<8} {under}, ", how)


def _tell(counts: Mapping[str, int]) -> str:
    exceptions = _count(counts["exceptions"], "exception") if counts["exceptions"] else "no exceptions"
    seen = f"{counts['clustersSeen']} seen"
    return f"{seen}; {_count(counts['tenants'], 'tenant')}, {_count(counts['placements'], 'namespace')}; {exceptions}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
