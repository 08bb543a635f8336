"""Start, find and end the processes of a plane.

A process is known by its command line, which names the plane's folder. The process file is only a short cut: when it is
missing or stale, all processes of the machine are looked at, so that a crash between start and file never leads to a
second process. Numbers of processes are used again by the system, hence no signal without a look at the identity.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import psutil

from atoll.errors import ProcessFailed

from .commands import find_tag, parse_role
from .documents import ProcessRecord, parse_process, render_process
from .effects import Effects
from .layout import Layout
from .store import read_text
from .values import Role, RunningProcess

POLL_SECONDS: Final = 0.025
EXEC_POLLS: Final = 5_000
COLLECT_POLLS: Final = 80
LOG_LIMIT_BYTES: Final = 10_000_000
LOG_TAIL_BYTES: Final = 8_000
TAIL_LINES: Final = 3
TAIL_LINE: Final = 300
INFORMATION: Final = re.compile(r'[IW]\d{4} |\{"level":"(debug|info|warn)"')
"""How lines begin that Kubernetes' programs and etcd write when nothing is wrong with them."""
WRITER: Final = re.compile(r"[IWEF]\d{4} \S+ +(\d+) ")
"""How lines of Kubernetes' programs begin, and which process wrote them."""
TIME_TOLERANCE_SECONDS: Final = 2.0
"""The system computes start times from a boot time that moves when the clock is set."""


def find_processes(layout: Layout, *, thorough: bool) -> tuple[RunningProcess, ...]:
    """Find the live processes of a plane; without `thorough`, trust process files if they account for all roles."""
    known = tuple(find_recorded(layout))
    if not thorough and {process.role for process in known} == set(Role):
        return known
    found = (inspect_process(layout, process) for process in psutil.process_iter())
    return tuple(sorted((process for process in found if process), key=lambda process: process.create_time))


def find_recorded(layout: Layout) -> Iterable[RunningProcess]:
    """Follow the process files to processes that are still the same."""
    for path in sorted(layout.run.glob("*.json")):
        record = parse_process(read_text(path) or b"")
        if record is None:
            continue
        try:
            found = inspect_process(layout, psutil.Process(record.pid))
        except psutil.Error:
            continue
        if found and abs(found.create_time - record.create_time) < TIME_TOLERANCE_SECONDS:
            yield found


def inspect_process(layout: Layout, process: psutil.Process) -> RunningProcess | None:
    """Say which of the plane's processes this is; None for strangers and for the dead that nobody has collected."""
    try:
        argv = tuple(process.cmdline())
        parsed = parse_role(layout, argv)
        if parsed is None or process.status() == psutil.STATUS_ZOMBIE:
            return None
        role, tag = parsed
        return RunningProcess(
            role=role,
            pid=process.pid,
            create_time=process.create_time(),
            executable=process.exe(),
            argv=argv,
            tag=tag,
        )
    except psutil.Error:
        return None


