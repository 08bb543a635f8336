"""Steps through Atoll's production executor: a job per host under systemd, journal on; and where its time goes."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from atoll.hosts.command import Command
from atoll.hosts.connected import Connections
from atoll.hosts.execute import SshHost
from atoll.hosts.jobs import Job, JobState

from .machines import LogicalHost, Machines
from .steps import Step, render_action

CLUSTER: Final = "0123456789abcdef"
JOB_SECONDS: Final = 600.0
_HELLO: Final = Command(argv=("true",), why="see whether the host answers")
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Parts:
    """Seconds of one host's job, by what went on. The clock on hosts counts in hundredths."""

    asked: float
    """From our wish until the host began to deal with it, connecting included."""
    launched: float
    """Until its first action began: systemd starts the unit."""
    acted: float
    """Until its last action had ended."""
    told: float
    """Until we knew."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a run took."""

    seconds: float
    cpu: float
    """CPU seconds of our process."""
    parts: Parts
    """On average over the hosts."""


class Executor:
    """Runs steps on hosts over connections that are kept until it is closed."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self._connections = Connections()

    def get(self, host: LogicalHost) -> SshHost:
        """Return a host; it connects when it is first used."""
        return self._connections.get(self._machines.access(host))

    async def close(self) -> None:
        """Cut the connections."""
        await self._connections.close()

    async def connect(self, hosts: Sequence[LogicalHost]) -> None:
        """Connect to hosts, and take them for our cluster."""
        await asyncio.gather(*(self.get(host).run(_HELLO) for host in hosts))
        for host in hosts:
            await self.work(host, (), takes_host=True)

    async def run(self, hosts: Sequence[LogicalHost], steps: Sequence[Step]) -> Done:
        """Take the steps on all hosts at once; raises AssertionError when a job does not succeed."""
        cpu, started, clock = time.process_time(), time.perf_counter(), time.clock_gettime(time.CLOCK_BOOTTIME)
        ends = await asyncio.gather(*(self.work(host, steps) for host in hosts))
        done = time.perf_counter() - started, time.process_time() - cpu
        found = [self._read_parts(host, clock, *end) for host, end in zip(hosts, ends, strict=True)]
        return Done(*done, _average(found))

    async def work(self, host: LogicalHost, steps: Sequence[Step], *, takes_host: bool = False) -> tuple[str, float]:
        """Take the steps on one host; returns the job's id and when, by the clock since boot, we knew of its end."""
        job = Job(
            id=f"bench-{host.name}.{next(_numbers)}",
            cluster_id=CLUSTER,
            actions=tuple(render_action(step, host.root) for step in steps),
            takes_host=takes_host,
            seconds=JOB_SECONDS,
        )
        way = self.get(host)
        status = await way.begin(job)
        if status.state is JobState.RUNNING:
            status = await way.wait(job.id, JOB_SECONDS)
        if status.state is not JobState.SUCCEEDED:
            raise AssertionError(f"{host.name}: {status}")
        return job.id, time.clock_gettime(time.CLOCK_BOOTTIME)

    def _read_parts(self, host: LogicalHost, begin: float, job: str, end: float) -> Parts:
        """Read from the host's journal when it did what: its clock is this machine's."""
        lines = host.machine.run("cat", f"/var/lib/atoll/jobs/{job}/journal").stdout.splitlines()
        dealt = float(lines[0].split()[5])
        actions = [line.split() for line in lines if line[0] in "+-"]
        first, last = float(actions[0][1]), float(actions[-1][2])
        return Parts(asked=dealt - begin, launched=first - dealt, acted=last - first, told=end - last)


def _average(found: Sequence[Parts]) -> Parts:
    return Parts(
        asked=fmean(part.asked for part in found),
        launched=fmean(part.launched for part in found),
        acted=fmean(part.acted for part in found),
        told=fmean(part.told for part in found),
    )
