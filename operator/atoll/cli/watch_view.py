"""A rollout drawn: bars before words, problems first, and no sentence that holds a cause is ever cut off."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Final

from rich.text import Text

from atoll.rollout.states import MOVING
from atoll.rollout.stored import OVER

from .durations import describe_seconds
from .output import WIDTH, open_console
from .rollout_gates import Gate, write_approve
from .rollout_view import BAR, MARKS, draw_bar
from .watch_model import ENDED_BADLY, name_few
from .watch_values import Grade, Picture, Row, Span, Wave

WAVE_BAR: Final = 10
NAME_LIMIT: Final = 24
NARROWEST: Final = 30
"""Columns that a folded sentence gets at least, however deep it stands."""
ROW_DEPTH: Final = 5
GREY: Final = "bright_black"
WAVE_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "Done": ("done", "green"),
    "Running": ("changing", "yellow"),
    "Soaking": ("soaking", "yellow"),
    "Held": ("held", "yellow"),
    "Waiting": ("waiting", GREY),
}
GATE_MARKS: Final[Mapping[str, tuple[str, str]]] = {
    "Open": ("✓", "green"),
    "Closed": ("‖", "yellow"),
    "Unknown": ("?", "yellow"),
    "": ("·", GREY),
}
STATE_MARKS: Final[Mapping[str, tuple[str, str]]] = {
    **MARKS,
    "Halted": ("✗", "red"),
    "Aborted": ("✗", "red"),
    "Superseded": ("–", GREY),
    "Paused": ("‖", "yellow"),
}
NOT_BEGUN: Final = "not begun"
RANK: Final = ("Failed", "Reverted", "Changing", "Verifying", "Preflight", "Held", "Pending", NOT_BEGUN, "Skipped")
"""Rows of one wave: problems first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where and when a picture is drawn."""

    now: datetime
    zone: tzinfo
    width: int = WIDTH
    options: str = ""
    """What every command to copy ends with, such as ` -n other`."""


def render_picture(picture: Picture, frame: Frame) -> list[Text]:
    """Draw one rollout."""
    lines = _render_header(picture, frame)
    width = max([6, *(len(wave.name) for wave in picture.waves if len(wave.name) <= NAME_LIMIT)])
    for wave in picture.waves:
        lines += _render_wave(picture, wave, width, frame)
    for proposal in picture.proposals:
        lines += _fold(Text("! ", style="yellow"), proposal, frame)
    lines += _render_end(picture, frame) if picture.state in OVER else _render_next(picture, frame)
    return lines


def render_nothing(fleet: str, last: Sequence[Picture], frame: Frame) -> list[Text]:
    """Say that nothing is running, and how the last rollouts ended, newest first."""
    if not last:
        return _fold(
            Text(""),
            f"No rollout is running in fleet {fleet}, and none was there. One begins when a ClusterSet changes.",
            frame,
        )
    lines = [Text(f"No rollout is running in fleet {fleet}. The last ones:")]
    names = max(len(item.name) for item in last)
    versions = max(len(item.target) for item in last)
    for item in last:
        mark, colour = STATE_MARKS.get(item.state, ("◐", "yellow"))
        line = Text.assemble(f" {item.name:<{names}}  {item.target:<{versions}}  ", (f"{mark} ", colour))
        line.append(f"{item.state:<10}", style=colour)
        line.append(f" {_describe_counts(item)}{_describe_took(item)}")
        if item.ended is not None:
            line.append(f" · {describe_seconds((frame.now - item.ended).total_seconds())} ago", style=GREY)
        lines.append(line)
        if item.is_last and item.state not in {"Done", "Superseded"}:
            lines += _fold(Text("   "), item.message, frame)
    return lines


def list_commands(picture: Picture, options: str = "") -> list[str]:
    """List the commands that one may want next."""
    name, set_name = picture.name, picture.set_name
    if picture.state == "Done":
        found = ["atoll tree", f"atoll why cset/{set_name}"]
    elif picture.state in OVER:
        bad = [row.cluster for wave in picture.waves for row in wave.rows if row.state in ENDED_BADLY]
        found = [f"atoll why child/{set_name}--{cluster}" for cluster in bad[:1]] or [f"atoll why rollout/{name}"]
        found += [f"atoll retry {set_name}"] if picture.is_last and picture.state != "Superseded" else []
    else:
        gates = [gate for wave in picture.waves for gate in wave.gates if _is_approvable(gate)]
        found = [write_approve(name, gate) for gate in gates[:1]]
        found += [f"atoll resume {name}" if picture.state == "Paused" else f"atoll pause {name}", f"atoll abort {name}"]
    return [f"{command}{options}" for command in found]


def draw(lines: Sequence[Text], width: int = WIDTH) -> str:
    """Return lines as plain text."""
    stream = io.StringIO()
    console = open_console(stream, width=width)
    for line in lines:
        console.print(line)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def list_facts(picture: Picture, frame: Frame) -> dict[str, str]:
    """Tell a rollout in sentences, one for each thing in it: where nobody sees a picture, only those that changed."""
    name = picture.name
    facts = {name: f"{name}: {picture.state} → {picture.target}, {_describe_counts(picture)}"}
    if picture.message and picture.state in {*OVER, "Paused"} - {"Done"}:
        facts[name] += f": {picture.message}"
    for wave in picture.waves:
        word, _ = _name_wave(picture, wave)
        soak = f" until {_write_clock(wave.soak_until, frame)}" if wave.state == "Soaking" and wave.soak_until else ""
        if wave.state != "Waiting":
            facts[f"{name}/{wave.name}"] = f"{name}: wave {wave.name} {word}{soak}"
        for row in wave.rows:
            text = f": {row.text}" if row.state not in MOVING and row.text else ""
            facts[f"{name}/{wave.name}/{row.cluster}"] = f"{name}: {row.cluster} {row.state.lower()}{text}"
        for cluster, seconds in wave.took.items():
            facts[f"{name}/{wave.name}/{cluster}"] = f"{name}: {cluster} done in {describe_seconds(seconds)}"
        for gate in wave.gates:
            if gate.state:
                message = f": {_strip(gate)}" if gate.state != "Open" else ""
                facts[f"{name}/{wave.name}//{gate.name}"] = f"{name}: gate {gate.name} {gate.state.lower()}{message}"
    return facts


def _render_header(picture: Picture, frame: Frame) -> list[Text]:
    colour = {"Done": "green", "Running": "yellow", "Paused": "yellow", "Starting": "yellow"}.get(picture.state, "red")
    head = Text.assemble((f"rollout {picture.name}", "bold"), f" → {picture.target}")
    parts = [] if picture.state == "Running" else [picture.state.lower()]
    if len(picture.waves) > 1 and picture.state not in OVER:
        parts.append(f"wave {picture.wave} of {len(picture.waves)}")
    parts.append(_describe_counts(picture))
    if picture.state in OVER:
        parts += [f"took {describe_seconds(picture.took)}"] if picture.took is not None else []
    elif picture.end is not None:
        parts.append(f"ends about {_write_clock(picture.end, frame)}")
    elif picture.left is not None:
        parts.append(f"about {describe_seconds(picture.left.seconds)} of work left")
    told = " · ".join(parts)
    gap = frame.width - len(head.plain) - len(told)
    if gap < 3:
        return [head, Text(f" {told}", style=colour)]
    return [head.append(" " * min(gap, max(3, 46 - len(head.plain)))).append(told, style=colour)]


def _describe_counts(picture: Picture) -> str:
    counts = picture.counts
    told = [f"{counts['done']} of {counts['total']} done"]
    bad = counts["failed"] + counts["reverted"]
    if bad or (picture.state not in OVER and picture.budget is not None):
        budget = f" (budget {picture.budget})" if picture.budget is not None else ""
        some = f", {counts['reverted']} of them reverted" if counts["reverted"] else ""
        told.append(f"{bad} failed{' and reverted' if counts['reverted'] == bad > 0 else some}{budget}")
    if counts["skipped"]:
        told.append(f"{counts['skipped']} skipped")
    return " · ".join(told)


def _describe_took(picture: Picture) -> str:
    if picture.took is None:
        return ""
    forecast = f" (forecast {describe_seconds(picture.grade.span.seconds)})" if picture.grade is not None else ""
    return f" · took {describe_seconds(picture.took)}{forecast}"


def _render_wave(picture: Picture, wave: Wave, width: int, frame: Frame) -> list[Text]:
    word, colour = _name_wave(picture, wave)
    line = Text(f" {wave.name:<{width}} ")
    line.append(draw_bar(wave.share, WAVE_BAR), style=colour)
    line.append(f" {word:<10}", style=colour)
    lines = _fold(line, _describe_wave(wave, frame), frame)
    rows = [_shorten_row(row, picture) for row in wave.rows]
    for state in RANK:
        lines += _render_rows([row for row in rows if row.state == state], frame)
    lines += _render_rows([row for row in rows if row.state not in RANK], frame)
    if wave.unlisted and wave.rows:
        lines.append(Text(f"   · and {wave.unlisted} more that are not done", style=GREY))
    through = wave.state in {"Soaking", "Held"} and wave.finished == len(wave.clusters)
    for gate in wave.gates:
        if through or (gate.state and wave.state != "Done"):
            lines += _render_gate(picture, gate, frame)
    return lines


def _describe_wave(wave: Wave, frame: Frame) -> str:
    """Say in the wave's own line what its rows do not say."""
    count = len(wave.clusters)
    clusters = f"{count} clusters" if count > 3 else ", ".join(wave.clusters)
    match wave.state:
        case "Waiting":
            return clusters
        case "Soaking" if wave.soak_until is not None:
            return (
                f"{clusters} · until {_write_clock(wave.soak_until, frame)} {_write_distance(wave.soak_until, frame)}"
            )
        case "Done":
            told = [_describe_done(wave, clusters)]
            told += [f"soaked {describe_seconds(wave.soak_seconds)}"] if wave.soak_until is not None else []
            told += [f"{gate.name} open" for gate in wave.gates]
            return " · ".join(told)
        case _ if wave.finished == count:
            return _describe_done(wave, clusters)
        case _:
            return f"{wave.finished} of {count} finished" if count > 1 else ""


