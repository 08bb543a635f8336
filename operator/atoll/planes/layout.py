"""Where everything of a plane lies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atoll.errors import BadInput
from atoll.fleet.authentication import digest_file

from .values import Role

ID_PATTERN: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of one plane; absolute and free of symlinks, because command lines are matched against it."""

    root: Path

    @property
    def plane(self) -> Path:
        """What the plane is."""
        return self.root / "plane.json"

    @property
    def journal(self) -> Path:
        """The latest operation."""
        return self.root / "operation.json"

    @property
    def lock(self) -> Path:
        """Held by whoever works on the plane."""
        return self.root / "lock"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.root / "pki"

    @property
    def etcd(self) -> Path:
        """The data of etcd."""
        return self.root / "etcd"

    @property
    def run(self) -> Path:
        """One file per process."""
        return self.root / "run"

    @property
    def snapshots(self) -> Path:
        """Copies of etcd's data."""
        return self.root / "snapshots"

    @property
    def drill(self) -> Layout:
        """The throw-away plane of a drill, a folder of its own within this one's."""
        return Layout(self.root / "drill")

    @property
    def audit_policy(self) -> Path:
        """What the API server writes into its audit log."""
        return self.pki / "audit-policy.yaml"

    @property
    def audit_log(self) -> Path:
        """The audit log of the API server."""
        return self.root / "log" / "audit.log"

    @property
    def controller_manager_kubeconfig(self) -> Path:
        """How the controller manager reaches the API server."""
        return self.pki / "controller-manager.kubeconfig"

    def authentication(self, text: str) -> Path:
        """How people log in, named by what it says: two API servers beside each other may be told different things."""
        return self.pki / f"authentication-{digest_file(text)[:12]}.json"

    def log(self, role: Role) -> Path:
        """Standard output and error of a process."""
        return self.root / "log" / f"{role}.log"

    def identity(self, name: str) -> Path:
        """Certificate and key in one file, so that no crash can leave a pair that does not match."""
        return self.pki / f"{name}.pem"

    def authority(self, name: str) -> Path:
        """The certificate alone of one of the plane's own authorities."""
        return self.pki / f"{name}.crt"

    def snapshot(self, operation_id: str) -> Path:
        """The snapshot that an operation takes."""
        return self.snapshots / f"{operation_id}.db"


def build_layout(home: Path, plane_id: str) -> Layout:
    """Return the layout of a plane; BadInput when its id could not be a folder's name."""
    if not ID_PATTERN.fullmatch(plane_id):
        message = f"spec.id {plane_id!r} cannot name a plane: use lower-case letters, digits and dashes, at most 63"
        raise BadInput(message, field="spec.id")
    return Layout(home / "planes" / plane_id)
