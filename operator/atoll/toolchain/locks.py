"""Locks between processes, so that the same thing is not got twice at once.

flock(2) on an open file: the kernel lets go of it when the process dies, however it dies, and two threads that each
open the file exclude each other as well.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Final

from atoll.errors import ToolchainError

_POLL_SECONDS: Final = 0.1


@contextmanager
def locked(path: Path, *, limit: float, stop: Event, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock `path`; calls `waiting` once when somebody else has it.

    Raises ToolchainError after `limit` seconds, or as soon as `stop` is set.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _try_lock(descriptor):
            waiting()
            _wait_for_lock(descriptor, path, limit, stop)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, path: Path, limit: float, stop: Event) -> None:
    deadline = time.monotonic() + limit
    while not _try_lock(descriptor):
        if stop.wait(_POLL_SECONDS):
            raise ToolchainError("stopped while waiting for another process that gets the same binaries")
        if time.monotonic() > deadline:
            raise ToolchainError(
                f"another process has held {path} for {limit:.0f} s. "
                f"See who with `fuser {path}`, end it if it hangs, then try again."
            )


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