def _describe_done(wave: Wave, clusters: str) -> str:
    if not wave.took:
        return clusters
    if len(wave.clusters) <= 3:
        told = (f"{name} {describe_seconds(wave.took[name])}" if name in wave.took else name for name in wave.clusters)
        return ", ".join(told)
    fastest, slowest = min(wave.took.values()), max(wave.took.values())
    return f"{clusters}, {describe_seconds(fastest)} to {describe_seconds(slowest)} each"


def _shorten_row(row: Row, picture: Picture) -> Row:
    """Say of a member in a rollout that goes no further what is left to say: the sentence at the end has the cause."""
    if picture.state not in OVER:
        return row
    if row.state not in ENDED_BADLY | MOVING:
        return replace(row, state=NOT_BEGUN, text="", span=None)
    return replace(row, text="") if f"{row.cluster}: {row.text}" in picture.message else row


def _name_wave(picture: Picture, wave: Wave) -> tuple[str, str]:
    """Say in a word how a wave stands, and its colour."""
    if picture.state in OVER and wave.state in {"Waiting", "Held"}:
        return (NOT_BEGUN, GREY) if wave.state == "Waiting" else ("stopped", "red")
    return WAVE_WORDS.get(wave.state, (wave.state.lower(), "yellow"))


def _render_rows(rows: Sequence[Row], frame: Frame) -> list[Text]:
    """Draw rows of one state; those that wait with the same words share a line."""
    lines: list[Text] = []
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        alone = row.state in MOVING | ENDED_BADLY
        groups.setdefault((row.cluster, row.text) if alone else (row.text,), []).append(row)
    for group in groups.values():
        lines += _render_row(group, frame)
    return lines


