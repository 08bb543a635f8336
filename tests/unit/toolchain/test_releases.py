"""Where releases lie, and how their digests are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.toolchain import Component
from atoll.toolchain.releases import Platform, Release, build_release, parse_digest, parse_platform
from atoll.toolchain.reported import parse_reported_version

from .programs import sources_in

LINUX = Platform(os="linux", arch="arm64")
DIGEST = "a" * 64


def test_a_kubernetes_binary_is_one_file_with_a_digest_beside_it() -> None:
    sources = sources_in(Path("/nowhere"), download="https://mirror.test")
    url = "https://mirror.test/release/v1.36.4/bin/linux/arm64/kubectl"
    assert build_release(sources, Component.KUBERNETES, "v1.36.4", "kubectl", LINUX) == Release(
        url=url, digest_url=f"{url}.sha256", file_name="kubectl"
    )


def test_etcd_binaries_come_in_one_archive_with_a_list_of_digests() -> None:
    sources = sources_in(Path("/nowhere"), download_etcd="https://mirror.test/etcd")
    assert build_release(sources, Component.ETCD, "v3.6.8", "etcdutl", LINUX) == Release(
        url="https://mirror.test/etcd/v3.6.8/etcd-v3.6.8-linux-arm64.tar.gz",
        digest_url="https://mirror.test/etcd/v3.6.8/SHA256SUMS",
        file_name="etcd-v3.6.8-linux-arm64.tar.gz",
        archive_folder="etcd-v3.6.8-linux-arm64",
    )


@pytest.mark.parametrize(
    ("system", "machine", "platform"),
    [
        ("Linux", "x86_64", Platform(os="linux", arch="amd64")),
        ("Linux", "aarch64", Platform(os="linux", arch="arm64")),
        ("Darwin", "arm64", Platform(os="darwin", arch="arm64")),
        ("Linux", "s390x", Platform(os="linux", arch="s390x")),
    ],
)
def test_platforms_are_named_in_the_words_of_the_releases(system: str, machine: str, platform: Platform) -> None:
    assert parse_platform(system, machine) == platform


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (DIGEST, DIGEST),
        (f"{DIGEST.upper()}\n", DIGEST),
        (f"{'b' * 64}  other\n{DIGEST}  wanted\n", DIGEST),
        (f"{DIGEST} *./wanted", DIGEST),
        (f"{'b' * 64}  other\n", None),
        (f"{'a' * 63}", None),
        ("<html>not found</html>", None),
        ("", None),
    ],
)
def test_digests_are_read_bare_or_from_a_list(text: str, digest: str | None) -> None:
    assert parse_digest(text, "wanted") == digest


@given(st.text())
def test_no_text_makes_a_digest_that_is_not_one(text: str) -> None:
    digest = parse_digest(text, "wanted")
    assert digest is None or (len(digest) == 64 and int(digest, 16) >= 0)


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("Kubernetes v1.36.4", "v1.36.4"),
        ("Client Version: v1.36.4\nKustomize Version: v5.8.1", "v1.36.4"),
        ("etcd Version: 3.6.8\nGit SHA: x\nGo Version: go1.26.8", "v3.6.8"),
        ("Kubernetes v1.37.0-rc.1+abc", "v1.37.0-rc.1"),
        ("built with go1.26.8 from 10.0.0.1.2", "v10.0.0"),
        ("built with go1.26.8", ""),
        ("", ""),
    ],
)
def test_the_version_is_found_in_what_binaries_print(output: str, version: str) -> None:
    assert parse_reported_version(output) == version
