"""The order of search on one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from atoll.errors import BadInput, VersionUnavailable
from atoll.toolchain import ETCD, Found, Sources, Toolchain

from .programs import put_program, sources_in

V = "v1.36.4"


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return sources_in(tmp_path, assets=tmp_path / "assets", kubebuilder_assets=tmp_path / "flat")


def test_assets_come_before_the_flat_folder_and_that_before_the_cache(sources: Sources) -> None:
    assert sources.assets is not None
    assert sources.kubebuilder_assets is not None
    chain = Toolchain(sources)
    assert chain.find(V, "kubectl") is None

    cached = put_program(sources.cache / V / "kubectl")
    assert chain.find(V, "kubectl") == Found(version=V, binary="kubectl", path=cached, source="cache")

    flat = put_program(sources.kubebuilder_assets / "kubectl", "Client Version: v1.36.4")
    assert chain.find(V, "kubectl") == Found(version=V, binary="kubectl", path=flat, source="KUBEBUILDER_ASSETS")

    asset = put_program(sources.assets / V / "kubectl")
    assert chain.find(V, "kubectl") == Found(version=V, binary="kubectl", path=asset, source="ATOLL_ASSETS")


def test_the_flat_folder_serves_only_the_version_that_its_binary_reports(sources: Sources) -> None:
    assert sources.kubebuilder_assets is not None
    flat = put_program(sources.kubebuilder_assets / "kube-apiserver", "Kubernetes v1.35.8")
    chain = Toolchain(sources)
    assert chain.find("v1.36.4", "kube-apiserver") is None
    assert chain.path("v1.35.8", "kube-apiserver") == flat

    put_program(flat, "Kubernetes v1.36.4 replaced in place")
    assert chain.find("v1.35.8", "kube-apiserver") is None
    assert chain.path("v1.36.4", "kube-apiserver") == flat


def test_a_flat_folder_whose_program_fails_or_says_nothing_serves_nothing(sources: Sources) -> None:
    assert sources.kubebuilder_assets is not None
    put_program(sources.kubebuilder_assets / "etcd", "no version here")
    (sources.kubebuilder_assets / "etcdctl").write_bytes(b"\x7fELF of another machine")
    (sources.kubebuilder_assets / "etcdctl").chmod(0o755)
    chain = Toolchain(sources)
    assert chain.list_found(ETCD, ("etcd", "etcdctl", "etcdutl")) == {"etcd": None, "etcdctl": None, "etcdutl": None}


@pytest.mark.parametrize("folder", ["etcd-v3.6.8", "v3.6.8"])
def test_etcd_may_lie_below_assets_with_or_without_its_name_in_the_folder(sources: Sources, folder: str) -> None:
    assert sources.assets is not None
    asset = put_program(sources.assets / folder / "etcd", "etcd Version: 3.6.8")
    assert Toolchain(sources).path(ETCD, "etcd") == asset


def test_a_file_that_may_not_be_run_is_no_binary(sources: Sources) -> None:
    assert sources.assets is not None
    put_program(sources.assets / V / "kubectl", mode=0o644)
    (sources.cache / V / "kubectl").mkdir(parents=True)
    assert Toolchain(sources).find(V, "kubectl") is None


def test_path_says_where_it_looked_and_how_to_get_what_is_missing(tmp_path: Path) -> None:
    chain = Toolchain(sources_in(tmp_path))
    with pytest.raises(VersionUnavailable) as refusal:
        chain.path(V, "kubelet")
    assert str(refusal.value) == (
        "v1.36.4: kubelet is not on this machine. I looked in ATOLL_ASSETS (not set), the cache. "
        "Get it with `atoll toolchain get v1.36.4 --binary kubelet`, or put it into $ATOLL_ASSETS/v1.36.4/."
    )


def test_versions_are_the_pinned_ones_and_those_complete_for_a_plane_in_semver_order(sources: Sources) -> None:
    assert sources.assets is not None
    assert sources.kubebuilder_assets is not None
    for version in ("v1.34.10", "v1.34.9"):
        for binary in ("kube-apiserver", "kube-controller-manager"):
            put_program(sources.assets / version / binary)
    put_program(sources.cache / "v1.33.1" / "kube-apiserver")  # incomplete
    put_program(sources.assets / "v3.6.8" / "etcd")
    (sources.cache / ".locks").mkdir()
    for binary in ("kube-apiserver", "kube-controller-manager"):
        put_program(sources.kubebuilder_assets / binary, "Kubernetes v1.37.0-rc.1")
    assert Toolchain(sources).versions() == ("v1.34.9", "v1.34.10", "v1.35.8", "v1.36.4", "v1.37.0-rc.1")


@pytest.mark.parametrize(
    ("version", "binary"),
    [
        ("1.36.4", "kubectl"),
        ("v1.36", "kubectl"),
        ("v1.36.4/../..", "kubectl"),
        ("v1.36.4\n", "kubectl"),
        ("", "kubectl"),
        ("v1.36.4", "../kubectl"),
        ("v1.36.4", "etcd"),
        ("etcd-v3.6.8", "kubectl"),
    ],
)
def test_what_is_no_version_or_no_binary_of_it_never_becomes_a_path(tmp_path: Path, version: str, binary: str) -> None:
    with pytest.raises(BadInput):
        Toolchain(sources_in(tmp_path)).get(version, [binary])
    assert not (tmp_path / "cache").exists()
