"""What the steps of an operation are given, and the one way in which they do something to a host."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from atoll.errors import AtollError, Retryable, Terminal, Unreachable
from atoll.fleet.cluster import Operation
from atoll.hosts.command import Action, Fact, Result, T
from atoll.hosts.jobs import Host, Job, JobState, JobStatus
from atoll.ports import Clock

from .bundle import Bundle
from .upgrading import DRAIN_SECONDS
from .values import Cluster, Node

ATTEMPTS: Final = 3
"""How often a job is begun that was cut short by a reboot."""
WAIT_MARGIN_SECONDS: Final = 60.0
SHOWN_OUTPUT: Final = 800


class StepFailed(Terminal):
    """An action on a host ended badly."""

    reason = "StepFailed"

    def __init__(self, message: str, *, result: Result | None = None) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One operation on one cluster."""

    cluster: Cluster
    operation: Operation
    hosts: Mapping[str, Host]
    """By the name of the node."""
    clock: Clock
    bundle: Bundle | None = None
    """None: the operation brings nothing along."""
    manifests: Mapping[str, str] = field(default_factory=dict)
    """Of the pod network; empty: the bridge."""
    drain_seconds: int = DRAIN_SECONDS
    """How long a node's pods may take to go."""

    @property
    def first(self) -> Host:
        """The control-plane host."""
        return self.hosts[self.cluster.control_plane.name]

    def require_bundle(self) -> Bundle:
        """Return the bundle of the wanted version."""
        if self.bundle is None:
            raise Terminal(f"operation {self.operation.id} needs a bundle and has none")
        return self.bundle

    def nodes(self, names: Iterable[str]) -> tuple[Node, ...]:
        """Return nodes by name, in the cluster's order."""
        chosen = set(names)
        return tuple(node for node in self.cluster.nodes if node.name in chosen)

    async def ask(self, host: Host, fact: Fact[T]) -> T:
        """Read a fact; Retryable when the host's answer makes no sense now."""
        try:
            return await host.ask(fact)
        except ValueError as error:
            raise Retryable(f"host {host.name} could not tell ({fact.command.why}): {error}") from error

    async def carry(
        self,
        node: Node,
        key: str,
        build: Callable[[Host], Awaitable[Iterable[Action]]],
        *,
        seconds: float = 600.0,
        takes: bool = False,
        leaves: bool = False,
    ) -> JobStatus | None:
        """Have actions carried out on a node's host as the job `<operation>.<key>`, once, and wait for its end.

        `build` looks at the host and says what is to be done; it is asked only when the job is neither running nor
        done, because a half-done job must not be taken for the state of the host. None: there was nothing to do.
        """
        host = self.hosts[node.name]
        job_id = f"{self.operation.id}.{key}"
        status = await host.look(job_id)
        for _ in range(ATTEMPTS):
            if status.state is JobState.SUCCEEDED:
                return status
            if status.state is not JobState.RUNNING:
                actions = tuple(await build(host))
                if not actions:
                    return None
                job = Job(
                    id=job_id,
                    cluster_id=self.cluster.ref.id,
                    actions=actions,
                    takes_host=takes,
                    leaves_host=leaves,
                    seconds=seconds,
                    role=node.role,
                    fleet=self.cluster.ref.fleet,
                    cluster=self.cluster.ref.name,
                )
                try:
                    await host.begin(job)
                except ValueError as error:
                    raise Terminal(f"host {host.name} cannot be given this work: {error}") from error
            status = await host.wait(job_id, seconds + WAIT_MARGIN_SECONDS)
            if status.state is JobState.FAILED:
                raise describe_failure(host.name, status)
            if status.state is JobState.RUNNING:
                raise Retryable(f"host {host.name} is still busy: {status.why}")
        if status.state is JobState.SUCCEEDED:
            return status
        raise Terminal(f"host {host.name} cut the same work short {ATTEMPTS} times (last: {status.why}): look at it")

    async def on_each(self, nodes: Iterable[Node], act: Callable[[Node], Awaitable[object]]) -> None:
        """Do something on several hosts beside each other; one that fails keeps nobody else from finishing."""
        results = await asyncio.gather(*(act(node) for node in nodes), return_exceptions=True)
        raise_worst(results)

    async def until(self, look: Callable[[], Awaitable[str]], *, seconds: float, pause: float, what: str) -> None:
        """Look until nothing is missing any more; the last answer is the reason of the failure."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        missing = ""
        while True:
            try:
                missing = await look()
            except Unreachable as error:
                if loop.time() > end:
                    raise
                missing = str(error)
            except Retryable as error:
                missing = str(error)
            if not missing:
                return
            if loop.time() > end:
                raise Terminal(f"waited {seconds:g} s in vain until {what}: {missing}")
            await asyncio.sleep(pause)


def raise_worst(results: Iterable[object]) -> None:
    """Raise what happened: a bug first, then what a person must mend, then what may pass."""
    errors = [result for result in results if isinstance(result, BaseException)]
    if not errors:
        return
    for error in errors:
        if not isinstance(error, AtollError):
            raise error
    lasting = [error for error in errors if isinstance(error, Terminal)]
    chosen = lasting or errors
    if len(chosen) == 1:
        raise chosen[0]
    message = "; ".join(str(error) for error in chosen)
    raise Terminal(message) if lasting else Retryable(message)


def describe_failure(host: str, status: JobStatus) -> StepFailed:
    """Say which action failed on which host, and what it printed."""
    result = status.result
    said = ""
    if result is not None:
        text = (result.err.strip() or result.out.strip())[-SHOWN_OUTPUT:]
        end = "took too long" if result.timed_out else f"ended with {result.code}"
        said = f" ({end}): {text}" if text else f" ({end})"
    return StepFailed(f"host {host} could not {status.why}{said}", result=result)
