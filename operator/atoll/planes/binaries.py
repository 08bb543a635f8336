"""Where the programs of a control plane come from."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

ETCD: Final = "etcd"
ETCDCTL: Final = "etcdctl"
ETCDUTL: Final = "etcdutl"
API_SERVER: Final = "kube-apiserver"
CONTROLLER_MANAGER: Final = "kube-controller-manager"

ETCD_VERSION: Final = "etcd-v3.6.8"
"""One for all Kubernetes minors that we run: its data format is the same for them."""

PLANE_BINARIES: Final = (ETCD, ETCDCTL, ETCDUTL, API_SERVER, CONTROLLER_MANAGER)
"""Everything that a plane may call in its life; all are looked for before anything moves."""


class Binaries(Protocol):
    """Finds programs: Kubernetes' by version (`v1.36.4`), etcd's by a version of its own (`etcd-v3.6.8`)."""

    def path(self, version: str, binary: str) -> Path:
        """Return the absolute path of a program.

        Raises VersionUnavailable when it cannot be had.
        """
        ...

    def versions(self) -> tuple[str, ...]:
        """List the Kubernetes versions that can be had now, oldest first, each with a leading v."""
        ...


def find_program(binaries: Binaries, version: str, binary: str) -> Path:
    """Return the path of what a plane of Kubernetes `version` runs; VersionUnavailable when it cannot be had."""
    return binaries.path(ETCD_VERSION if binary in {ETCD, ETCDCTL, ETCDUTL} else version, binary)


def find_all_programs(binaries: Binaries, version: str) -> None:
    """Find everything that a plane of Kubernetes `version` may need; VersionUnavailable names what cannot be had."""
    for binary in PLANE_BINARIES:
        find_program(binaries, version, binary)
