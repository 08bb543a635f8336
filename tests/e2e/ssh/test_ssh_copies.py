"""Copies to a host, cut and damaged."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from atoll.errors import BadInput, Refused
from atoll.hosts.connected import Connections

from .looking import (
    TRUE,
    run_program,
)
from .sshd_kit import Sshd

pytestmark = pytest.mark.e2e


async def test_a_copy_that_is_cut_is_resumed_and_never_seen_half(
    own_sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    host = connections.get(own_sshd.access)
    local, remote = tmp_path / "local", tmp_path / "there/remote"
    local.write_bytes(os.urandom(1_000_000) * 100)
    copying = asyncio.create_task(host.put(str(local), str(remote), mode=0o755))
    cuts = 0
    while not copying.done() and cuts < 2:
        await asyncio.sleep(0.02)
        parts = list(remote.parent.glob(".remote.*.part"))
        if parts and parts[0].stat().st_size > 10_000_000 * (cuts + 1):
            own_sshd.cut()
            cuts += 1
        assert not remote.exists() or remote.stat().st_size == local.stat().st_size
    await copying
    assert cuts == 2
    assert remote.read_bytes() == local.read_bytes()
    assert remote.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in remote.parent.iterdir()] == ["remote"]


async def test_a_copy_with_a_wrong_rest_is_made_anew(own_sshd: Sshd, connections: Connections, tmp_path: Path) -> None:
    host = connections.get(own_sshd.access)
    local, remote = tmp_path / "local", tmp_path / "there/remote"
    local.write_bytes(b"right" * 1000)
    await host.put(str(local), str(remote))
    await host.run(TRUE)
    digest = run_program("sha256sum", str(local))[:16]
    remote.unlink()
    (remote.parent / f".remote.{digest}.part").write_bytes(b"wrong")
    await host.put(str(local), str(remote))
    assert remote.read_bytes() == local.read_bytes()


async def test_a_copy_that_the_host_cannot_store_is_refused(
    own_sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "local").write_text("x")
    host = connections.get(own_sshd.access)
    with pytest.raises(Refused, match="does not store"):
        await host.put(str(tmp_path / "local"), f"{tmp_path}/file/below")
    with pytest.raises(BadInput, match="cannot be read"):
        await host.put(str(tmp_path / "absent"), f"{tmp_path}/there")
