"""What of a decision goes into the record: everything in which it differs from what the status says already.

The status is all that a restarted operator knows, and it keeps at most twenty unfinished rows. So:

* Who is told to move, or back, stands in the decision itself. Records are written before children are told, so none is
  lost; where it was the other way round, and a stop came between, a row that moves without its record tells it.
* Who failed, went back or arrived is told by name as far as its row was in the status, which has all rows where they
  are twenty at most, and failures before all others. Of the rest the counts tell how many, in one entry: nobody is
  told twice, and the numbers always add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from atoll.fleet.audit import AuditEntry
from atoll.fleet.conditions import format_time, parse_time
from atoll.fleet.decisions import Advance, RevertChild, RolloutDecision, RolloutProgress, RolloutRow, WaveStatus
from atoll.fleet.names import REQUESTED_BY
from atoll.fleet.observed import Rollout

from .audit import settle
from .rows import read_cause, shorten
from .states import MOVING

EVENTS: Final = (
    *("Began", "Paused", "Resumed", "Halted", "Aborted", "Done", "Reverted", "Superseded"),
    *("WaveBegan", "WaveSoaking", "WaveHeld", "WaveDone", "GateOpened", "GateClosed"),
    *("MemberTold", "MemberSentBack", "MemberFailed", "MemberReverted", "MemberDone"),
    *("MembersFailed", "MembersReverted", "MembersDone"),
)
"""Every word that stands in `event`."""

FOUND: Final = "found on its way: "
"""How a message begins of a member that was told by an operator that was stopped before it could write so."""

ROW_MESSAGE: Final = 512
"""Characters of a row's message that the status keeps; of a longer one the middle is left out."""
NAMED: Final = 5
"""Members of a wave that are named when the rollout begins; the frozen waves of its spec have all."""

_SEVERAL: Final = frozenset({"MemberTold", "WaveSoaking", "MembersFailed", "MembersReverted", "MembersDone"})
"""What may be told several times although no status was written between: another hop, another end, another number."""
_ORDERS: Final = frozenset({"MemberTold", "MemberSentBack"})
_FINISHED: Final = ("Done", "Failed", "Reverted")
_NOBODY: Final[Mapping[tuple[str, str], Sequence[str]]] = MappingProxyType({})


def plan_entries(
    rollout: Rollout,
    progress: RolloutProgress,
    decision: RolloutDecision,
    now: datetime,
    *,
    approvers: Mapping[tuple[str, str], Sequence[str]] = _NOBODY,
) -> tuple[AuditEntry, ...]:
    """List what a decision says about a rollout that its status, as stored, does not say yet; nothing new: nothing.

    `approvers`: whose word opened a gate, by (wave, gate).
    """
    change = _Change(rollout=rollout, progress=progress, decision=decision, now=now)
    told = _list_orders(change)
    finished = _list_finished(change)
    state = _tell_state(change)
    began = [entry for entry in state if entry.event == "Began"]
    ended = [entry for entry in state if entry.event != "Began"]
    # As it came to pass: what was found out, what follows from it, wave by wave, and how the whole stands then.
    entries = [*began, *finished]
    for wave in progress.waves:
        of_wave = _tell_wave(change, wave, approvers)
        entries += [entry for entry in of_wave if entry.event == "WaveBegan"]
        entries += [entry for entry in told if entry.wave == wave.name]
        entries += [entry for entry in of_wave if entry.event != "WaveBegan"]
    names = {wave.name for wave in progress.waves}
    return (*entries, *(entry for entry in told if entry.wave not in names), *ended)


def drop_known(entries: Sequence[AuditEntry], there: Sequence[AuditEntry]) -> tuple[AuditEntry, ...]:
    """Leave out entries that were written, but acknowledged by no status; times aside, each stands for one."""
    left = list(there)
    new: list[AuditEntry] = []
    for entry in entries:
        wanted = settle(entry)
        known = next((item for item in left if _is_same(wanted, item)), None)
        if known is None:
            new.append(entry)
        else:
            left.remove(known)
    return tuple(new)


def drop_repeated(entries: Sequence[AuditEntry], record: Sequence[AuditEntry]) -> tuple[AuditEntry, ...]:
    """Leave out orders that are the record's last word about their cluster.

    Who was stopped between an order's record and the order has it acknowledged by a status. The next operator may
    write that status anew before it has looked at the cluster; then it gives the same order once more.
    """
    last = {entry.cluster: entry for entry in record if entry.cluster}
    return tuple(
        entry
        for entry in entries
        if entry.event not in _ORDERS or entry.cluster not in last or not _is_same(settle(entry), last[entry.cluster])
    )


