"""Jobs behind a real sshd, and what goes wrong between us and them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from atoll.errors import Retryable, Unreachable
from atoll.hosts.command import Secret, WriteFile
from atoll.hosts.connected import Connections
from atoll.hosts.jobs import JobState

from .looking import (
    TRUE,
    children,
    eventually,
    find_escaping_modes,
    holders,
    job,
    read_text,
    run_program,
    shell,
)
from .sshd_kit import Sshd

pytestmark = pytest.mark.e2e


async def test_a_job_goes_on_when_the_connection_is_cut_and_is_found_finished(
    own_sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    host = connections.get(own_sshd.access)
    await host.begin(job(shell("sleep 1.5"), WriteFile(path=f"{tmp_path}/done", content="x", why="Write.")))
    waiting = asyncio.create_task(host.wait("op-1.1", 30))
    cuts = 0
    while not waiting.done():
        await asyncio.sleep(0.3)
        cuts += own_sshd.cut() if cuts < 3 else 0
    status = await waiting
    assert (status.state, status.steps_done) == (JobState.SUCCEEDED, 2)
    assert (tmp_path / "done").exists()
    assert cuts == 3


async def test_waiting_survives_a_server_that_is_away_for_a_while(own_sshd: Sshd, connections: Connections) -> None:
    host = connections.get(own_sshd.access)
    await host.begin(job(shell("sleep 0.5")))
    own_sshd.stop()
    waiting = asyncio.create_task(host.wait("op-1.1", 30))
    await asyncio.sleep(3)
    assert not waiting.done()
    own_sshd.start()
    assert (await waiting).state is JobState.SUCCEEDED


async def test_waiting_has_an_end_when_the_server_stays_away(own_sshd: Sshd, connections: Connections) -> None:
    host = connections.get(own_sshd.access)
    await host.begin(job(shell("sleep 0.1")))
    own_sshd.stop()
    began = time.monotonic()
    with pytest.raises(Unreachable):
        await host.wait("op-1.1", 2)
    assert time.monotonic() - began < 12


def run_until_it_speaks_and_kill(program: str, stdin: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(stdin.encode())
        process.stdin.close()
        assert process.stdout.readline() == b"begun\n"
        process.kill()


async def test_a_job_lives_on_when_its_beginner_is_killed(
    own_sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    program = f"""
import asyncio, sys
from atoll.hosts.access import HostAccess
from atoll.hosts.command import Command
from atoll.hosts.jobs import Job
from tests.e2e.ssh.conftest import make_connections
from tests.e2e.ssh.sshd_kit import Sshd
from pathlib import Path

async def main():
    server = Sshd(folder=Path({str(own_sshd.folder)!r}), port={own_sshd.port}, login_key=sys.stdin.read())
    host = make_connections(server).get(server.access)
    await host.begin(Job(id="op-1.1", cluster_id="c1", takes_host=True, actions=(
        Command(argv=("sh", "-c", "sleep 1; echo survived"), why="Take long."),)))
    print("begun", flush=True)
    await host.wait("op-1.1", 60)

