"""What a plane is, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from atoll.ports import OperationState, OperationType, RevertPoint


class Role(StrEnum):
    """The three processes of a plane; the values are the names of their programs."""

    ETCD = "etcd"
    API_SERVER = "kube-apiserver"
    CONTROLLER_MANAGER = "kube-controller-manager"


class Wanted(StrEnum):
    """What the owner wants of the processes."""

    RUNNING = "Running"
    STOPPED = "Stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneSpec:
    """What a plane shall look like."""

    id: str
    """Name of its folder; never changes."""
    name: str
    """For people: context name of the kubeconfig."""
    version: str
    pod_cidr: str
    service_cidr: str
    audit_log: bool = False
    api_args: tuple[str, ...] = ()
    """Further flags of kube-apiserver, each `--flag=value`."""
    authentication: str = ""
    """How people log in: the text of the API server's AuthenticationConfiguration; empty: no issuer is trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The loopback ports of a plane."""

    api: int
    etcd: int
    etcd_peer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A verified copy of etcd's data, taken by the CHANGE whose id it bears."""

    id: str
    version: str
    """Kubernetes version that wrote the data."""
    taken_time: datetime
    revision: int
    total_keys: int
    authentication: str = ""
    """How people logged in then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneState:
    """What `plane.json` says."""

    spec: PlaneSpec
    """`spec.version` is the version that should run now, not the target of an operation under way."""
    ports: Ports
    wanted: Wanted = Wanted.RUNNING
    created: bool = False
    """True once a CREATE has come to its end."""
    orphaned: bool = False
    """True: nobody looks after it any more; only `atoll down` still stops it."""
    snapshot: Snapshot | None = None
    """What a REVERT would bring back."""

    @property
    def endpoint(self) -> str:
        """URL of the API server."""
        return f"https://127.0.0.1:{self.ports.api}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What `operation.json` says: the latest operation and how far it has come."""

    id: str
    type: OperationType
    from_version: str
    to_version: str
    step: str
    steps_done: int
    steps_total: int
    state: OperationState
    message: str = ""
    drills: bool = False
    """It is a change that drills its snapshot: decided when it begins, because it adds steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningProcess:
    """One live process that belongs to a plane, its identity checked."""

    role: Role
    pid: int
    create_time: float
    executable: str
    argv: tuple[str, ...]
    tag: str = ""
    """Version and settings that it was started with (`v1.36.4-1a2b3c4d`); empty for etcd."""

    @property
    def version(self) -> str:
        """Kubernetes version that it was started as."""
        return self.tag.rpartition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPlane:
    """What was seen of a plane, at one moment."""

    id: str
    exists: bool
    """There is at least a folder."""
    state: PlaneState | None = None
    processes: tuple[RunningProcess, ...] = ()
    missing: tuple[Role, ...] = ()
    """Roles that should run and have no live process."""
    served_version: str = ""
    """What the API server answered on /version; empty when it did not answer."""
    ready: bool = False
    """/readyz answered ok."""
    message: str = ""
    """Why it is not ready, in words."""
    journal: Journal | None = None
    locked: bool = False
    """Somebody is working on it now."""
    revert_point: RevertPoint | None = None
    certificates_expire_time: datetime | None = None
    authentication: str = ""
    """Digest of the AuthenticationConfiguration that the API server works by; empty: it trusts no issuer."""
    drift: tuple[str, ...] = ()
    """What of the plane's files was changed behind our back, one sentence each."""
    drill_left: bool = False
    """The throw-away plane of a drill is there, and nobody works on it."""

    @property
    def endpoint(self) -> str:
        """URL of the API server; empty when the plane has no ports yet."""
        return self.state.endpoint if self.state else ""

    @property
    def version(self) -> str:
        """Version that runs: as served, else as started, else as recorded."""
        if self.served_version:
            return self.served_version
        started = [process.version for process in self.processes if process.role is Role.API_SERVER]
        if started:
            return max(started)
        return self.state.spec.version if self.state else ""
