"""Builds, by a Go that is a script and records what it is asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from atoll.errors import ToolchainError
from atoll.toolchain import ETCD, Limits, Sources, Toolchain
from atoll.toolchain.build import read_module_file
from atoll.toolchain.pins import PINS

from .programs import FakeGo, put_go, put_program, sources_in, tree_of

V = "v1.36.4"


def chain_of(sources: Sources, go: FakeGo, *, build: float = 30) -> Toolchain:
    return Toolchain(sources, environ=go.environ, go_places=(), limits=Limits(build=build))


def test_what_no_other_source_has_is_built_from_its_module(tmp_path: Path) -> None:
    sources, go = sources_in(tmp_path), put_go(tmp_path / "go")
    kept = sources.cache / V / "kubectl"
    assert chain_of(sources, go).get(V, ["kubectl"]) == {"kubectl": kept}
    assert tree_of(sources.cache) == {V, f"{V}/kubectl"}
    assert len(go.calls()) == 1
    assert go.calls()[0].startswith("build -trimpath -buildvcs=false -tags=selinux,notest,grpcnotrace -ldflags=-s -w ")
    assert go.calls()[0].endswith("k8s.io/kubernetes/cmd/kubectl")
    assert go.modules() == read_module_file(PINS[1], "go.mod")
    seen = go.environment()
    assert (seen["CGO_ENABLED"], seen["GOTOOLCHAIN"], seen["GOFLAGS"]) == ("0", "local", "-mod=readonly")
    assert seen["GOTMPDIR"].startswith(str(sources.cache / V))

    assert chain_of(sources, go).get(V, ["kubectl"]) == {"kubectl": kept}
    assert len(go.calls()) == 1


def test_a_build_that_reports_another_version_is_not_kept(tmp_path: Path) -> None:
    sources, go = sources_in(tmp_path), put_go(tmp_path / "go", makes="Kubernetes v0.0.0-master")
    with pytest.raises(ToolchainError, match=r"no usable kubectl v1\.36\.4: it reports v0\.0\.0-master"):
        chain_of(sources, go).get(V, ["kubectl"])
    assert tree_of(sources.cache) == set()


def test_a_build_that_fails_leaves_nothing_and_repeats_what_go_said(tmp_path: Path) -> None:
    go = put_go(tmp_path / "go", says="link: no space left on device", ends_with=1)
    sources = sources_in(tmp_path)
    with pytest.raises(
        ToolchainError, match=r"(?s)building kubectl v1\.36\.4 failed \(1\)\. The disk is full.*Go said"
    ):
        chain_of(sources, go).get(V, ["kubectl"])
    assert tree_of(sources.cache) == set()


def test_a_build_that_takes_too_long_is_ended_with_all_its_processes(tmp_path: Path) -> None:
    sources, go = sources_in(tmp_path), put_go(tmp_path / "go", takes_seconds=60)
    with pytest.raises(ToolchainError, match=r"not done after 0\.3 s and was ended"):
        chain_of(sources, go, build=0.3).get(V, ["kubectl"])
    group = int((go.folder / "pid").read_text())
    wait_for(lambda: not list_members(group))
    assert tree_of(sources.cache) == set()


def test_closing_stops_a_build_in_another_thread(tmp_path: Path) -> None:
    sources, go = sources_in(tmp_path), put_go(tmp_path / "go", takes_seconds=60)
    chain = chain_of(sources, go)
    errors: list[ToolchainError] = []

    def get() -> None:
        try:
            chain.get(V, ["kubectl"])
        except ToolchainError as error:
            errors.append(error)

    thread = threading.Thread(target=get)
    thread.start()
    wait_for(lambda: bool(go.calls()))
    chain.close()
    thread.join(5)
    assert [str(error) for error in errors] == ["the build was stopped. Nothing was kept."]
    assert tree_of(sources.cache) == set()


def test_without_go_the_message_names_every_place_that_was_looked_at(tmp_path: Path) -> None:
    chain = Toolchain(
        sources_in(tmp_path, assets=tmp_path / "assets"),
        environ={"PATH": "/nowhere/bin:/nothing/bin", "GOROOT": "/gone"},
        go_places=(Path("/not/here"),),
    )
    with pytest.raises(ToolchainError) as failure:
        chain.get(V, ["kube-apiserver"])
    assert str(failure.value) == (
        "v1.36.4: kube-apiserver must be built, and that needs Go 1.26.0 or newer. I looked for `go` in "
        "/nowhere/bin, /nothing/bin, /gone/bin, /not/here. Before that I looked for kube-apiserver in ATOLL_ASSETS, "
        "the cache and the official downloads (unreachable). Install Go from https://go.dev/dl/, or put the binary "
        "into $ATOLL_ASSETS/v1.36.4/."
    )


def test_a_go_that_is_too_old_is_named_and_a_newer_one_further_on_is_taken(tmp_path: Path) -> None:
    old = put_go(tmp_path / "old", version="go1.22.2")
    with pytest.raises(ToolchainError, match=rf"{old.folder}/go is 1\.22\.2, too old\."):
        chain_of(sources_in(tmp_path), old).get(V, ["kubectl"])

    new = put_go(tmp_path / "new")
    chain = Toolchain(sources_in(tmp_path), environ=old.environ, go_places=(new.folder,))
    chain.get(V, ["kubectl"])
    assert (old.calls(), len(new.calls())) == ([], 1)


def test_an_asset_that_may_not_be_run_is_said_instead_of_built_around(tmp_path: Path) -> None:
    go = put_go(tmp_path / "go")
    asset = put_program(tmp_path / "assets" / V / "kubectl", mode=0o644)
    with pytest.raises(ToolchainError, match=rf"{asset} is there but may not be run\. Allow it with `chmod \+x"):
        chain_of(sources_in(tmp_path, assets=tmp_path / "assets"), go).get(V, ["kubectl"])
    assert go.calls() == []


def test_two_threads_that_ask_at_once_get_one_build(tmp_path: Path) -> None:
    sources, go = sources_in(tmp_path), put_go(tmp_path / "go", takes_seconds=0.3)
    got: list[dict[str, Path]] = []
    threads = [threading.Thread(target=lambda: got.append(chain_of(sources, go).get(V, ["kubectl"]))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [{"kubectl": sources.cache / V / "kubectl"}] * 3
    assert len(go.calls()) == 1


def test_two_processes_that_ask_at_once_get_one_build(tmp_path: Path) -> None:
    go = put_go(tmp_path / "go", takes_seconds=0.5)
    with process_that_gets(tmp_path, go, "kubectl") as one, process_that_gets(tmp_path, go, "kubectl") as other:
        assert (one.wait(20), other.wait(20)) == (0, 0)
    assert len(go.calls()) == 1
    assert tree_of(tmp_path / "cache") == {V, f"{V}/kubectl"}


def test_builds_of_different_versions_wait_for_each_other(tmp_path: Path) -> None:
    chains = {
        version: chain_of(
            sources_in(tmp_path), put_go(tmp_path / version, makes=f"Kubernetes {version}", takes_seconds=0.4)
        )
        for version in ("v1.35.8", "v1.36.4")
    }
    begun = time.monotonic()
    threads = [threading.Thread(target=chain.get, args=(version, ["kubectl"])) for version, chain in chains.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begun > 0.8
    assert tree_of(tmp_path / "cache") == {"v1.35.8", "v1.35.8/kubectl", "v1.36.4", "v1.36.4/kubectl"}


def test_what_a_killed_process_left_is_removed_by_the_next_run(tmp_path: Path) -> None:
    go = put_go(tmp_path / "go", takes_seconds=60)
    with process_that_gets(tmp_path, go, "kubectl") as process:
        wait_for(lambda: bool(go.calls()))
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):
        os.killpg(int((go.folder / "pid").read_text()), signal.SIGKILL)  # the compiler outlives its killed parent
    left = tree_of(tmp_path / "cache")
    assert any(name.startswith(f"{V}/.tmp-") for name in left)
    assert f"{V}/kubectl" not in left

    put_go(tmp_path / "go")
    chain_of(sources_in(tmp_path), go).get(V, ["kubectl"])
    assert tree_of(tmp_path / "cache") == {V, f"{V}/kubectl"}


def test_whoever_waits_too_long_is_told_which_lock_it_is(tmp_path: Path) -> None:
    go = put_go(tmp_path / "go", takes_seconds=60)
    chain = Toolchain(sources_in(tmp_path), environ=go.environ, go_places=(), limits=Limits(lock=0.2))
    with process_that_gets(tmp_path, go, "kubectl") as process:
        wait_for(lambda: bool(go.calls()))
        with pytest.raises(ToolchainError, match=rf"held {tmp_path}/cache/\.locks/{V} for 0 s"):
            chain.get(V, ["kubectl"])
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert tree_of(tmp_path / "cache") == set()


def test_etcd_is_built_from_its_own_module(tmp_path: Path) -> None:
    sources, go = sources_in(tmp_path), put_go(tmp_path / "go", makes="etcdutl version: 3.6.8")
    assert chain_of(sources, go).get(ETCD, ["etcdutl"]) == {"etcdutl": sources.cache / ETCD / "etcdutl"}
    assert go.calls()[0].endswith(" go.etcd.io/etcd/etcdutl/v3")


@contextmanager
def process_that_gets(tmp_path: Path, go: FakeGo, binary: str) -> Iterator[subprocess.Popen[bytes]]:
    program = (
        # A shell that runs tests in the background has SIGINT ignored, and children inherit that.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path\n"
        "from atoll.toolchain import Sources, Toolchain\n"
        f"sources = Sources(assets=None, kubebuilder_assets=None, cache=Path({str(tmp_path / 'cache')!r}),\n"
        "                  download='https://127.0.0.1:1', download_etcd='https://127.0.0.1:1')\n"
        f"Toolchain(sources, environ={go.environ!r}, go_places=()).get({V!r}, [{binary!r}])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def list_members(group: int) -> list[psutil.Process]:
    """The processes of a group that still run."""
    members = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