def _render_row(group: Sequence[Row], frame: Frame) -> list[Text]:
    row = group[0]
    mark, colour = ("·", GREY) if row.state == NOT_BEGUN else MARKS.get(row.state, ("◐", "yellow"))
    line = Text("   ").append(f"{mark} ", style=colour).append(name_few([item.cluster for item in group], shown=4))
    if row.steps_total:
        line.append("  ").append(draw_bar(row.steps_done / row.steps_total, BAR), style=colour)
        line.append(f"  {row.steps_done}/{row.steps_total}")
    word = {"Changing": "", "Pending": "waits", NOT_BEGUN: NOT_BEGUN}.get(row.state, row.state.lower())
    said = word in row.text.lower()
    parts = [": ".join(part for part in ("" if said else word, row.text) if part) or "changing"]
    if row.began is not None:
        parts.append(_describe_elapsed((frame.now - row.began).total_seconds(), row.span))
    elif row.span is not None and len(group) == 1:
        parts.append(f"about {_describe_span(row.span)}")
    return _fold(line.append("  "), " · ".join(parts), frame, depth=ROW_DEPTH)


def _describe_elapsed(seconds: float, span: Span | None) -> str:
    if span is None:
        return describe_seconds(seconds)
    if span.high and seconds > span.high:
        return f"{describe_seconds(seconds)}, longer than the {describe_seconds(span.high)} expected at most"
    return f"{describe_seconds(seconds)} of about {_describe_span(span)}"


