"""One host by SSH: asks facts, copies files, begins jobs and finds them again."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from atoll.errors import NotTaken, Retryable, Taken, Unreachable

from .access import HostAccess
from .command import Command, Fact, Result, T
from .copying import Copier
from .jobs import Job, JobState, JobStatus
from .journal import Launcher, Places, render_begin, render_look, render_wait, systemd_launcher
from .reading import Begun, Verdict, read_begin, read_status
from .render import CODE_TIMED_OUT
from .session import Hung, Shell
from .shells import Shells
from .ssh import Ended, Link

U = TypeVar("U")

LOOK_SECONDS: Final = 30.0
BEGIN_SECONDS: Final = 60.0
"""A host that is under load may take long to start a unit."""
WAIT_CHUNK_SECONDS: Final = 300.0
"""A waiting shell on the host ends after that, so that none is left behind for long when we are killed."""


class SshHost:
    """One machine by SSH (see the Protocol `Host`). Connects when it is first used; get it from `Connections`."""

    def __init__(
        self,
        access: HostAccess,
        link: Link,
        copier: Copier,
        *,
        places: Places | None = None,
        launcher: Launcher = systemd_launcher,
    ) -> None:
        self._access = access
        self._link = link
        self._copier = copier
        self._places = places or Places()
        self._launcher = launcher
        self._shells = Shells(link)
        self._users = 0
        self._used = time.monotonic()

    @property
    def name(self) -> str:
        """Name of the Host object."""
        return self._access.name

    @property
    def idle_seconds(self) -> float:
        """How long nobody has used it; 0 while somebody does."""
        return 0.0 if self._users else time.monotonic() - self._used

    @property
    def connected(self) -> bool:
        """Whether a connection is held."""
        return self._link.connected

    @property
    def handshakes(self) -> int:
        """How many connections were made so far."""
        return self._link.handshakes

    async def ask(self, fact: Fact[T]) -> T:
        """Read one fact; ValueError when its parser does not understand the answer."""
        return fact.parse(await self.run(fact.command))

    async def run(self, command: Command) -> Result:
        """Run a command that changes nothing; any exit code is an answer."""
        try:
            return await self._with_shell(lambda shell: shell.run(command))
        except Hung:
            # Is it the command or the host? A host that answers has a command that hangs beyond its time.
            await self._with_shell(
                lambda shell: shell.run(Command(argv=("true",), why="See whether the host answers."))
            )
            said = f"it did not end within its {command.seconds:g} s, nor when it was told to"
            return Result(code=CODE_TIMED_OUT, err=said, timed_out=True)

    async def put(self, local: str, remote: str, *, mode: int = 0o644) -> None:
        """Copy a file, unless it is there already with the same SHA-256; whole or not at all."""
        await self._with_use(lambda: self._copier.put(self._link, self._with_shell, local, remote, mode))

    async def begin(self, job: Job) -> JobStatus:
        """Begin a job, or find it begun. Taken or NotTaken when the host is not its cluster's."""
        text = render_begin(job, self._places, secrets.token_hex(16), self._launcher)
        answer = await self._with_shell(lambda shell: shell.script(text, BEGIN_SECONDS))
        return self._judge(job, _read(answer, lambda: read_begin(job.id, answer), self.name), answer)

    async def look(self, job_id: str) -> JobStatus:
        """Say how far a job has come."""
        text = render_look(job_id, self._places)
        answer = await self._with_shell(lambda shell: shell.script(text, LOOK_SECONDS))
        return _read(answer, lambda: read_status(job_id, answer), self.name)

    async def wait(self, job_id: str, seconds: float) -> JobStatus:
        """Wait until a job has ended, at most so many seconds; asks again over a new connection after a cut."""
        end = time.monotonic() + seconds
        async for attempt in AsyncRetrying(
            stop=stop_after_delay(seconds),
            wait=wait_random_exponential(multiplier=0.2, max=5.0),
            retry=retry_if_exception_type(Unreachable),
            reraise=True,
        ):
            with attempt:
                while True:
                    chunk = min(max(end - time.monotonic(), 0.0), WAIT_CHUNK_SECONDS)
                    status = await self._wait_once(job_id, chunk)
                    if status.state is not JobState.RUNNING or time.monotonic() >= end:
                        return status
        raise AssertionError("tenacity always ends with a result or an error")

    async def close(self) -> None:
        """Let go of the connection. Jobs go on; the next use connects again."""
        self._shells.close()
        await self._link.close()

    async def _wait_once(self, job_id: str, seconds: float) -> JobStatus:
        text = render_wait(job_id, self._places, seconds)
        answer = await self._with_shell(lambda shell: shell.script(text, seconds + LOOK_SECONDS))
        return _read(answer, lambda: read_status(job_id, answer), self.name)

    async def _with_shell(self, use: Callable[[Shell], Awaitable[U]]) -> U:
        """Do something with a shell; once more with a new one if it turns out to be gone.

        That is safe for all that goes over shells: what a shell runs changes nothing, or is a job, which has an id.
        """
        return await self._with_use(lambda: self._lend(use))

    async def _lend(self, use: Callable[[Shell], Awaitable[U]]) -> U:
        try:
            async with self._shells.lend() as shell:
                return await use(shell)
        except Ended:
            pass
        async with self._shells.lend() as shell:
            return await use(shell)

    async def _with_use(self, use: Callable[[], Awaitable[U]]) -> U:
        self._users += 1
        try:
            return await use()
        finally:
            self._users -= 1
            self._used = time.monotonic()

    def _judge(self, job: Job, begun: Begun, answer: Result) -> JobStatus:
        total = len(job.actions)
        match begun.verdict:
            case Verdict.BEGUN:
                return JobStatus(id=job.id, state=JobState.RUNNING, steps_total=total)
            case Verdict.KNOWN:
                assert begun.status is not None
                return begun.status
            case Verdict.LEFT:
                return JobStatus(id=job.id, state=JobState.SUCCEEDED, steps_done=total, steps_total=total)
            case Verdict.TAKEN:
                raise Taken(
                    f"host {self.name} belongs to {begun.owner}, says its own /var/lib/atoll/owner.json; "
                    f"cluster {job.cluster_id} may not touch it. Take it out of the pool, or delete that cluster first",
                    owner=begun.owner,
                )
            case Verdict.FREE:
                raise NotTaken(
                    f"host {self.name} belongs to no cluster, says its own /var/lib/atoll; job {job.id} is for a host "
                    f"of cluster {job.cluster_id}. It was cleaned or set up anew meanwhile"
                )
            case Verdict.BUSY:
                raise Retryable(f"host {self.name} has been beginning another job for too long")
            case Verdict.NOT_LAUNCHED:
                raise Retryable(f"host {self.name} did not start job {job.id}: {answer.err.strip()[-500:]}")


def _read(answer: Result, read: Callable[[], U], host: str) -> U:
    try:
        return read()
    except (ValueError, IndexError, KeyError) as error:
        said = (answer.err or answer.out).strip()[-300:]
        raise Retryable(f"host {host} answered with {answer.code} and nothing that we understand: {said}") from error
