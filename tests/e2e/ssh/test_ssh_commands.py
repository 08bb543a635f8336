"""Commands over the persistent shells of a real sshd, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from atoll.hosts.command import OUTPUT_LIMIT_BYTES, Command, WriteFile
from atoll.hosts.connected import Connections
from atoll.hosts.jobs import JobState

from .conftest import make_connections
from .looking import (
    TRUE,
    is_alive,
    job,
    kill_shells,
    measure,
    read_text,
    sent_bytes,
    shell,
)
from .sshd_kit import Sshd

pytestmark = pytest.mark.e2e


async def test_one_connection_serves_all_who_ask(own_sshd: Sshd, connections: Connections) -> None:
    host = connections.get(own_sshd.access)
    same = connections.get(replace(own_sshd.access))
    assert same is host
    results = await asyncio.gather(*(host.run(shell(f"echo {number}")) for number in range(40)))
    assert [result.out for result in results] == [f"{number}\n" for number in range(40)]
    assert host.handshakes == 1
    assert len(own_sshd.sessions()) == 1


async def test_a_connection_that_was_cut_is_made_again(own_sshd: Sshd, connections: Connections) -> None:
    host = connections.get(own_sshd.access)
    for _ in range(3):
        assert (await host.run(TRUE)).code == 0
        assert own_sshd.cut() == 1
    assert host.handshakes == 3


async def test_idle_connections_are_closed_and_made_again(own_sshd: Sshd) -> None:
    connections = make_connections(own_sshd, idle_seconds=0.4)
    try:
        await connections.get(own_sshd.access).run(TRUE)
        await asyncio.sleep(1.0)
        assert own_sshd.sessions() == []
        waiting = asyncio.create_task(connections.get(own_sshd.access).run(shell("sleep 1.2; echo done")))
        assert (await waiting).out == "done\n", "a host in use is not idle"
    finally:
        await connections.close()


async def test_a_gigabyte_costs_neither_memory_nor_bandwidth(own_sshd: Sshd, connections: Connections) -> None:
    host = connections.get(own_sshd.access)
    await host.run(TRUE)
    sent = sent_bytes(own_sshd)
    result = await host.run(shell("yes | head -c 3000000; head -c 1000000000 /dev/zero; echo the end"))
    assert (result.truncated, result.out) == (True, "the end\n")
    assert sent_bytes(own_sshd) - sent < 2 * OUTPUT_LIMIT_BYTES
    result = await host.run(shell("yes | head -c 3000000 >&2"))
    assert (result.truncated, len(result.err)) == (True, OUTPUT_LIMIT_BYTES)
    await host.begin(job(shell("head -c 1000000000 /dev/zero; yes | head -c 100000; echo the end; exit 3")))
    status = await host.wait("op-1.1", 60)
    assert status.result is not None
    assert (status.state, status.result.code, status.result.truncated) == (JobState.FAILED, 3, True)
    assert status.result.out.endswith("y\nthe end\n")
    assert measure(own_sshd.places.state) < 200_000


async def test_terminal_escapes_do_not_reach_people(own_sshd: Sshd, connections: Connections) -> None:
    host = connections.get(own_sshd.access)
    nasty = r"printf 'a\033[2J\033]0;owned\007b\033[31mc\r\nd\000e\233Kf\n\342\200\256g\377\n'"
    clean = "abc\ndeKf\ng\ufffd\n".replace("K", "\ufffdK")
    assert (await host.run(shell(nasty))).out == clean
    await host.begin(job(replace(shell(f"{nasty}; exit 3"), why="Say \x1b[2Jit\nnicely.")))
    status = await host.wait("op-1.1", 20)
    assert status.result is not None
    assert (status.result.out, status.why) == (clean, "Say it nicely.")


async def test_a_command_beyond_its_time_is_ended_with_all_that_it_started(
    own_sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    host = connections.get(own_sshd.access)
    began = time.monotonic()
    result = await host.run(shell(f"echo $$ > {tmp_path}/pid; sleep 60; echo never", seconds=0.5))
    assert (result.timed_out, result.out) == (True, "")
    assert time.monotonic() - began < 5
    assert not is_alive(int(read_text(tmp_path / "pid")))
    assert (await host.run(TRUE)).code == 0


async def test_a_shell_that_is_killed_is_replaced(own_sshd: Sshd, connections: Connections) -> None:
    host = connections.get(own_sshd.access)
    for _ in range(2):
        await host.run(TRUE)
        kill_shells(own_sshd)
        await asyncio.sleep(0.05)
        assert (await host.run(shell("echo still"))).out == "still\n"
    assert host.handshakes == 1


async def test_who_gives_up_waiting_leaves_a_host_that_works(own_sshd: Sshd, connections: Connections) -> None:
    host = connections.get(own_sshd.access)
    for _ in range(4):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await host.run(shell("sleep 0.3; echo late"))
        assert (await host.run(shell("echo mine"))).out == "mine\n"


async def test_words_of_all_kinds_arrive_as_they_are(own_sshd: Sshd, connections: Connections, tmp_path: Path) -> None:
    host = connections.get(own_sshd.access)
    canary = tmp_path / "canary"
    words = [
        *(f"$(touch {canary})", f"`touch {canary}`", f"; touch {canary} #", f"| touch {canary}", f"\ntouch {canary}\n"),
        *(
            f"'; touch {canary}; '",
            f'"$(touch {canary})"',
            f"\\'; touch {canary}",
            f"&& touch {canary}",
            "-n",
            "--",
            "",
        ),
        *("%s%n", "\\", "\\\\", "*", "~", "${HOME}", "ä\u202e€", "\t", "a  b", "!!", "#", "\r", "'" * 50),
    ]
    show = 'for word in "$@"; do printf "%s\\0" "$word"; done | od -An -v -tx1 | tr -d " \\n"'
    result = await host.run(Command(argv=("sh", "-c", show, "sh", *words), why="Show words."))
    assert bytes.fromhex(result.out).split(b"\0")[:-1] == [word.encode() for word in words]
    for number, word in enumerate(words):
        path = f"{tmp_path}/w/{number}"
        wanted = job(
            WriteFile(path=path, content=word, why=f"Write {word}"),
            Command(argv=("sh", "-c", f"cat >> {path}"), why=word, stdin=word, environment=(("WORD", word),)),
            name=f"op.{number}",
        )
        await host.begin(wanted)
        status = await host.wait(wanted.id, 20)
        assert status.state is JobState.SUCCEEDED, (word, status)
        assert await asyncio.to_thread(Path(path).read_bytes) == (word * 2).encode()
    assert not canary.exists()