def _describe_span(span: Span) -> str:
    about = describe_seconds(span.seconds)
    return f"{about} ({describe_seconds(span.low)} to {describe_seconds(span.high)})" if span.high else about


def _render_gate(picture: Picture, gate: Gate, frame: Frame) -> list[Text]:
    mark, colour = GATE_MARKS.get(gate.state, ("?", "yellow"))
    line = Text("   ").append(f"{mark} ", style=colour).append(f"gate {gate.name}  ")
    word = gate.state.lower() or "not asked yet"
    told = f"{word}: {_strip(gate)}" if gate.message else word
    if _is_approvable(gate) and "atoll approve" not in gate.message:
        who = f"members of {', '.join(gate.groups)}" if gate.groups else "whoever may create Approvals"
        told += f" → {who}: {write_approve(picture.name, gate, frame.options)}"
    return _fold(line, told, frame, depth=ROW_DEPTH)


def _strip(gate: Gate) -> str:
    """Return a gate's message without the gate's name, which stands before it."""
    return gate.message.removeprefix(f"gate {gate.name}: ")


def _is_approvable(gate: Gate) -> bool:
    return gate.is_opened_by_people and gate.is_waited_for


def _render_next(picture: Picture, frame: Frame) -> list[Text]:
    lines = []
    if picture.message and not _is_told(picture):
        lines += _fold(Text("now:  "), picture.message, frame)
    if picture.state == "Paused":
        lines += _fold(
            Text("next: "), f"nothing, until somebody runs `atoll resume {picture.name}{frame.options}`", frame
        )
    elif picture.next:
        lines += _fold(Text("next: "), " · then ".join(picture.next), frame)
    return lines


def _is_told(picture: Picture) -> bool:
    """Say whether the rollout's message repeats what stands in the rows and gates."""
    current = next((wave for wave in picture.waves if wave.state != "Done"), None)
    if current is None or picture.state != "Running":
        return False
    if current.state == "Soaking":
        return picture.message.startswith(f"wave {current.name} soaks until")
    told = [row.text for row in current.rows if row.text] + [gate.message for gate in current.gates if gate.message]
    moving = any(row.state in MOVING for row in current.rows)
    return (moving and not picture.message.startswith("held")) or any(text in picture.message for text in told)


def _render_end(picture: Picture, frame: Frame) -> list[Text]:
    lines = []
    if picture.state != "Done" and picture.message:
        lines += _fold(Text("why:   "), picture.message, frame)
    if picture.grade is not None:
        lines += _fold(Text("grade: "), _describe_grade(picture.grade), frame)
    return lines


def _describe_grade(grade: Grade) -> str:
    told = f"forecast {_describe_span(grade.span)}"
    if grade.took is not None:
        told += f", took {describe_seconds(grade.took)}"
        if grade.span.high:
            where = "above" if grade.took > grade.span.high else "below" if grade.took < grade.span.low else "within"
            told += f", {where} the range"
    if grade.changes:
        told += f" · {grade.within} of {grade.changes} changes took what was forecast"
    return told


def _write_clock(time: datetime, frame: Frame) -> str:
    """Write a time of day in the reader's own zone, with as much of the date as is needed."""
    local, now = time.astimezone(frame.zone), frame.now.astimezone(frame.zone)
    near = abs((local - now).total_seconds()) < 600
    clock = f"{local:%H:%M:%S}" if near else f"{local:%H:%M}"
    days = abs((local.date() - now.date()).days)
    return clock if not days else f"{local:%a} {clock}" if days < 7 else f"{local:%Y-%m-%d} {clock}"


def _write_distance(time: datetime, frame: Frame) -> str:
    seconds = (time - frame.now).total_seconds()
    return f"(in {describe_seconds(seconds)})" if seconds > 0 else "(now)"


def _fold(head: Text, told: str, frame: Frame, *, depth: int | None = None) -> list[Text]:
    """Put a sentence behind a head; what does not fit goes on below it, `depth` columns in (None: below its begin)."""
    if not told:
        head.rstrip()
        return [head]
    depth = len(head.plain) if depth is None else depth
    depth = min(depth, max(0, frame.width - NARROWEST))
    first, *rest = textwrap.wrap(
        told,
        frame.width - depth,
        initial_indent=" " * max(0, len(head.plain) - depth),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [head.append(first.lstrip()), *(Text(f"{' ' * depth}{part}") for part in rest)]
