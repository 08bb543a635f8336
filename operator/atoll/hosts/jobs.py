"""A job: actions that run on one host one after the other, detached from us, and what its journal says of them.

The job's folder on the host is its journal: `/var/lib/atoll/jobs/<id>`. The id is given by whoever wants the work and
never used again for other work, so that after a cut connection, a killed operator or a lost reply the same question
("how is job X?") finds it finished, running, partial or unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from .command import Action, Command, Fact, Result, T


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work for one host."""

    id: str
    """Unique for ever: `<operation id>.<step>`; letters, digits, `.`, `-` and `_`, at most 128 characters."""
    cluster_id: str
    """`spec.id` of the ChildCluster that the host is claimed by; another owner's host refuses the job."""
    actions: tuple[Action, ...]
    takes_host: bool = False
    """The job makes `cluster_id` the owner of a host that nobody owns."""
    leaves_host: bool = False
    """After its last action the host belongs to nobody, and everything of Atoll's is removed from it."""
    seconds: float = 600.0
    """Time budget of the whole job; systemd ends it after that."""
    role: str = ""
    """For `owner.json` when the job takes the host, like `fleet` and `cluster`."""
    fleet: str = ""
    cluster: str = ""


class JobState(StrEnum):
    """How far a job has come on its host."""

    UNKNOWN = "Unknown"
    """The host has never heard of it."""
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    PARTIAL = "Partial"
    """Begun, not finished, and not running: the machine rebooted, or somebody ended it. It may be begun again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """What the journal says."""

    id: str
    state: JobState
    steps_done: int = 0
    steps_total: int = 0
    why: str = ""
    """The action under way, or the one that failed, for people."""
    result: Result | None = None
    """Of the last action of a finished job, of the failed one of a failed job. Bounded, without terminal escapes."""


class Host(Protocol):
    """One machine.

    Its methods raise Unreachable (could not ask), HostKeyMismatch (another machine, or a new key), LoginRefused, and
    for jobs Taken and NotTaken (its own journal names another owner, or none) and Retryable (not now).
    """

    @property
    def name(self) -> str:
        """Name of the Host object."""
        ...

    async def ask(self, fact: Fact[T]) -> T:
        """Read one fact over the persistent shell; nothing is written on the host."""
        ...

    async def run(self, command: Command) -> Result:
        """Run a command that changes nothing, over the persistent shell; any exit code is an answer."""
        ...

    async def put(self, local: str, remote: str, *, mode: int = 0o644) -> None:
        """Copy a file to the host, unless it is there already with the same SHA-256; whole or not at all."""
        ...

    async def begin(self, job: Job) -> JobStatus:
        """Begin a job, or find it begun: never twice at a time, never again once it has succeeded.

        A job that failed or is partial is begun again with all its actions: each must bear being done twice.
        """
        ...

    async def look(self, job_id: str) -> JobStatus:
        """Say how far a job has come."""
        ...

    async def wait(self, job_id: str, seconds: float) -> JobStatus:
        """Wait until a job has ended, at most so many seconds; survives cut connections by asking again."""
        ...
