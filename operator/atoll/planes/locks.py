"""Locks that vanish with their holder."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from atoll.errors import Conflict

PATIENCE_SECONDS: Final = 0.5
"""Whoever only looks holds a lock for an instant."""


@asynccontextmanager
async def hold_lock(path: Path, what: str, *, patience_seconds: float = PATIENCE_SECONDS) -> AsyncIterator[None]:
    """Hold a lock on a file; Conflict when somebody else does."""
    descriptor = await acquire(path, what, patience_seconds)
    try:
        yield
    finally:
        os.close(descriptor)


async def acquire(path: Path, what: str, patience_seconds: float) -> int:
    """Return the descriptor whose closing ends the lock."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience_seconds
    while True:
        descriptor = try_lock(path)
        if descriptor is not None:
            return descriptor
        if loop.time() >= end:
            raise Conflict(f"somebody else is working on {what}: wait until that is done")
        await asyncio.sleep(0.02)


def try_lock(path: Path) -> int | None:
    """Return a locked descriptor, or None when the lock is taken."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The holder before us may have removed the plane and its lock with it: then this is a lock on nothing.
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds the lock; creates nothing."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
