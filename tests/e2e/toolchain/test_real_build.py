"""A real build from the pinned modules: Go on this machine, no official download to fall back on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from atoll.toolchain import ETCD, Found, Sources, Toolchain


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_etcdutl_is_built_reports_its_version_and_is_found_again(tmp_path: Path) -> None:
    sources = Sources(
        assets=None,
        kubebuilder_assets=None,
        cache=tmp_path / "toolchain",
        download="https://127.0.0.1:1",  # nobody listens there
        download_etcd="https://127.0.0.1:1",
    )
    path = Toolchain(sources).get(ETCD, ["etcdutl"])["etcdutl"]

    said = subprocess.run([path, "version"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert "etcdutl version: 3.6.8" in said
    assert Toolchain(sources).find(ETCD, "etcdutl") == Found(version=ETCD, binary="etcdutl", path=path, source="cache")
    kept = {entry.relative_to(sources.cache).as_posix() for entry in sources.cache.rglob("*")}
    assert kept == {".locks", f".locks/{ETCD}", ".locks/build", ETCD, f"{ETCD}/etcdutl"}
