"""Small steps on many hosts by SSH, beside Ansible and Mitogen on the same hosts; and what one silent host costs.

Ours is timed from the wish to the answer, in a process that runs already, as the operator does. The peers are timed as
a command, which is how they are used: the line on their shortest playbook says how much of it is their start.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .executing import Executor
from .hanging import measure_hang
from .hosting_table import Taken, show, show_further_steps
from .machines import LogicalHost, Machines, open_machines
from .measure import Report, contaminated_by_load, number
from .peer_ansible import Ansible, Kind
from .steps import Step, build_steps

ROUNDS: Final = {(5, 20): 3, (20, 20): 2, (5, 100): 2, (20, 100): 1}
"""Repeats by number of hosts and of steps. Those that a peer takes many minutes for are done once."""
OURS_PER_ROUND: Final = 3
"""Ours is short, so it is repeated within its turn, each time over the same connection, and its median taken."""


def run(report: Report) -> None:
    """Take turns: ours, Ansible, Mitogen. Needs root, for the hosts are containers of this machine."""
    if os.geteuid() != 0:
        raise SystemExit("error: bench hosting needs root: its hosts are systemd-nspawn containers")
    with tempfile.TemporaryDirectory(prefix="atoll-bench-") as folder, open_machines() as machines:
        ansible = Ansible(Path(folder), machines)
        try:
            everybody = machines.choose(max(hosts for hosts, _ in ROUNDS))
            machines.empty()
            asyncio.run(_take_hosts(machines, everybody))
            _show_start(report, machines, ansible)
            all_taken = {}
            for (hosts, steps), rounds in ROUNDS.items():
                with contaminated_by_load(report):
                    taken = _measure(machines, ansible, everybody[:hosts], build_steps(steps), rounds)
                    show(report, taken, hosts, steps)
                all_taken[hosts, steps] = taken
            show_further_steps(report, all_taken)
            with contaminated_by_load(report):
                measure_hang(report, machines, ansible)
        finally:
            ansible.disconnect()


def _measure(
    machines: Machines, ansible: Ansible, hosts: tuple[LogicalHost, ...], steps: Sequence[Step], rounds: int
) -> Taken:
    """Take turns, and compare what everybody left on the hosts."""
    taken = Taken()
    left = set()
    for _ in range(rounds):
        before = machines.count_logins()
        asyncio.run(_measure_ours(machines, hosts, steps, taken))
        taken.logins += machines.count_logins() - before
        left.add(machines.digest(hosts))
        for kind in Kind:
            machines.empty()
            used = ansible.run(kind, hosts, steps)
            left.add(machines.digest(hosts))
            taken.peers[kind].append(used.seconds)
            taken.cpu[kind].append(used.cpu)
    if len(left) != 1:
        raise AssertionError("not everybody left the same on the hosts")
    return taken


async def _measure_ours(
    machines: Machines, hosts: tuple[LogicalHost, ...], steps: Sequence[Step], taken: Taken
) -> None:
    """Do it once from no connection on, and then over the connections that are there."""
    executor = Executor(machines)
    try:
        machines.empty()
        taken.cold.append((await executor.run(hosts, steps)).seconds)
        warm = []
        for _ in range(OURS_PER_ROUND):
            machines.empty()
            warm.append(await executor.run(hosts, steps))
        taken.warm.append(sorted(warm, key=lambda done: done.seconds)[OURS_PER_ROUND // 2])
        taken.handshakes += sum(executor.get(host).handshakes for host in hosts)
    finally:
        await executor.close()


async def _take_hosts(machines: Machines, hosts: tuple[LogicalHost, ...]) -> None:
    executor = Executor(machines)
    try:
        await executor.connect(hosts)
    finally:
        await executor.close()


def _show_start(report: Report, machines: Machines, ansible: Ansible) -> None:
    """Say what the peers need for one step; this also opens the connections that Ansible keeps."""
    hosts = machines.choose(max(hosts for hosts, _ in ROUNDS))
    few = machines.choose(min(hosts for hosts, _ in ROUNDS))
    steps = build_steps(4)[:1]
    before = machines.count_logins()
    ansible.run(Kind.ANSIBLE, hosts, steps)
    logins = machines.count_logins() - before
    told = ", ".join(f"{kind} {number(ansible.run(kind, few, steps).seconds)} s" for kind in Kind)
    report.tell(f"{len(few)} hosts × 1 step: {told}; Ansible logged in {logins / len(hosts):.2g} times per host")
