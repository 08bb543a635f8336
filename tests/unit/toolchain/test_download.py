"""Downloads from a real TLS server, which behaves well or badly: all or nothing, and a message that says why."""

from __future__ import annotations

import hashlib
import io
import re
import socket
import ssl
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from atoll.errors import ToolchainError, VersionUnavailable
from atoll.toolchain import ETCD, Found, Limits, SilentProgress, Sources, Toolchain
from atoll.toolchain.releases import parse_platform

from .programs import script_of, sources_in, tree_of
from .release_server import Answer, Manner, ReleaseServer, running_server

V = "v1.30.1"
"""Not pinned, so that no build can hide what a download did."""
QUICK = Limits(connect=2, silence=0.3, download=5, attempts=3, pause=0.01)
PROGRAM = script_of(f"Kubernetes {V}").encode()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    keys = tmp_path / "keys"
    keys.mkdir()
    with running_server(keys) as served:
        yield served


class Diary(SilentProgress):
    def __init__(self) -> None:
        self.bytes: list[tuple[int, int | None]] = []
        self.found: list[Found] = []

    def advance(self, version: str, binary: str, done: int, total: int | None) -> None:
        self.bytes.append((done, total))

    def finished(self, found: Found) -> None:
        self.found.append(found)


def sources_of(tmp_path: Path, server: ReleaseServer) -> Sources:
    return sources_in(tmp_path, download=server.url, download_etcd=f"{server.url}/etcd")


def chain_of(tmp_path: Path, server: ReleaseServer, **limits: float) -> Toolchain:
    chosen = Limits(**{"connect": 2, "silence": 0.3, "download": 5, "attempts": 3, "pause": 0.01, **limits})  # type: ignore[arg-type]
    return Toolchain(sources_of(tmp_path, server), trust=server.trust, limits=chosen)


def path_of(binary: str, version: str = V) -> str:
    import platform

    here = parse_platform(platform.system(), platform.machine())
    return f"/release/{version}/bin/{here.os}/{here.arch}/{binary}"


def publish(server: ReleaseServer, binary: str, *answers: Answer, digest_of: bytes = PROGRAM) -> str:
    path = path_of(binary)
    server.serve(f"{path}.sha256", Answer(body=hashlib.sha256(digest_of).hexdigest().encode()))
    server.serve(path, *answers)
    return path


