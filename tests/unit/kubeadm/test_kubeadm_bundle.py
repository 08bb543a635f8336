"""The folder that clusters are installed from: read as it is, and refused with what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from atoll.errors import VersionUnavailable
from atoll.providers.kubeadm.bundle import list_versions, read_bundle, short_name

from .machines import make_bundle


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for version in ("v1.36.4", "v1.9.1", "v1.35.8"):
        make_bundle(tmp_path, version)
    (tmp_path / "notes" / "bin").mkdir(parents=True)
    (tmp_path / "notes" / "bin" / "kubeadm").touch()
    return tmp_path


def test_versions_are_listed_oldest_first(root: Path) -> None:
    assert list_versions(root) == ("v1.9.1", "v1.35.8", "v1.36.4")
    assert list_versions(root / "nowhere") == ()


def test_images_are_known_by_what_the_archives_say(root: Path) -> None:
    bundle = read_bundle(root, "v1.36.4")
    assert bundle.pause == "registry.k8s.io/pause:3.36"
    only_first = {short_name(name) for entry in bundle.archives if entry.for_control_plane_only for name in entry.names}
    assert only_first == {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"}
    assert bundle.program("kubelet") == root / "v1.36.4" / "bin" / "kubelet"


def test_everything_that_is_lacking_is_named_with_its_path(root: Path) -> None:
    folder = root / "v1.36.4"
    (folder / "bin" / "etcdutl").unlink()
    (folder / "images" / "coredns.tar").unlink()
    (folder / "images" / "kube-proxy.tar").write_bytes((root / "v1.35.8" / "images" / "kube-proxy.tar").read_bytes())
    with pytest.raises(VersionUnavailable) as caught:
        read_bundle(root, "v1.36.4")
    message = str(caught.value)
    assert str(folder / "bin" / "etcdutl") in message
    assert f"image coredns in {folder / 'images'}" in message
    assert "image kube-proxy:v1.36.4 (there is v1.35.8)" in message


def test_a_version_that_is_not_there_is_refused_with_those_that_are(root: Path) -> None:
    with pytest.raises(VersionUnavailable, match=r"v1\.37\.0 does not exist .* has v1\.9\.1, v1\.35\.8, v1\.36\.4"):
        read_bundle(root, "v1.37.0")
    with pytest.raises(VersionUnavailable, match="no version at all"):
        read_bundle(root / "nowhere", "v1.36.4")


@pytest.mark.parametrize("content", [b"", b"no archive", b"\0" * 2048])
def test_a_file_that_is_no_archive_is_refused(root: Path, content: bytes) -> None:
    (root / "v1.36.4" / "images" / "pause.tar").write_bytes(content)
    with pytest.raises(VersionUnavailable, match=r"pause\.tar is no docker-archive"):
        read_bundle(root, "v1.36.4")
