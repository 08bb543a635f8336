"""A rollout as people see it: waves, their members, and how far each has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from atoll.fleet.conditions import find

BAR: Final = 11
MARKS: Final[Mapping[str, tuple[str, str]]] = {
    "Done": ("✓", "green"),
    "Failed": ("✗", "red"),
    "Reverted": ("↺", "yellow"),
    "Skipped": ("–", "bright_black"),
    "Pending": ("·", "bright_black"),
    "Held": ("‖", "yellow"),
}


def render_rollout(
    rollout: Mapping[str, Any] | None,
    children: Sequence[Mapping[str, Any]],
    target: str,
    *,
    took: float,
    forecast: int | None,
) -> list[Text]:
    """Draw a rollout, with the children's own word on their operations. `took` and `forecast` are seconds."""
    if rollout is None:
        return [Text(f"\nUpgrade to {target}: waiting for the operator to plan it")]
    status = rollout.get("status", {})
    told = f"forecast {forecast} s, " if forecast is not None else ""
    head = f"\nUpgrade to {target} (rollout {rollout['metadata']['name']})"
    word = "took" if status.get("state") == "Done" else "running for"
    lines = [Text(f"{head:<62}{told}{word} {took:.0f} s")]
    by_member = {child["spec"]["memberName"]: child for child in children}
    rows = {row["cluster"]: row for row in status.get("rows", ())}
    wave_states = {wave["name"]: wave for wave in status.get("waves", ())}
    for wave in rollout["spec"].get("waves", ()):
        soaked = f"soak {wave['soakSeconds']} s" if wave.get("soakSeconds") else ""
        state = wave_states.get(wave["name"], {}).get("state", "Waiting")
        for place, member in enumerate(wave["clusters"]):
            row = rows.get(member, {"state": "Done" if status else "Pending"})
            child = by_member.get(member)
            label = wave["name"] if place == 0 else ""
            lines.append(_render_row(label, member, row, child, soaked if place == 0 else "", state))
    if status.get("message") and status.get("state") != "Done":
        lines.append(Text(f" {status['message']}", style="bright_black"))
    return lines


def draw_bar(share: float, width: int) -> str:
    """Draw how much of something is done, from 0 to 1; a bar is full only when all is."""
    full = min(round(width * share), width - (share < 1))
    return f"{'█' * full}{'░' * (width - full)}"


def _render_row(
    wave: str, member: str, row: Mapping[str, Any], child: Mapping[str, Any] | None, soak: str, wave_state: str
) -> Text:
    state = row["state"]
    mark, style = MARKS.get(state, ("◐", "yellow"))
    line = Text(f" {f'wave {wave}' if wave else '':<16} {member:<16} ")
    line.append(mark, style=style)
    line.append(f" {_describe(row, child):<42}")
    operation = (child or {}).get("status", {}).get("operation", {})
    if state in {"Changing", "Preflight"} and operation.get("stepsTotal"):
        done, total = operation.get("stepsDone", 0), operation["stepsTotal"]
        line.append(f" {draw_bar(done / total, BAR)}  {done}/{total}")
    elif state == "Done" and soak:
        line.append(f" {'soaking' if wave_state == 'Soaking' else 'soaked'} {soak.removeprefix('soak ')}")
    return line


def _describe(row: Mapping[str, Any], child: Mapping[str, Any] | None) -> str:
    state = row["state"]
    status = (child or {}).get("status", {})
    if state == "Done":
        last: Mapping[str, Any] = next(iter(reversed(status.get("history", ()))), {})
        took = f" in {last['seconds']} s" if "seconds" in last else ""
        verified = "verified" if find(status, "Verified").get("status") == "True" else "not verified"
        return f"changed{took}, {verified}"
    if state == "Pending":
        return "waits"
    if state == "Changing":
        return str(status.get("operation", {}).get("step") or "changing")
    return str(row.get("message") or state.lower())