asyncio.run(main())
"""
    await asyncio.to_thread(run_until_it_speaks_and_kill, program, own_sshd.login_key)
    status = await connections.get(own_sshd.access).wait("op-1.1", 20)
    assert status.state is JobState.SUCCEEDED
    assert status.result is not None
    assert status.result.out == "survived\n"


async def test_a_job_whose_processes_are_killed_is_partial_and_can_be_begun_again(
    own_sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    host = connections.get(own_sshd.access)
    wanted = job(TRUE, shell(f"echo $$ > {tmp_path}/pid; test -e {tmp_path}/go || exec sleep 30"), TRUE)
    await host.begin(wanted)
    await eventually(lambda: read_text(tmp_path / "pid") != "")
    killed = holders(Path(own_sshd.places.run) / "jobs/op-1.1/lock")
    for way in (signal.SIGSTOP, signal.SIGKILL):  # all at once: who sees another die would write down a failure
        for pid in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, way)
    status = await host.wait("op-1.1", 20)
    assert (status.state, status.steps_done, status.steps_total, status.why) == (JobState.PARTIAL, 1, 3, "Try.")
    (tmp_path / "go").touch()
    assert (await host.begin(wanted)).state is JobState.RUNNING
    assert (await host.wait("op-1.1", 20)).state is JobState.SUCCEEDED


async def test_a_job_that_is_told_to_end_before_its_time_is_partial(
    own_sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    host = connections.get(own_sshd.access)
    await host.begin(job(shell(f"echo $$ > {tmp_path}/pid; exec sleep 30")))
    await eventually(lambda: read_text(tmp_path / "pid") != "")
    for pid in holders(Path(own_sshd.places.run) / "jobs/op-1.1/lock"):
        with suppress(ProcessLookupError):  # the death of one may end the next
            os.kill(pid, signal.SIGTERM)
    status = await host.wait("op-1.1", 20)
    assert (status.state, status.why) == (JobState.PARTIAL, "Try.")


async def test_a_job_is_running_for_as_long_as_any_of_its_programs_lives(
    own_sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    # Its script is killed, its action is not: beginning it again now would do it twice at a time.
    host = connections.get(own_sshd.access)
    wanted = job(
        shell(f"echo $$ > {tmp_path}/pid; echo once >> {tmp_path}/times; sleep 2; echo end >> {tmp_path}/times")
    )
    await host.begin(wanted)
    await eventually(lambda: read_text(tmp_path / "pid") != "")
    kept = {int((tmp_path / "pid").read_text()), *children(int((tmp_path / "pid").read_text()))}
    for pid in holders(Path(own_sshd.places.run) / "jobs/op-1.1/lock") - kept:
        with suppress(ProcessLookupError):  # the death of one may end the next
            os.kill(pid, signal.SIGKILL)
    assert (await host.begin(wanted)).state is JobState.RUNNING
    assert (tmp_path / "times").read_text() == "once\n"
    assert (await host.wait("op-1.1", 20)).state is JobState.PARTIAL
    assert (tmp_path / "times").read_text() == "once\nend\n"


async def test_secrets_are_nowhere_on_the_host_but_where_they_were_to_be_written(
    own_sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    canary = "CANARY-4711"
    host = connections.get(own_sshd.access)
    wanted = job(
        WriteFile(path=f"{tmp_path}/wanted", content=Secret(canary), why="Write.", mode=0o600),
        shell("sleep 1; cat >/dev/null; exit 1", stdin=Secret(canary)),
    )
    await host.begin(wanted)
    seen: set[str] = set()
    while (await host.look("op-1.1")).state is JobState.RUNNING:
        listing = run_program("ps", "-eo", "args")
        seen |= {line for line in listing.splitlines() if canary in line}
        await asyncio.sleep(0.02)
    assert seen == set()
    assert (tmp_path / "wanted").stat().st_mode & 0o777 == 0o600
    holding = [path for path in own_sshd.folder.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]
    assert holding == []
    assert canary not in repr(wanted)


async def test_only_root_can_read_the_journal(own_sshd: Sshd, connections: Connections) -> None:
    host = connections.get(own_sshd.access)
    await host.begin(job(TRUE))
    await host.wait("op-1.1", 20)
    for place in (own_sshd.places.state, own_sshd.places.run):
        assert find_escaping_modes(place) == []


async def test_a_program_that_cannot_start_jobs_is_told(own_sshd: Sshd) -> None:
    connections = Connections(
        places=own_sshd.places, launcher=lambda job: ("sh", "-c", "echo no bus >&2; exit 1", "sh")
    )
    try:
        host = connections.get(own_sshd.access)
        with pytest.raises(Retryable, match=r"did not start job op-1\.1: no bus"):
            await host.begin(job(TRUE))
        assert (await host.look("op-1.1")).state is JobState.UNKNOWN
    finally:
        await connections.close()