def test_a_good_download_is_kept_and_used_again_without_asking(tmp_path: Path, server: ReleaseServer) -> None:
    path = publish(server, "kubectl", Answer(body=PROGRAM))
    diary = Diary()
    sources = sources_of(tmp_path, server)
    chain = Toolchain(sources, trust=server.trust, limits=QUICK, progress=diary)
    kept = sources.cache / V / "kubectl"

    assert chain.get(V, ["kubectl"]) == {"kubectl": kept}
    assert kept.read_bytes() == PROGRAM
    assert kept.stat().st_mode & 0o777 == 0o755
    assert tree_of(sources.cache) == {V, f"{V}/kubectl"}
    assert server.requests == [f"{path}.sha256", path]
    assert diary.bytes[-1] == (len(PROGRAM), len(PROGRAM))
    assert diary.found == [Found(version=V, binary="kubectl", path=kept, source="download")]

    again = Toolchain(sources, trust=server.trust, limits=QUICK)
    assert again.get(V, ["kubectl"]) == {"kubectl": kept}
    assert again.find(V, "kubectl") == Found(version=V, binary="kubectl", path=kept, source="cache")
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answer", "limits", "words"),
    [
        pytest.param(Answer(body=b"#!/bin/sh\nrm -rf /\n"), {}, "wrong digest", id="wrong-digest"),
        pytest.param(Answer(body=PROGRAM, manner=Manner.TRUNCATED), {}, "truncated: HALF of ALL bytes", id="truncated"),
        # OpenSSL reports a reset as a plain end where the kernel does; then our own count of bytes tells.
        pytest.param(Answer(body=PROGRAM * 9999, manner=Manner.CUT), {}, "(was cut after|truncated:) ", id="cut"),
        pytest.param(Answer(body=PROGRAM, manner=Manner.GARBLED), {}, "the connection was cut after", id="garbled"),
        pytest.param(Answer(body=PROGRAM, manner=Manner.SILENT), {}, "nothing more came for 0.3 s", id="silent"),
        pytest.param(Answer(manner=Manner.MUTE), {}, "no answer came for 0.3 s", id="mute"),
        pytest.param(
            Answer(body=PROGRAM * 9999, manner=Manner.TRICKLE), {"download": 0.5}, "not done after 0.5 s", id="trickle"
        ),
    ],
)
def test_a_bad_download_leaves_nothing_and_says_what_happened_and_what_to_do(
    tmp_path: Path, server: ReleaseServer, answer: Answer, limits: dict[str, float], words: str
) -> None:
    publish(server, "kubectl", answer)
    words = words.replace("HALF", str(len(PROGRAM) // 2)).replace("ALL", str(len(PROGRAM)))
    with pytest.raises(ToolchainError) as failure:
        chain_of(tmp_path, server, **limits).get(V, ["kubectl"])
    assert re.search(words, str(failure.value))
    assert f"{server.url}{path_of('kubectl')}" in str(failure.value)
    assert "Nothing was kept" in str(failure.value)
    assert "ATOLL_DOWNLOAD_MIRROR" in str(failure.value)
    assert tree_of(tmp_path / "cache") == set()


def test_a_connection_that_is_cut_once_is_tried_again(tmp_path: Path, server: ReleaseServer) -> None:
    cut = Answer(body=PROGRAM, manner=Manner.CUT)
    path = publish(server, "kubectl", cut, Answer(body=PROGRAM, manner=Manner.TRUNCATED), Answer(body=PROGRAM))
    kept = chain_of(tmp_path, server).get(V, ["kubectl"])["kubectl"]
    assert kept.read_bytes() == PROGRAM
    assert server.requests == [f"{path}.sha256", path, path, path]


def test_trying_again_is_bounded(tmp_path: Path, server: ReleaseServer) -> None:
    path = publish(server, "kubectl", Answer(body=PROGRAM, manner=Manner.CUT))
    with pytest.raises(ToolchainError, match=r"tried 3 times"):
        chain_of(tmp_path, server).get(V, ["kubectl"])
    assert server.requests.count(path) == 3


def test_a_wrong_digest_is_not_tried_again(tmp_path: Path, server: ReleaseServer) -> None:
    path = publish(server, "kubectl", Answer(body=b"other"))
    with pytest.raises(ToolchainError, match=hashlib.sha256(b"other").hexdigest()):
        chain_of(tmp_path, server).get(V, ["kubectl"])
    assert server.requests.count(path) == 1


def test_a_release_that_is_another_version_is_not_kept(tmp_path: Path, server: ReleaseServer) -> None:
    other = script_of("Kubernetes v1.29.0").encode()
    publish(server, "kubectl", Answer(body=other), digest_of=other)
    with pytest.raises(ToolchainError, match=r"no usable kubectl v1\.30\.1: it reports v1\.29\.0"):
        chain_of(tmp_path, server).get(V, ["kubectl"])
    assert tree_of(tmp_path / "cache") == set()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(status=404), "not there"),
        (Answer(status=403), "answered 403"),
        (Answer(status=503), "answered 503"),
        (Answer(body=b"<html>log in</html>"), "no digest published for kubectl"),
        (Answer(status=302, location="http://127.0.0.1:1/kubectl"), "unknown url type: http"),
    ],
)
def test_a_version_that_is_nowhere_is_refused_with_all_the_places(
    tmp_path: Path, server: ReleaseServer, answer: Answer, why: str
) -> None:
    server.serve(f"{path_of('kubectl')}.sha256", answer)
    with pytest.raises(VersionUnavailable) as refusal:
        chain_of(tmp_path, server).get(V, ["kubectl"])
    assert str(refusal.value) == (
        f"v1.30.1: no binaries for it. I looked in ATOLL_ASSETS (not set), the cache, the official downloads ({why}) "
        "and the pinned modules (1.35.8, 1.36.4). Put them into $ATOLL_ASSETS/v1.30.1/ or choose one of those."
    )
    assert tree_of(tmp_path / "cache") == set()


