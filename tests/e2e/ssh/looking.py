"""Small things that the tests of this folder share: work to give to a host, and looks behind its back."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from atoll.hosts.command import Action, Command
from atoll.hosts.jobs import Job

from .sshd_kit import Sshd

TRUE = Command(argv=("true",), why="Do nothing.")


def shell(text: str, **more: object) -> Command:
    """Return a command that is a line of shell."""
    return Command(argv=("sh", "-c", text), why="Try.", **more)  # type: ignore[arg-type]


def job(*actions: Action, name: str = "op-1.1", **more: object) -> Job:
    """Return a job that takes its host for cluster c1."""
    return Job(id=name, cluster_id="c1", actions=actions, takes_host=True, **more)  # type: ignore[arg-type]


async def eventually(check: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until `check` holds."""
    for _ in range(int(seconds / 0.02)):
        if check():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came true")


def run_program(*argv: str) -> str:
    """Run a program on this machine and return what it prints."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def read_text(path: str | Path) -> str:
    """Return what a file says; nothing when there is none."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def measure(folder: str | Path) -> int:
    """Return how many bytes the files of a folder hold."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def find_escaping_modes(folder: str | Path) -> list[str]:
    """Return what below a folder others than its owner may use."""
    return [str(path) for path in (Path(folder), *Path(folder).rglob("*")) if path.stat().st_mode & 0o077]


def is_alive(pid: int) -> bool:
    """Say whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(word) for word in read_text(f"/proc/{pid}/task/{pid}/children").split()]


def processes(server: Sshd) -> set[int]:
    """Return all processes that serve a server's connections."""
    found: set[int] = set()
    waiting = server.sessions()
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting.extend(children(pid))
    return found


def program(pid: int) -> str:
    """Return the name of a process."""
    return read_text(f"/proc/{pid}/comm").strip()


def kill_shells(server: Sshd) -> None:
    """Kill the shells behind a server, not its connections."""
    for pid in processes(server):
        if program(pid) == "sh":
            os.kill(pid, signal.SIGKILL)


def sent_bytes(server: Sshd) -> int:
    """Return how many bytes the server's processes have written."""
    served = [pid for pid in processes(server) if program(pid) == "sshd"]
    return sum(int(found) for pid in served for found in re.findall(r"wchar: (\d+)", read_text(f"/proc/{pid}/io")))


def holders(path: Path) -> set[int]:
    """Return the other processes that hold a file open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == str(path):
                found.add(int(link.parts[2]))
        except OSError:
            continue
    return found - {os.getpid()}