class Processes:
    """The processes of one plane, as an operation handles them."""

    def __init__(self, layout: Layout, effects: Effects, environment: Mapping[Role, Mapping[str, str]]) -> None:
        self._layout = layout
        self._effects = effects
        self._environment = environment

    def beside(self, layout: Layout) -> Processes:
        """Return the processes of another folder, to be started and ended in the same way."""
        return Processes(layout, self._effects, self._environment)

    def all(self) -> tuple[RunningProcess, ...]:
        """Find every live process of the plane, oldest first."""
        return find_processes(self._layout, thorough=True)

    def of_role(self, role: Role) -> tuple[RunningProcess, ...]:
        """Find the live processes of one role, oldest first."""
        return tuple(process for process in self.all() if process.role is role)

    async def start(
        self, role: Role, argv: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})
    ) -> RunningProcess:
        """Start a process and write its file. Look first: this does not."""
        layout, effects = self._layout, self._effects
        log = layout.log(role)
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            effects.rename(log, log.with_suffix(".log.1"))
        pid = effects.spawn(argv, log=log, folder=layout.root, environment={**self._environment[role], **environment})
        found = await self.identify(pid)
        if found is None:
            raise self.failure(role, tuple(argv), effects.reap(pid))
        self.record(found)
        return found

    async def identify(self, pid: int) -> RunningProcess | None:
        """Wait until a process that has just been started shows its command line; None when it has ended."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            # The system shows an empty command line for an instant after it has begun to run the program.
            for _ in range(EXEC_POLLS):
                if process.cmdline() or process.status() == psutil.STATUS_ZOMBIE:
                    break
                await asyncio.sleep(0.001)
            return inspect_process(self._layout, process)
        return None

    def record(self, process: RunningProcess) -> None:
        """Write the process file, if it does not say so already."""
        record = ProcessRecord(pid=process.pid, create_time=process.create_time, executable=process.executable)
        path = self._layout.run / f"{process.role}{'@' + find_tag(process.argv) if process.tag else ''}.json"
        if not path.exists() or parse_process(path.read_bytes()) != record:
            self._effects.write_file(path, render_process(record))

    def require_alive(self, process: RunningProcess) -> None:
        """Raise ProcessFailed with the tail of its log when a process has ended."""
        if not self.is_alive(process):
            raise self.failure(process.role, process.argv, self._effects.reap(process.pid))

    def is_alive(self, process: RunningProcess) -> bool:
        """Tell whether this very process still runs."""
        try:
            found = inspect_process(self._layout, psutil.Process(process.pid))
        except psutil.Error:
            return False
        return found is not None and abs(found.create_time - process.create_time) < TIME_TOLERANCE_SECONDS

    def failure(self, role: Role, argv: tuple[str, ...], code: int | None) -> ProcessFailed:
        """Build the error of a process that ended by itself."""
        others = frozenset(process.pid for process in self.of_role(role))
        return ProcessFailed(argv[:1], code, f"{role} ended. {read_tail(self._layout, role, others)}")

    async def stop(self, processes: Iterable[RunningProcess], *, limit_seconds: float) -> None:
        """End processes politely, then by force; returns when they are gone."""
        wanted = tuple(processes)
        if not wanted:
            return
        for number, limit in ((signal.SIGTERM, limit_seconds), (signal.SIGKILL, 10.0)):
            left = [process for process in wanted if self.is_alive(process)]
            for process in left:
                self._effects.signal(process, number)
            await self.wait_gone(left, limit)
        for process in wanted:
            self.require_gone(process)
            await self._collect(process.pid)
        self.forget_dead()

    async def _collect(self, pid: int) -> None:
        """Take the exit code of a child of ours, so that no dead entry of it stays in the process table.

        A process that is ending has no command line any more, and cannot be collected yet: so this may take a moment.
        """
        for _ in range(COLLECT_POLLS):
            if self._effects.reap(pid) is not None or not is_own_child(pid):
                return
            await asyncio.sleep(POLL_SECONDS)

    async def wait_gone(self, processes: Sequence[RunningProcess], limit_seconds: float) -> None:
        """Wait until processes have ended, or the limit."""
        loop = asyncio.get_running_loop()
        end = loop.time() + limit_seconds
        left = list(processes)
        while left and loop.time() < end:
            await asyncio.sleep(POLL_SECONDS)
            left = [process for process in left if self.is_alive(process)]

    def require_gone(self, process: RunningProcess) -> None:
        """Raise when not even force has ended a process."""
        if self.is_alive(process):
            message = f"{process.role} (process {process.pid}) does not end: see what the system holds it for"
            raise ProcessFailed(process.argv[:1], None, message)

    def forget_dead(self) -> None:
        """Remove the files of processes that are gone."""
        alive = {process.pid for process in self.all()}
        for path in sorted(self._layout.run.glob("*.json")):
            record = parse_process(path.read_bytes())
            if record is None or record.pid not in alive:
                self._effects.remove_tree(path)


def is_own_child(pid: int) -> bool:
    """Say whether a process, dead or alive, is a child of this one."""
    try:
        return psutil.Process(pid).ppid() == os.getpid()
    except psutil.Error:
        return False


def read_tail(layout: Layout, role: Role, others: Collection[int] = ()) -> str:
    """Return the end of a process's log. `others`: processes that write there too, and live."""
    path = layout.log(role)
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace").strip()
    except OSError:
        return f"Nothing is to be read in {path}."
    return f"Its log {path} ends with: {choose_telling_lines(text, others)}" if text else f"Its log {path} is empty."


def choose_telling_lines(text: str, others: Collection[int] = ()) -> str:
    """Choose the last lines of a log that are no mere information, and not of others: two API servers write to one."""
    written = [(line, WRITER.match(line)) for line in text.splitlines() if line.strip()]
    mine = [line for line, writer in written if writer is None or int(writer[1]) not in others]
    lines = mine or [line for line, _ in written]
    telling = [line for line in lines if not INFORMATION.match(line)]
    return "\n".join(line[:TAIL_LINE] for line in (telling or lines)[-TAIL_LINES:])
