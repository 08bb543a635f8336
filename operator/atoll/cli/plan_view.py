"""A plan as people read it, made from the same rows that `-o json` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from .durations import describe_seconds

Row = Mapping[str, Any]

_SIGNS: Final[Mapping[str, tuple[str, str]]] = {
    "create": ("+", "green"),
    "change": ("~", "yellow"),
    "delete": ("-", "red"),
    "detach": ("○", "yellow"),
    "none": ("=", "bright_black"),
}
_HOST_SIGNS: Final[Mapping[str, tuple[str, str]]] = {
    "claim": ("●", "green"),
    "lack": ("✗", "red"),
    "release": ("○", "yellow"),
}
_PARTS: Final = ("clusters", "hosts", "placements", "moves", "rollouts", "unplaced", "refusals")
_SUBJECT: Final = 34
"""Width of the column that names the object; a longer name pushes the rest to the right."""


def render_plan(plan: Row, *, live: bool, wide: bool = False) -> list[Text]:
    """Write a plan fleet by fleet; what stays as it is shows only when `wide`."""
    lines: list[Text] = []
    rows = [row for key in _PARTS for row in plan[key]]
    for namespace in sorted({row["namespace"] for row in rows}):
        mode = "compared with the cluster" if live else "offline: compared with nothing; add --live to compare"
        lines += [Text.assemble((namespace, "bold"), f"  ({mode})"), Text()]
        lines += _render_fleet(plan, namespace, wide=wide)
        lines.append(Text())
    for row in plan["errors"]:
        where = f" {row['field']}" if row["field"] and row["field"] not in row["message"] else ""
        lines.append(_line("!", "red", f"{row['object']}{where}", row["message"]))
    if plan["errors"]:
        lines.append(Text())
    lines.append(Text(summarise_in_words(plan["summary"])))
    return lines


def summarise_in_words(counts: Mapping[str, int]) -> str:
    """Say in one sentence what would happen."""
    words = {
        "create": "to create",
        "change": "to change",
        "place": "to place",
        "move": "to move",
        "detach": "to detach",
        "delete": "to destroy",
        "refused": "refused",
        "errors": "errors",
    }
    always = {"create", "change", "delete"}
    if not any(counts[key] for key in words):
        return "Nothing to do."
    parts = [f"{counts[key]} {word}" for key, word in words.items() if counts[key] or key in always]
    return f"{', '.join(parts)}."


def list_names(plan: Row) -> list[str]:
    """List what would change, one name each, for `-o name`."""
    names = [f"childcluster/{row['name']}" for row in plan["clusters"] if row["action"] != "none"]
    tenants = {row["tenant"] for key in ("moves", "refusals") for row in plan[key]}
    return names + [f"tenant/{name}" for name in sorted(tenants)]


def choose_next(plan: Row, paths: Sequence[str]) -> list[str]:
    """Choose the command to copy next."""
    files = " ".join(f"-f {path}" for path in paths)
    if plan["errors"] and files:
        return [f"atoll plan {files}"]
    if files and "-" not in paths:
        return [f"kubectl apply {files}", f"atoll up {' '.join(paths)} --wait"]
    return [f"atoll why tenant/{plan['unplaced'][0]['tenant']}"] if plan["unplaced"] else ["atoll tree"]


def _render_fleet(plan: Row, namespace: str, *, wide: bool) -> list[Text]:
    mine = {key: [row for row in plan[key] if row["namespace"] == namespace] for key in _PARTS}
    lines = []
    for row in mine["rollouts"]:
        count = sum(len(wave["clusters"]) for wave in row["waves"])
        waves = "1 wave" if len(row["waves"]) == 1 else f"{len(row['waves'])} waves"
        clusters = "1 cluster" if count == 1 else f"{count} clusters"
        told = f"→ {row['target']}  rollout of {clusters} in {waves}, about {_tell_forecast(row['forecast'])}"
        lines.append(_line("~", "yellow", f"ClusterSet {row['clusterSet']}", told))
        lines += [_tell_wave(wave) for wave in row["waves"]]
        lines += [Text(f"      windows    {window}") for window in row["windows"]]
        lines.append(Text(f"      way back   {row['wayBack']}"))
    for row in mine["clusters"]:
        if row["action"] != "none" or wide:
            sign, colour = _SIGNS[row["action"]]
            lines.append(_line(sign, colour, f"ChildCluster {row['name']}", _tell_cluster(row)))
    for row in mine["hosts"]:
        sign, colour = _HOST_SIGNS[row["action"]]
        lines.append(_line(sign, colour, f"Host {row['pool']}--{row['host']}", _tell_host(row)))
    for row in mine["placements"]:
        if row["state"] == "Placed" and not wide:
            continue
        lines.append(_line("●", "green", f"Tenant {row['tenant']}/{row['environment']}", _tell_placement(row)))
    for row in mine["moves"]:
        told = f"{row['from']} ⇒ {row['to'] or '?'}  because {row['reason']}"
        lines.append(_line("→", "yellow", f"Tenant {row['tenant']}/{row['environment']}", told))
    return lines + _render_refusals(mine["unplaced"], mine["refusals"])


def _tell_wave(wave: Row) -> Text:
    conditions = [f"soak {describe_seconds(wave['soakSeconds'])}"] if wave["soakSeconds"] else []
    conditions += [f"gate {name}" for name in wave["gates"]]
    after = f"  then {', '.join(conditions)}" if conditions else ""
    return Text(f"      {wave['name']:<10} {', '.join(wave['clusters'])}{after}")


def _tell_forecast(forecast: Row) -> str:
    low, high = describe_seconds(forecast["lowSeconds"]), describe_seconds(forecast["highSeconds"])
    return f"{describe_seconds(forecast['seconds'])} ({low} to {high})"


def _render_refusals(unplaced: Sequence[Row], refusals: Sequence[Row]) -> list[Text]:
    """Write each tenant that fits nowhere once, with the clusters that come nearest below it."""
    lines: list[Text] = []
    for row in unplaced:
        lines.append(_line("✗", "red", f"Tenant {row['tenant']}/{row['environment']}", row["message"]))
        keys = ("tenant", "environment", "namespaces")
        nearest = [item for item in refusals if item["cluster"] and all(item[key] == row[key] for key in keys)]
        for index, item in enumerate(nearest):
            label = "nearest:" if index == 0 else ""
            lines.append(Text(f"      {label:<8} {item['cluster']:<22} {item['rule']:<12} {item['message']}"))
            if item["remedy"]:
                lines.append(Text(f"{'':<38} → {item['remedy']}"))
    return lines


def _tell_cluster(row: Row) -> str:
    stops = " → ".join(hop["to"] for hop in row["hops"])
    versions = {
        "create": row["to"],
        "change": f"{row['from']} → {stops or row['to']}",
    }.get(row["action"], row["from"] or "")
    wave = f"wave {row['wave']}: " if row["wave"] else ""
    return f"{versions}  {wave}{row['reason']}"


def _tell_host(row: Row) -> str:
    return f"{row['action']} for {row['cluster']}  {row['reason']}"


def _tell_placement(row: Row) -> str:
    regimes = f"  under {', '.join(row['regimes'])}" if row["regimes"] else ""
    return f"on {row['cluster']}{regimes}  {row['reason']}".rstrip()


def _line(sign: str, colour: str, subject: str, told: str) -> Text:
    return Text.assemble("  ", (sign, colour), f" {subject.ljust(_SUBJECT)} ", told)