def _is_same(entry: AuditEntry, there: AuditEntry) -> bool:
    """Say whether both tell the same news. Both come from one status: what it did not know it did not know twice.

    Words may have changed since (who failed now goes back); they tell apart only what can be news several times.
    """
    if (entry.event, entry.wave, entry.cluster) != (there.event, there.wave, there.cluster):
        return False
    if entry.event in {"GateOpened", "GateClosed"}:
        return entry.message.partition(":")[0] == there.message.partition(":")[0]
    if entry.event not in _SEVERAL or entry.message.startswith(FOUND):
        return True
    return entry.message == there.message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A status as stored, beside what it shall say."""

    rollout: Rollout
    progress: RolloutProgress
    decision: RolloutDecision
    now: datetime
    stored_rows: Mapping[str, Mapping[str, Any]] = field(init=False)
    counts: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        rows = self.rollout.status.get("rows") or ()
        object.__setattr__(self, "stored_rows", {self.member(str(row.get("cluster", ""))): row for row in rows})
        object.__setattr__(self, "counts", self.rollout.status.get("counts") or {})

    @property
    def stored_state(self) -> str:
        """State as stored; empty: nothing was written yet."""
        return str(self.rollout.status.get("state", ""))

    @property
    def complete(self) -> bool:
        """Whether the status has a row for everybody who had not finished."""
        finished = self.counts.get("done", 0) + self.counts.get("skipped", 0)
        return not self.stored_state or self.counts.get("total", 0) - finished == len(self.stored_rows)

    def member(self, child: str) -> str:
        """Return the name of a member, from that of its ChildCluster or its own."""
        return child.removeprefix(f"{self.progress.set_name}--")

    def stored_row_state(self, member: str) -> str | None:
        """State of a member as stored; empty: it had finished or was never written; None: nobody can tell."""
        row = self.stored_rows.get(member)
        if row is not None:
            return str(row.get("state", ""))
        return "" if self.complete else None

    def stored_message(self, member: str) -> str:
        """Return what a member's row said."""
        return str(self.stored_rows.get(member, {}).get("message", ""))

    def entry(self, event: str, message: str, *, wave: str = "", cluster: str = "", by: str = "") -> AuditEntry:
        return AuditEntry(time=self.now, event=event, message=message, wave=wave, cluster=cluster, by=by)


def _tell_state(change: _Change) -> list[AuditEntry]:
    rollout, progress, before = change.rollout, change.progress, change.stored_state
    entries: list[AuditEntry] = []
    if not before:
        target = f"{rollout.target_version} ({rollout.target_revision})"
        again = f", retry {rollout.retry}" if rollout.retry else ""
        waves = "; ".join(f"{wave.name}: {_list_names(wave.clusters)}" for wave in rollout.waves)
        entries.append(
            change.entry(
                "Began", f"{progress.set_name} goes to {target}{again} in waves {waves}", by=rollout.requested_by
            )
        )
    if progress.state in {before, "Running"}:
        if before not in {"", progress.state}:
            entries.append(change.entry("Resumed", progress.message))
        return entries
    # Who set `spec.action` is proved by policy; a pause of the whole ClusterSet names nobody here.
    asked = {"Paused": "Pause", "Aborted": "Abort"}.get(progress.state)
    by = rollout.meta.annotations.get(REQUESTED_BY, "") if asked == rollout.action else ""
    return [*entries, change.entry(progress.state, progress.message, by=by)]


