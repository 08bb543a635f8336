"""Where things of the rig lie on the machine."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def find_cache(environ: Mapping[str, str]) -> Path:
    """Return the folder of what is made once and kept: root file systems, programs, bundles."""
    return _xdg(environ, "XDG_CACHE_HOME", ".cache") / "atoll" / "rig"


def find_home(environ: Mapping[str, str]) -> Path:
    """Return the folder of hosts that are brought up by hand: $ATOLL_RIG_HOME, or one in the user's state."""
    if stated := environ.get("ATOLL_RIG_HOME"):
        return Path(stated).absolute()
    return _xdg(environ, "XDG_STATE_HOME", ".local/state") / "atoll" / "rig"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes and threads; the kernel lets go of it when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _xdg(environ: Mapping[str, str], variable: str, default: str) -> Path:
    stated = Path(environ.get(variable, ""))
    return stated if stated.is_absolute() else Path(environ.get("HOME") or Path.home()) / default
