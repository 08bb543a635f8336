"""A host in memory, with the same contract as the real one: for speed, and for faults that are rare on machines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from atoll.errors import NotTaken, Taken

from .command import Action, Command, Fact, RemovePath, Result, Secret, T, WriteFile
from .jobs import Job, JobState, JobStatus
from .journal import check_job_id
from .render import CODE_EXISTS, allowed_codes


@dataclass(kw_only=True)
class _Record:
    job: Job
    state: JobState = JobState.RUNNING
    done: int = 0
    why: str = ""
    result: Result | None = None
    task: asyncio.Task[None] | None = None

    def status(self) -> JobStatus:
        return JobStatus(
            id=self.job.id,
            state=self.state,
            steps_done=self.done,
            steps_total=len(self.job.actions),
            why="" if self.state is JobState.SUCCEEDED else self.why,
            result=self.result if self.state in (JobState.SUCCEEDED, JobState.FAILED) else None,
        )


@dataclass(kw_only=True)
class FakeHost:
    """One machine that is not there. `answer` says what its programs do, and may take its time or raise."""

    answer: Callable[[Command], Awaitable[Result]]
    name: str = "pool--h1"
    files: dict[str, str] = field(default_factory=dict)
    """Content by path, of what was written or copied to it; its own journal is not among them."""
    modes: dict[str, int] = field(default_factory=dict)
    owner: str = ""
    """Id of the cluster that has it."""
    owner_name: str = ""
    done: list[tuple[str, Action]] = field(default_factory=list)
    """Every action that was begun, in order, with its job's id."""
    fault: Exception | None = None
    """While set, everything that is asked of the host raises it. Jobs go on."""
    _records: dict[str, _Record] = field(default_factory=dict)
    _left: dict[str, int] = field(default_factory=dict)

    async def ask(self, fact: Fact[T]) -> T:
        """Read one fact."""
        return fact.parse(await self.run(fact.command))

    async def run(self, command: Command) -> Result:
        """Answer a command."""
        self._reach()
        return await self.answer(command)

    async def put(self, local: str, remote: str, *, mode: int = 0o644) -> None:
        """Copy a file."""
        self._reach()
        data = await asyncio.to_thread(Path(local).read_bytes)
        self.files[remote], self.modes[remote] = data.decode("latin-1"), mode

    async def begin(self, job: Job) -> JobStatus:
        """Begin a job, or find it begun."""
        self._reach()
        check_job_id(job.id)
        if job.id in self._left:
            return self._status(job.id)
        if not self.owner:
            if job.leaves_host:
                return JobStatus(
                    id=job.id,
                    state=JobState.SUCCEEDED,
                    steps_done=len(job.actions),
                    steps_total=len(job.actions),
                )
            if not job.takes_host:
                raise NotTaken(f"host {self.name} belongs to no cluster; job {job.id} is for {job.cluster_id}")
            self.owner = job.cluster_id
            self.owner_name = "/".join(part for part in (job.fleet, job.cluster) if part) or job.cluster_id
        if self.owner != job.cluster_id:
            raise Taken(f"host {self.name} belongs to {self.owner_name}", owner=self.owner_name)
        record = self._records.get(job.id)
        if record is None or record.state not in (JobState.RUNNING, JobState.SUCCEEDED):
            record = self._records[job.id] = _Record(job=job)
            record.task = asyncio.create_task(self._work(record), name=f"job {job.id} on {self.name}")
        return record.status()

    async def look(self, job_id: str) -> JobStatus:
        """Say how far a job has come."""
        self._reach()
        return self._status(check_job_id(job_id))

    async def wait(self, job_id: str, seconds: float) -> JobStatus:
        """Wait until a job has ended, at most so many seconds."""
        self._reach()
        record = self._records.get(check_job_id(job_id))
        if record is not None and record.task is not None:
            await asyncio.wait({record.task}, timeout=seconds)
        self._reach()
        return self._status(job_id)

    async def reboot(self) -> None:
        """Do as a machine does that loses power: what runs is cut off, what was written stays."""
        for record in self._records.values():
            if record.task is not None and not record.task.done():
                record.task.cancel()
                await asyncio.wait({record.task})
        self._left.clear()

    def _reach(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _status(self, job_id: str) -> JobStatus:
        if job_id in self._left:
            steps = self._left[job_id]
            return JobStatus(id=job_id, state=JobState.SUCCEEDED, steps_done=steps, steps_total=steps)
        record = self._records.get(job_id)
        return record.status() if record is not None else JobStatus(id=job_id, state=JobState.UNKNOWN)

    async def _work(self, record: _Record) -> None:
        job = record.job
        try:
            async with asyncio.timeout(job.seconds):
                for action in job.actions:
                    record.why = action.why
                    self.done.append((job.id, action))
                    record.result = await self._act(action)
                    if record.result.code not in allowed_codes(action):
                        record.state = JobState.FAILED
                        return
                    record.done += 1
        except TimeoutError:
            record.why = f"took longer than the job may; then under way: {record.why}"
            record.result = Result(code=124, timed_out=True)
            record.state = JobState.FAILED
            return
        except asyncio.CancelledError:
            record.state = JobState.PARTIAL
            raise
        record.state = JobState.SUCCEEDED
        record.result = record.result or Result(code=0)
        if job.leaves_host:
            self.owner = self.owner_name = ""
            self._records.clear()
            self._left[job.id] = len(job.actions)

    async def _act(self, action: Action) -> Result:
        match action:
            case Command():
                return await self.answer(action)
            case WriteFile():
                content = action.content.value if isinstance(action.content, Secret) else action.content
                if action.new and self.files.get(action.path, content) != content:
                    return Result(code=CODE_EXISTS, err=f"{action.path} exists already\n")
                self.files[action.path], self.modes[action.path] = content, action.mode
                return Result(code=0)
            case RemovePath():
                for path in list(self.files):
                    if path == action.path or path.startswith(f"{action.path}/"):
                        del self.files[path], self.modes[path]
                return Result(code=0)
