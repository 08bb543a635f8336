"""What is removed from a host, and what never is."""

from __future__ import annotations

from pathlib import Path

import pytest

from atoll.hosts.command import RemovePath
from atoll.hosts.connected import Connections
from atoll.hosts.jobs import JobState

from .looking import (
    job,
    run_program,
)
from .sshd_kit import Sshd

pytestmark = pytest.mark.e2e


async def test_what_is_mounted_below_a_folder_is_never_removed(
    own_sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    host = connections.get(own_sshd.access)
    kept, folder = tmp_path / "kept", tmp_path / "fol der"
    (folder / "sub").mkdir(parents=True)
    kept.mkdir()
    (kept / "data").write_text("precious")
    run_program("mount", "--bind", str(kept), str(folder / "sub"))
    try:
        await host.begin(job(RemovePath(path=str(folder), why="Remove.")))
        status = await host.wait("op-1.1", 20)
        assert status.result is not None
        assert (status.state, status.result.code) == (JobState.FAILED, 16)
        assert "mounted below" in status.result.err
        assert (kept / "data").read_text() == "precious"
        await host.begin(job(RemovePath(path=str(folder / "sub"), why="Empty."), name="op-1.2"))
        assert (await host.wait("op-1.2", 20)).state is JobState.SUCCEEDED
        assert list(kept.iterdir()) == []
    finally:
        run_program("umount", str(folder / "sub"))


async def test_a_link_is_removed_and_not_what_it_leads_to(
    own_sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/data").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    host = connections.get(own_sshd.access)
    await host.begin(job(RemovePath(path=f"{tmp_path}/link", why="Remove.")))
    assert (await host.wait("op-1.1", 20)).state is JobState.SUCCEEDED
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "kept/data").read_text() == "precious"