def test_a_redirect_to_another_https_address_is_followed(tmp_path: Path, server: ReleaseServer) -> None:
    publish(server, "kubectl", Answer(status=302, location=f"{server.url}/elsewhere"))
    server.serve("/elsewhere", Answer(body=PROGRAM))
    assert chain_of(tmp_path, server).get(V, ["kubectl"])["kubectl"].read_bytes() == PROGRAM


def test_a_certificate_that_we_do_not_trust_gets_no_request(tmp_path: Path, server: ReleaseServer) -> None:
    publish(server, "kubectl", Answer(body=PROGRAM))
    chain = Toolchain(sources_of(tmp_path, server), trust=ssl.create_default_context(), limits=QUICK)
    with pytest.raises(VersionUnavailable, match=r"official downloads \(its certificate is not trusted: "):
        chain.get(V, ["kubectl"])
    assert server.requests == []


def test_a_host_that_nobody_answers_at_is_tried_once_and_quickly(tmp_path: Path, server: ReleaseServer) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:  # with its queue full, the listener drops further attempts: a host that is not there
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            chain = Toolchain(
                sources_in(tmp_path, download=f"https://127.0.0.1:{port}"),
                limits=Limits(connect=0.4),
                trust=server.trust,
            )
            begun = time.monotonic()
            for binary in ("kube-apiserver", "kube-controller-manager", "kubectl"):
                with pytest.raises(VersionUnavailable, match=r"official downloads \(unreachable\)"):
                    chain.get(V, [binary])
            assert 0.35 < time.monotonic() - begun < 0.8
        finally:
            for filler in fillers:
                filler.close()
    assert tree_of(tmp_path / "cache") == set()


def test_what_was_got_before_a_failure_stays(tmp_path: Path, server: ReleaseServer) -> None:
    publish(server, "kube-apiserver", Answer(body=PROGRAM))
    publish(server, "kubectl", Answer(body=b"other"))
    with pytest.raises(ToolchainError):
        chain_of(tmp_path, server).get(V, ["kube-apiserver", "kubectl"])
    assert tree_of(tmp_path / "cache") == {V, f"{V}/kube-apiserver"}


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, server: ReleaseServer) -> None:
    (tmp_path / "cache").write_text("a file is in the way")
    with pytest.raises(ToolchainError, match=r"cannot be put into the cache .*cache: .* set XDG_CACHE_HOME"):
        chain_of(tmp_path, server).get(V, ["kubectl"])


def test_offline_nothing_is_asked(tmp_path: Path, server: ReleaseServer) -> None:
    publish(server, "kubectl", Answer(body=PROGRAM))
    sources = sources_in(tmp_path, download=server.url, offline=True)
    with pytest.raises(VersionUnavailable, match=r"official downloads \(switched off by ATOLL_OFFLINE\)"):
        Toolchain(sources, trust=server.trust).get(V, ["kubectl"])
    assert server.requests == []


def test_one_archive_of_etcd_brings_all_its_binaries(tmp_path: Path, server: ReleaseServer) -> None:
    import platform

    here = parse_platform(platform.system(), platform.machine())
    folder = f"etcd-v3.6.8-{here.os}-{here.arch}"
    archive = archive_of(
        {f"{folder}/{name}": script_of(f"{name} version: 3.6.8") for name in ("etcd", "etcdctl", "etcdutl")}
    )
    sums = f"{'0' * 64}  other.tar.gz\n{hashlib.sha256(archive).hexdigest()}  {folder}.tar.gz\n"
    server.serve("/etcd/v3.6.8/SHA256SUMS", Answer(body=sums.encode()))
    server.serve(f"/etcd/v3.6.8/{folder}.tar.gz", Answer(body=archive))

    chain = chain_of(tmp_path, server)
    cache = tmp_path / "cache" / ETCD
    assert chain.get(ETCD, ["etcd", "etcdutl"]) == {"etcd": cache / "etcd", "etcdutl": cache / "etcdutl"}
    assert tree_of(tmp_path / "cache") == {ETCD, *(f"{ETCD}/{name}" for name in ("etcd", "etcdctl", "etcdutl"))}
    assert len(server.requests) == 2


def archive_of(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()
