"""Programs for real planes, where the toolchain finds them: ATOLL_ASSETS, or the cache that `make toolchain` fills."""

from __future__ import annotations

import os
from pathlib import Path

from atoll.embedded.binaries import FoundBinaries
from atoll.toolchain import Sources, Toolchain


class Assets(FoundBinaries):
    """What is there now. A program that is missing fails the test that asks for it, saying how to get it."""

    def __init__(self) -> None:
        super().__init__(Toolchain(Sources.from_environ(os.environ)))


def find_program(version: str, binary: str) -> Path:
    """Return where one program is."""
    return Assets().path(version, binary)
