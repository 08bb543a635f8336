"""Who may be talked to: pinned keys, login keys, ways there."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from atoll.errors import BadInput, HostKeyMismatch, LoginRefused, Unreachable
from atoll.hosts.access import HostAccess, Jump
from atoll.hosts.connected import Connections
from atoll.hosts.ssh import fingerprint

from .conftest import make_connections
from .looking import (
    TRUE,
)
from .sshd_kit import Sshd, free_port, run_sshd

pytestmark = pytest.mark.e2e

LOGIN_TRIED = re.compile(r"userauth-request|Failed |Accepted |Invalid user|authenticat", re.IGNORECASE)
"""What sshd logs at DEBUG1 as soon as anybody says who he is."""


def new_key(algorithm: str = "ssh-ed25519") -> str:
    return " ".join(asyncssh.generate_private_key(algorithm).export_public_key().decode().split()[:2])


def logins(log: str) -> list[str]:
    """Return the lines about logins; what sshd says about its own configuration is none."""
    return [line for line in log.splitlines() if LOGIN_TRIED.search(line)]


async def test_another_host_key_is_refused_before_anybody_logs_in(own_sshd: Sshd, connections: Connections) -> None:
    pinned = new_key()
    with pytest.raises(HostKeyMismatch) as refused:
        await connections.get(own_sshd.with_host_key(pinned)).run(TRUE)
    assert refused.value.answered == fingerprint(own_sshd.host_key)
    assert refused.value.pinned == fingerprint(pinned)
    assert refused.value.answered in str(refused.value)
    assert refused.value.reason == "HostKeyMismatch"
    assert "Connection from 127.0.0.1" in own_sshd.log
    assert logins(own_sshd.log) == []
    # The same log does tell of logins when there are any: otherwise this test could not fail.
    await connections.get(own_sshd.access).run(TRUE)
    assert logins(own_sshd.log) != []


async def test_a_host_key_of_another_kind_is_refused_too(own_sshd: Sshd, connections: Connections) -> None:
    with pytest.raises(HostKeyMismatch, match="answered with ssh-ed25519 host key SHA256:"):
        await connections.get(own_sshd.with_host_key(new_key("ecdsa-sha2-nistp256"))).run(TRUE)
    assert logins(own_sshd.log) == []


async def test_a_host_whose_key_changes_is_refused_when_it_is_reached_again(
    own_sshd: Sshd, connections: Connections
) -> None:
    host = connections.get(own_sshd.access)
    await host.run(TRUE)
    own_sshd.stop()
    own_sshd.new_host_key()
    (own_sshd.folder / "sshd.log").write_text("")
    own_sshd.start()
    with pytest.raises(HostKeyMismatch):
        await host.run(TRUE)
    assert logins(own_sshd.log) == []


@pytest.mark.parametrize("algorithm", ["rsa", "ecdsa"])
async def test_host_keys_of_all_kinds_can_be_pinned(own_sshd: Sshd, connections: Connections, algorithm: str) -> None:
    own_sshd.stop()
    own_sshd.new_host_key(algorithm)
    own_sshd.start()
    assert (await connections.get(own_sshd.access).run(TRUE)).code == 0


async def test_a_wrong_login_key_is_told_with_the_remedy_and_not_tried_again(
    own_sshd: Sshd, connections: Connections
) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    host = connections.get(replace(own_sshd.access, private_key=stranger))
    with pytest.raises(LoginRefused, match="authorized_keys") as refused:
        await host.run(TRUE)
    assert own_sshd.log.count("Connection from") == 2, "one is the wait for the server, one is ours"
    assert "PRIVATE" not in str(refused.value)


async def test_keys_that_are_none_are_told_by_their_field(own_sshd: Sshd, connections: Connections) -> None:
    with pytest.raises(BadInput, match="the login key cannot be read") as login:
        await connections.get(replace(own_sshd.access, private_key="CANARY")).run(TRUE)
    assert login.value.field == "spec.ssh.keySecretRef"
    assert "CANARY" not in str(login.value)
    with pytest.raises(BadInput) as pinned:
        await connections.get(own_sshd.with_host_key("ssh-ed25519 nonsense")).run(TRUE)
    assert pinned.value.field == "spec.hosts[].hostKey"


async def test_nothing_of_the_machine_that_we_run_on_is_used(
    own_sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The right key lies where ssh programs look for it; the pool's key is a stranger's. Nobody may get in.
    home = tmp_path / "home/.ssh"
    home.mkdir(parents=True)
    (home / "id_ed25519").write_text(own_sshd.login_key)
    (home / "config").write_text(f"Host *\n  IdentityFile {home}/id_ed25519\n  StrictHostKeyChecking no\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    connections = make_connections(own_sshd)
    try:
        with pytest.raises(LoginRefused):
            await connections.get(replace(own_sshd.access, private_key=stranger)).run(TRUE)
    finally:
        await connections.close()


async def test_a_host_behind_a_jump_host_is_reached_and_both_keys_are_checked(own_sshd: Sshd, tmp_path: Path) -> None:
    with run_sshd(tmp_path / "jump") as gate:
        (gate.folder / "authorized_keys").write_text((own_sshd.folder / "authorized_keys").read_text())
        through = Jump(address="127.0.0.1", user="root", host_key=gate.host_key, port=gate.port)
        connections = make_connections(own_sshd)
        try:
            assert (await connections.get(replace(own_sshd.access, jump=through)).run(TRUE)).code == 0
            assert "Accepted publickey" in gate.log
            wrong = replace(through, host_key=new_key())
            with pytest.raises(HostKeyMismatch, match="jump host of pool--h1"):
                await connections.get(replace(own_sshd.access, jump=wrong)).run(TRUE)
            with pytest.raises(HostKeyMismatch, match="host pool--h1"):
                await connections.get(replace(own_sshd.with_host_key(new_key()), jump=through)).run(TRUE)
        finally:
            await connections.close()


async def test_a_host_that_is_not_there_is_unreachable_soon(own_sshd: Sshd, connections: Connections) -> None:
    began = time.monotonic()
    with pytest.raises(Unreachable, match="cannot be reached"):
        await connections.get(replace(own_sshd.access, port=free_port())).run(TRUE)
    assert time.monotonic() - began < 5


async def test_a_host_that_says_nothing_is_unreachable_and_delays_no_other(
    own_sshd: Sshd, connections: Connections
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(20)
        dead = [
            connections.get(replace(own_sshd.access, name=f"pool--dead{number}", port=silent.getsockname()[1]))
            for number in range(10)
        ]
        asked = [asyncio.create_task(host.run(TRUE)) for host in dead]
        await asyncio.sleep(0.1)
        live = connections.get(own_sshd.access)
        began = time.monotonic()
        for _ in range(20):
            assert (await live.run(TRUE)).code == 0
        assert time.monotonic() - began < 2, "ten silent hosts are still being waited for"
        assert not any(task.done() for task in asked)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(answer) for answer in answers} == {Unreachable}


def test_every_access_shows_no_key_in_its_text(sshd: Sshd) -> None:
    assert isinstance(sshd.access, HostAccess)
    assert "PRIVATE" not in repr(sshd.access)
