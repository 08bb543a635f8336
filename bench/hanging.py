"""What one silent host costs the others: its server is stopped, or its packets are dropped, and nobody is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from .executing import Executor
from .machines import MACHINES, LogicalHost, Machines
from .measure import Report, Spread, ratios
from .peer_ansible import Ansible, Kind
from .steps import Step, build_steps

PAIRS: Final = 7
JOBS: Final = 4
"""Each host does so many, one after the other: the longer it takes, the less a single hiccup of the machine counts."""
STEPS: Final = 20
AIM: Final = 1.05
_DROP: Final = "table inet bench { chain input { type filter hook input priority 0; tcp dport 22 drop; }; }"


def measure_hang(report: Report, machines: Machines, ansible: Ansible) -> None:
    """Time the others alone and beside a silent host, in turns."""
    everybody = machines.choose(MACHINES)
    silent, others = everybody[-1], everybody[:-1]
    steps = build_steps(STEPS)
    for what, stop in (("stopped in the middle", True), ("dropping packets, not connected", False)):
        alone, beside = [], []
        for _ in range(PAIRS):
            alone.append(asyncio.run(_time_others(machines, others, None, steps, connected=stop)))
            beside.append(asyncio.run(_time_others(machines, others, silent, steps, connected=stop)))
        report.row(
            f"{len(others)} hosts beside one {what}",
            Spread(tuple(beside)).show("s"),
            f"without it {Spread(tuple(alone)).show('s')}",
            ratio=ratios(beside, alone).median,
            aim=AIM,
        )
    for kind in Kind:
        ansible.disconnect()
        machines.empty()
        without = ansible.run(kind, others, steps).seconds
        ansible.disconnect()
        machines.empty()
        with _dropping(silent):
            with_it = ansible.run(kind, everybody, steps, some_are_gone=True).seconds
        report.row(f"  the same for {kind}, once", f"{with_it:.1f} s", f"without it {without:.1f} s")


async def _time_others(
    machines: Machines,
    others: Sequence[LogicalHost],
    silent: LogicalHost | None,
    steps: Sequence[Step],
    *,
    connected: bool,
) -> float:
    """Return the seconds until all others have done their jobs; the silent one is asked at the same time."""
    machines.empty()
    executor = Executor(machines)
    try:
        if connected:
            await asyncio.gather(*(executor.work(host, steps) for host in (*others, *([silent] if silent else []))))
        with _stopped(silent) if connected else _dropping(silent):
            started = time.perf_counter()
            stuck = asyncio.create_task(executor.work(silent, steps)) if silent else None
            await asyncio.gather(*(_repeat(executor, host, steps) for host in others))
            seconds = time.perf_counter() - started
            if stuck is not None:
                if stuck.done():
                    raise AssertionError("the silent host has answered")
                stuck.cancel()
                with suppress(asyncio.CancelledError):
                    await stuck
    finally:
        await executor.close()
    return seconds


async def _repeat(executor: Executor, host: LogicalHost, steps: Sequence[Step]) -> None:
    for _ in range(JOBS):
        await executor.work(host, steps)


@contextmanager
def _stopped(host: LogicalHost | None) -> Iterator[None]:
    """Stop the server's processes of all sessions on a host: its kernel acknowledges what they never read."""
    if host is None:
        yield
        return
    sessions = host.machine.run("pgrep", "--full", "^sshd: root").stdout.split()
    if not sessions:
        raise AssertionError(f"{host.name} has no session to stop")
    host.machine.run("kill", "-STOP", *sessions)
    try:
        yield
    finally:
        # Going on, they would still begin the job that they were sent, in the middle of the next measurement.
        host.machine.run("kill", "-KILL", *sessions, check=False)


@contextmanager
def _dropping(host: LogicalHost | None) -> Iterator[None]:
    """Drop what comes for the host's port 22."""
    if host is None:
        yield
        return
    host.machine.run("nft", _DROP)
    try:
        yield
    finally:
        host.machine.run("nft", "delete", "table", "inet", "bench")
