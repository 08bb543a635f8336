"""Hosts of both kinds for the contract: one in memory, and one behind a real sshd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from atoll.hosts.command import Command, Result
from atoll.hosts.connected import Connections
from atoll.hosts.fake import FakeHost
from atoll.hosts.jobs import Host, Job
from atoll.hosts.ssh import Patience

from .sshd_kit import Sshd, find_sshd, run_sshd

IMPATIENT = Patience(connect_seconds=3.0, attempts=2, keepalive_seconds=0.5, keepalive_count=2)


def detach(job: Job) -> tuple[str, ...]:
    """Run a job detached without systemd, which does not run on the machine of these tests."""
    return ("setsid", "-f", "timeout", f"{job.seconds:g}")


def make_connections(server: Sshd, **options: object) -> Connections:
    """Return connections to a server of the tests."""
    return Connections(patience=IMPATIENT, places=server.places, launcher=detach, **options)  # type: ignore[arg-type]


@dataclass
class Case:
    """One host and how to look behind its back."""

    host: Host
    read: Callable[[str], str | None]
    """Content of a file on it; None: there is none."""
    folder: str


async def pretend(command: Command) -> Result:
    """Do what the programs of the contract suite do."""
    match command.argv:
        case ("true",):
            return Result(code=0)
        case ("echo", *words):
            return Result(code=0, out=" ".join(words) + "\n")
        case ("cat",):
            return Result(code=0, out=str(getattr(command.stdin, "value", command.stdin)))
        case ("sleep", seconds):
            await asyncio.sleep(float(seconds))
            return Result(code=0)
        case ("sh", "-c", "echo so; echo no >&2; exit 3"):
            return Result(code=3, out="so\n", err="no\n")
        case _:
            raise AssertionError(f"the contract suite does not use {command.argv}")


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server for tests that leave it as it was."""
    if reason := find_sshd():
        pytest.skip(reason)
    with run_sshd(tmp_path_factory.mktemp("sshd") / "h1") as server:
        yield server


@pytest.fixture
def own_sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A server for one test alone."""
    if reason := find_sshd():
        pytest.skip(reason)
    with run_sshd(tmp_path / "h1") as server:
        yield server


@pytest.fixture
async def connections(own_sshd: Sshd) -> AsyncIterator[Connections]:
    made = make_connections(own_sshd)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture(params=["fake", "ssh"])
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    """A host that belongs to nobody."""
    if request.param == "fake":
        host = FakeHost(answer=pretend)
        yield Case(host=host, read=host.files.get, folder="/srv/there")
        return
    server: Sshd = request.getfixturevalue("own_sshd")
    connections = make_connections(server)
    try:
        yield Case(host=connections.get(server.access), read=read_file, folder=str(tmp_path / "there"))
    finally:
        await connections.close()


def read_file(path: str) -> str | None:
    """Return what a file says; None when there is none."""
    try:
        return Path(path).read_text(encoding="latin-1")
    except FileNotFoundError:
        return None
