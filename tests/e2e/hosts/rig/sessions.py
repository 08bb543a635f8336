"""A rig for one run of tests, beside those of other runs and of people, cleaned of what a killed run left."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .failure import RigFailure
from .network import build_segment, is_usable
from .rig import Rig

_SEGMENTS: Final = range(16, 32)
"""Out of the way of those that people choose by hand."""


@contextmanager
def lend_rig(home: Path) -> Iterator[Rig]:
    """Lend the rig of the first segment that no other run uses. Its folder is always the same for a segment."""
    for segment in _SEGMENTS:
        folder = home / f"tests-{segment}"
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / ".session", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not (_try_lock(descriptor) and is_usable(build_segment(segment), folder)):
                continue
            Rig(folder, segment=segment).close()
            with Rig(folder, segment=segment) as rig:
                yield rig
            return
        finally:
            os.close(descriptor)
    raise RigFailure(f"the bridges {_SEGMENTS[0]} to {_SEGMENTS[-1]} are all in use; what uses them lies in {home}")


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
