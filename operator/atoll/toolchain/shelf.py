"""Put files into the cache: all or nothing, whatever happens in between."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

_SCRATCH: Final = ".tmp-"


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Lend an empty folder inside `folder`, and leave nothing of it.

    Must be called with the lock of `folder` held: what earlier owners left when they were killed is removed first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    try:
        with TemporaryDirectory(prefix=_SCRATCH, dir=folder) as name:
            yield Path(name)
    finally:
        with suppress(OSError):  # not empty: something was got
            folder.rmdir()


def write_to_cache(made: Path, destination: Path) -> None:
    """Move a finished program to its place: on disk first, then visible, at once."""
    made.chmod(0o755)
    _sync(made)
    made.replace(destination)
    _sync(destination.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