def _list_names(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= NAMED else f"{len(names)} members"


def _tell_wave(
    change: _Change, wave: WaveStatus, approvers: Mapping[tuple[str, str], Sequence[str]]
) -> list[AuditEntry]:
    waves: Sequence[Mapping[str, Any]] = change.rollout.status.get("waves") or ()
    stored: Mapping[str, Any] = next((item for item in waves if item.get("name") == wave.name), {})
    entries: list[AuditEntry] = []
    if wave.started_time is not None and not stored.get("startedTime"):
        entries.append(change.entry("WaveBegan", "its first members move or have arrived", wave=wave.name))
    gates = {str(gate.get("name", "")): gate for gate in stored.get("gates") or ()}
    for gate in wave.gates:
        name = str(gate.get("name", ""))
        was_open = gates[name].get("state") == "Open" if name in gates else None
        if was_open != (gate.get("state") == "Open"):
            event = "GateClosed" if was_open is not False and gate.get("state") != "Open" else "GateOpened"
            by = ", ".join(approvers.get((wave.name, name), ())) if event == "GateOpened" else ""
            message = f"{name}: {gate.get('message', '')}" if gate.get("message") else name
            entries.append(change.entry(event, message, wave=wave.name, by=by))
    soaks = wave.state == "Soaking" and wave.soak_until is not None
    if soaks and (stored.get("state") != "Soaking" or not _same_time(stored.get("soakUntil"), wave.soak_until)):
        assert wave.soak_until is not None
        entries.append(change.entry("WaveSoaking", f"until {format_time(wave.soak_until)}", wave=wave.name))
    if wave.state == "Held" and stored.get("state") != "Held":
        closed = [str(gate.get("message", "")) for gate in wave.gates if gate.get("state") != "Open"]
        entries.append(change.entry("WaveHeld", "; ".join(closed) or change.progress.message, wave=wave.name))
    if wave.state == "Done" and stored.get("state") != "Done":
        states = Counter(row.state.lower() for row in change.progress.rows if row.wave == wave.name)
        told = ", ".join(
            f"{states[state]} {state}" for state in ("done", "failed", "reverted", "skipped") if states[state]
        )
        entries.append(change.entry("WaveDone", told or "it has no members left", wave=wave.name))
    return entries


def _list_orders(change: _Change) -> list[AuditEntry]:
    """Tell who is told to move, or to go back, now or by an operator that was stopped before it could write so."""
    name = change.progress.name
    advances = {change.member(item.child): item for item in change.decision.advances if item.rollout == name}
    reverts = {change.member(item.child): item for item in change.decision.reverts if item.rollout == name}
    orders: dict[str, Advance | RevertChild] = {**reverts, **advances}
    rows = {row.cluster: row for row in change.progress.rows}
    entries: list[AuditEntry] = []
    for row in change.progress.rows:
        order = orders.get(row.cluster)
        event = "MemberTold" if row.cluster in advances or row.state in MOVING else "MemberSentBack"
        if order is not None:
            message = f"to {order.version} ({order.revision}): {order.reason}"
        elif _is_found(change, row):
            message = f"{FOUND}{row.message}"
        else:
            continue
        if order is not None and _is_written(change, row):
            continue
        entries.append(change.entry(event, message, wave=row.wave, cluster=row.cluster))
    for member, item in orders.items():
        if member not in rows:
            message = f"to {item.version} ({item.revision}): {item.reason}"
            event = "MemberTold" if member in advances else "MemberSentBack"
            entries.append(change.entry(event, message, cluster=member))
    return entries


def _is_written(change: _Change, row: RolloutRow) -> bool:
    """Say whether the status told of this very order: it was written, and the child could not be told yet."""
    told, told_state = change.stored_message(row.cluster), change.stored_row_state(row.cluster)
    return told_state == row.state and bool(told) and shorten(row.message, ROW_MESSAGE) == told


def _is_found(change: _Change, row: RolloutRow) -> bool:
    """Say whether a member is on its way, or on its way back, and the status did not know."""
    before = change.stored_row_state(row.cluster)
    if row.state in MOVING:
        return before is not None and before not in MOVING
    if row.state != "Failed" or before is None:
        return False
    stored = change.stored_message(row.cluster)
    if before == "Failed" and len(stored) >= ROW_MESSAGE - 1:
        # The middle of what it said was left out, and that may be where it said who goes back.
        return False
    return read_cause(row.message) != row.message and read_cause(stored) == stored


def _list_finished(change: _Change) -> list[AuditEntry]:
    """Tell who arrived, failed or is back: by name where it is sure that nobody told it, else by number."""
    progress = change.progress
    if not progress.rows:
        # A rollout that another has taken the place of says nothing of its members.
        return []
    entries: list[AuditEntry] = []
    named: Counter[str] = Counter()
    for row in progress.rows:
        before = change.stored_row_state(row.cluster)
        if row.state in _FINISHED and before != row.state and _may_name(change, row, before):
            named[row.state] += 1
            entries.append(
                change.entry(f"Member{row.state}", _describe(change, row), wave=row.wave, cluster=row.cluster)
            )
        if before in _FINISHED and before != row.state:
            named[before] -= 1
    states = Counter(row.state for row in progress.rows)
    for state in _FINISHED:
        more = states[state] - change.counts.get(state.lower(), 0) - named[state]
        if more > 0:
            entries.append(change.entry(f"Members{state}", _count(change, state, more, states[state])))
    return entries


def _may_name(change: _Change, row: RolloutRow, before: str | None) -> bool:
    if row.state == "Done":
        # Who has no row was done, was left out, or had no room in the status: only who had one is news for sure.
        return bool(before)
    if before is not None:
        return True
    # Failures come first in the status: while there was room for others too, all of them were in it.
    return change.counts.get("failed", 0) + change.counts.get("reverted", 0) < len(change.stored_rows)


def _describe(change: _Change, row: RolloutRow) -> str:
    if row.state != "Done":
        return row.message
    target = change.rollout.target_version
    return f"has arrived at {target}; {row.message}" if row.message else f"has arrived at {target}"


def _count(change: _Change, state: str, more: int, total: int) -> str:
    words = {"Done": f"at {change.rollout.target_version}", "Failed": "failed", "Reverted": "back where they were"}
    of = len(change.progress.rows)
    if not change.stored_state:
        return (
            f"{more} of {of} members are {words[state]} already" if state != "Failed" else f"{more} of {of} have failed"
        )
    return f"{more} more of {of} members {'are ' if state != 'Failed' else ''}{words[state]}: {total} by now"


def _same_time(text: Any, time: datetime | None) -> bool:
    if isinstance(text, str):
        try:
            return format_time(parse_time(text)) == format_time(time) if time is not None else False
        except ValueError:
            return False
    return bool(text == time)
