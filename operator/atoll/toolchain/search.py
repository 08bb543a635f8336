"""Look for binaries on this machine: ATOLL_ASSETS, KUBEBUILDER_ASSETS, the cache. No network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from atoll.errors import BadInput

from .pins import Component, parse_version
from .reported import run_version
from .sources import Found, Sources


def is_runnable(path: Path) -> bool:
    """Tell whether `path` is a file that we may run."""
    return path.is_file() and os.access(path, os.X_OK)


class Search:
    """The places on this machine. Remembers only what unchanged binaries reported about themselves."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._reported: dict[tuple[str, int, int], str] = {}

    def find(self, version: str, binary: str) -> Found | None:
        """Find `binary` of `version`; runs a program only in the flat folder, to ask for its version."""
        _, tag = parse_version(version)
        for path in self.asset_paths(version, binary):
            if is_runnable(path):
                return Found(version=version, binary=binary, path=path, source="ATOLL_ASSETS")
        flat = self._sources.kubebuilder_assets
        if flat is not None and self._reports(flat / binary, binary) == tag:
            return Found(version=version, binary=binary, path=flat / binary, source="KUBEBUILDER_ASSETS")
        path = self._sources.cache / version / binary
        if is_runnable(path):
            return Found(version=version, binary=binary, path=path, source="cache")
        return None

    def asset_paths(self, version: str, binary: str) -> tuple[Path, ...]:
        """Tell where below ATOLL_ASSETS the binary may lie; none when that is not set."""
        if self._sources.assets is None:
            return ()
        component, tag = parse_version(version)
        folders = (version,) if component is Component.KUBERNETES else (version, tag)
        return tuple(self._sources.assets / folder / binary for folder in folders)

    def list_kubernetes_versions(self) -> frozenset[str]:
        """List the Kubernetes versions that some binary on this machine may have."""
        names: set[str] = set()
        for place in (self._sources.assets, self._sources.cache):
            names.update(_list_versions(place) if place is not None else ())
        if self._sources.kubebuilder_assets is not None:
            names.add(self._reports(self._sources.kubebuilder_assets / "kube-apiserver", "kube-apiserver"))
        return frozenset(name for name in names if _is_kubernetes(name))

    def _reports(self, path: Path, binary: str) -> str:
        if not is_runnable(path):
            return ""
        state = path.stat()
        key = (str(path), state.st_mtime_ns, state.st_size)
        if key not in self._reported:
            self._reported[key] = run_version(path, binary)[0]
        return self._reported[key]


def _list_versions(place: Path) -> Iterator[str]:
    try:
        yield from (entry.name for entry in place.iterdir() if entry.is_dir())
    except OSError:
        return  # a folder that is not there, or not ours to read, holds nothing for us


def _is_kubernetes(name: str) -> bool:
    try:
        component, _ = parse_version(name)
    except BadInput:
        return False
    # In ATOLL_ASSETS a folder v3.6.8 is etcd's short form; nobody has shipped a Kubernetes v2 or v3.
    return component is Component.KUBERNETES and name.startswith("v1.")
