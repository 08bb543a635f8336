"""What `hosting` has measured, as rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from .executing import Done
from .measure import Report, Spread, number, ratios
from .peer_ansible import Kind

AIMS: Final = {Kind.ANSIBLE: 1 / 50, Kind.MITOGEN: 1 / 10}


@dataclass(slots=True)
class Taken:
    """What all rounds of one size took."""

    cold: list[float] = field(default_factory=list)
    warm: list[Done] = field(default_factory=list)
    """The middle one of each round."""
    peers: dict[Kind, list[float]] = field(default_factory=lambda: {kind: [] for kind in Kind})
    cpu: dict[Kind, list[float]] = field(default_factory=lambda: {kind: [] for kind in Kind})
    handshakes: int = 0
    """By our own count, over all hosts and rounds."""
    logins: int = 0
    """By the log of the hosts' servers."""


def show(report: Report, taken: Taken, hosts: int, steps: int) -> None:
    """Print what one size took, beside both peers."""
    ours = [done.seconds for done in taken.warm]
    shown = Spread(tuple(ours)).show("s")
    for kind in Kind:
        peer = taken.peers[kind]
        report.row(
            f"{hosts} hosts × {steps} steps beside {kind}",
            shown,
            f"{kind} {Spread(tuple(peer)).show('s')}",
            ratio=ratios(ours, peer).median,
            aim=AIMS[kind],
        )
        report.tell(f"  {number(ratios(peer, ours).median)} times as fast")
    report.row("  the same, connecting first", Spread(tuple(taken.cold)).show("s"))
    works = hosts * steps
    peers = ", ".join(f"{kind} {number(Spread(tuple(taken.cpu[kind])).median / works * 1e3)}" for kind in Kind)
    cpu = Spread(tuple(done.cpu / works * 1e3 for done in taken.warm))
    report.row("  CPU per host and step", cpu.show("ms"), f"{peers} ms")
    rounds = len(taken.warm)
    report.row(
        "  handshakes per host",
        f"{taken.handshakes / hosts / rounds:g}",
        f"{taken.logins / hosts / rounds:g} by the servers' log",
        ratio=max(taken.handshakes, taken.logins) / hosts / rounds,
        aim=1,
    )
    parts = taken.warm[0].parts
    report.tell(
        f"  where ours goes, average host, ms: asked {parts.asked * 1e3:.0f}, unit started {parts.launched * 1e3:.0f}, "
        f"actions {parts.acted * 1e3:.0f} ({parts.acted / steps * 1e3:.2g} each), told {parts.told * 1e3:.0f}"
    )


def show_further_steps(report: Report, taken: Mapping[tuple[int, int], Taken]) -> None:
    """Compare what more steps cost: what everybody needs to start falls out."""
    for count in sorted({hosts for hosts, _ in taken}):
        sizes = sorted(steps for hosts, steps in taken if hosts == count)
        if len(sizes) < 2:
            continue
        few, many = taken[count, sizes[0]], taken[count, sizes[-1]]
        further = (sizes[-1] - sizes[0]) / 1e3
        ours = (median(done.seconds for done in many.warm) - median(done.seconds for done in few.warm)) / further
        for kind in Kind:
            peer = (median(many.peers[kind]) - median(few.peers[kind])) / further
            what = f"each step from {sizes[0]} to {sizes[-1]}, {count} hosts"
            report.row(what, f"{number(ours)} ms", f"{kind} {number(peer)} ms", ratio=ours / peer)
