"""Binaries for planes, as the toolchain finds them. Getting missing ones takes minutes, so it is done beforehand."""

from __future__ import annotations

from pathlib import Path

from atoll.toolchain import PLANE_BINARIES, Toolchain, parse_version


class FoundBinaries:
    """What is there now; `atoll toolchain get` and `atoll up` bring more."""

    def __init__(self, toolchain: Toolchain) -> None:
        self._toolchain = toolchain

    def path(self, version: str, binary: str) -> Path:
        """Return where a program is; raises VersionUnavailable saying where it was looked for."""
        return self._toolchain.path(version, binary)

    def versions(self) -> tuple[str, ...]:
        """List the Kubernetes versions whose plane can be started now."""
        there = (
            version
            for version in self._toolchain.versions()
            if all(self._toolchain.find(version, binary) is not None for binary in PLANE_BINARIES)
        )
        return tuple(sorted(there, key=parse_version))
