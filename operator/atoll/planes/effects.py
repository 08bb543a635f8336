"""Everything that planes do to the machine, in one small class.

Tests pass a subclass that stops before or after any one of these calls, as a crash would.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from atoll.errors import ProcessFailed

from .steering import attach_steering
from .values import RunningProcess

RUN_TIMEOUT_SECONDS = 120.0


class Effects:
    """The real thing."""

    def make_folder(self, path: Path) -> None:
        """Create a folder that only its owner can enter, and its parents."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write_file(self, path: Path, content: bytes) -> None:
        """Replace a file in one step, readable by its owner alone: whoever looks sees the old or the new text."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)

    def rename(self, source: Path, target: Path) -> None:
        """Move a file or a folder within one file system."""
        source.rename(target)
        sync_folder(target.parent)

    def remove_tree(self, path: Path) -> None:
        """Remove a file or a folder with everything in it; nothing there is fine."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def spawn(self, argv: Sequence[str], *, log: Path, folder: Path, environment: Mapping[str, str]) -> int:
        """Start a process that outlives us and return its number."""
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        # The process is not ours to wait for: without a return code Popen would complain when it is collected.
        process.returncode = 0
        return process.pid

    def signal(self, process: RunningProcess, number: int) -> None:
        """Send a signal to exactly this process; a stranger that got its number is left alone."""
        try:
            found = psutil.Process(process.pid)
            if tuple(found.cmdline()) == process.argv:
                # psutil compares the start time once more before it signals.
                found.send_signal(number)
        except psutil.NoSuchProcess:
            return

    def reap(self, pid: int) -> int | None:
        """Collect the exit code of a dead child of ours; None when it is nobody's, or not ours."""
        try:
            done, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return None
        return os.waitstatus_to_exitcode(status) if done else None

    def steer(self, process: RunningProcess, port: int, *, clients: int, probes: int) -> bool:
        """Say which of the sockets that share `port` gets new connections; False where the system does not let us."""
        return attach_steering(process.pid, port, clients=clients, probes=probes)

    async def run(self, argv: Sequence[str], *, timeout_seconds: float = RUN_TIMEOUT_SECONDS) -> bytes:
        """Run a program to its end and return its standard output; ProcessFailed carries what it said."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.defpath, "GOMAXPROCS": "1"},
        )
        try:
            async with asyncio.timeout(timeout_seconds):
                output, errors = await process.communicate()
        except BaseException as error:
            if process.returncode is None:
                process.kill()
                await process.wait()
            if isinstance(error, TimeoutError):
                message = f"no end after {timeout_seconds:.0f} s"
                raise ProcessFailed(tuple(argv), None, message) from error
            raise
        if process.returncode != 0:
            raise ProcessFailed(tuple(argv), process.returncode, errors.decode(errors="replace"))
        return output


def sync_folder(path: Path) -> None:
    """Make a rename in a folder survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
