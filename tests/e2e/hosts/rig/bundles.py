"""A bundle: everything that kubeadm needs of a Kubernetes version, as files in a folder, from no registry.

Layout: `<version>/bin/{kubeadm,kubelet,kubectl,etcdctl,etcdutl}` and `<version>/images/<component>.tar`, images under
the names that `kubeadm config images list` prints.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atoll.toolchain import Found, Sources, Toolchain
from atoll.toolchain.pins import Component, find_pin

from . import contents, images
from .contents import build_image
from .failure import RigFailure
from .images import write_image
from .local import run_local
from .places import locked
from .programs import get_coredns, get_etcd, get_pause, this_platform
from .rootfs import make_layers

_IN_BIN: Final = ("kubeadm", "kubelet", "kubectl", "etcdctl", "etcdutl")
_OF_KUBERNETES: Final = (
    "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubeadm", "kubectl", "kubelet",
)  # fmt: skip
COMPONENTS: Final = (
    "coredns", "etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "pause",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Companions:
    """What kubeadm of a version wants beside Kubernetes itself."""

    etcd: str
    coredns: str


COMPANIONS: Final = {
    "v1.35.8": Companions(etcd="v3.6.6", coredns="v1.13.1"),
    "v1.36.4": Companions(etcd="v3.6.8", coredns="v1.14.2"),
}
VERSIONS: Final = tuple(COMPANIONS)
"""Oldest first."""


class _Telling:
    """Hands the toolchain's progress on."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def stage(self, version: str, binary: str, what: str) -> None:
        self._tell(f"{version} {binary}: {what}")

    def advance(self, version: str, binary: str, done: int, total: int | None) -> None:
        """Say nothing: a line per block would be too many."""

    def finished(self, found: Found) -> None:
        self._tell(f"{found.version} {found.binary}: there, by {found.source}")


def make_bundles(cache: Path, *versions: str, tell: Callable[[str], None] = lambda line: None) -> Path:
    """Make what is missing or out of date of the bundles of versions, all known ones when none is named."""
    for version in versions or VERSIONS:
        if version not in COMPANIONS:
            raise RigFailure(f"no bundle is known for {version}. Known are {', '.join(VERSIONS)}.")
        programs = get_programs(cache, version, tell)
        with locked(cache / ".locks" / f"bundle-{version}"):
            _make_bundle(cache, version, programs, tell)
    return cache / "bundle"


def get_programs(cache: Path, version: str, tell: Callable[[str], None]) -> Mapping[str, Path]:
    """Get every program of a bundle: found, downloaded or built."""
    companions = COMPANIONS[version]
    toolchain = Toolchain(Sources.from_environ(os.environ), progress=_Telling(tell))
    programs = toolchain.get(version, _OF_KUBERNETES)
    if find_pin(Component.ETCD, companions.etcd):
        programs |= toolchain.get(f"etcd-{companions.etcd}", ("etcd", "etcdctl", "etcdutl"))
    else:
        programs |= get_etcd(cache, companions.etcd, tell)
    return programs | {"coredns": get_coredns(cache, companions.coredns, tell), "pause": get_pause(cache, tell)}


def list_image_tags(kubeadm: Path, version: str) -> Mapping[str, str]:
    """Ask kubeadm for the names of its images, by component."""
    # The version is said in full, or kubeadm would ask the internet for the newest one.
    printed = run_local(kubeadm, "config", "images", "list", "--kubernetes-version", version, env={}).stdout
    tags = {tag.rpartition("/")[2].partition(":")[0]: tag for tag in printed.split()}
    if tuple(sorted(tags)) != COMPONENTS:
        raise RigFailure(f"kubeadm {version} wants images that the rig does not know: {printed}")
    check_companions(version, tags)
    return tags


def check_companions(version: str, tags: Mapping[str, str]) -> None:
    """Raise RigFailure unless the etcd and CoreDNS that we build are those that kubeadm names."""
    companions = COMPANIONS[version]
    for component, built in (("etcd", companions.etcd.removeprefix("v")), ("coredns", companions.coredns)):
        named = tags[component].rpartition(":")[2]
        if named.partition("-")[0] != built:
            raise RigFailure(f"kubeadm {version} wants {tags[component]}, but the rig builds {component} {built}")


def _make_bundle(cache: Path, version: str, programs: Mapping[str, Path], tell: Callable[[str], None]) -> None:
    debian = make_layers(cache).debian
    bundle = cache / "bundle" / version
    stamp = bundle / ".made-of"
    made_of = _digest(programs, debian)
    if stamp.exists() and stamp.read_text() == made_of:
        return
    tell(f"{version}: writing the bundle")
    fresh = bundle.with_name(f".{version}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "bin").mkdir(parents=True)
    (fresh / "images").mkdir()
    for name in _IN_BIN:
        shutil.copy2(programs[name], fresh / "bin" / name)
    for component, tag in list_image_tags(programs["kubeadm"], version).items():
        image = build_image(component, tag, programs[component], debian, this_platform().arch)
        write_image(image, fresh / "images" / f"{component}.tar")
    (fresh / stamp.name).write_text(made_of)
    shutil.rmtree(bundle, ignore_errors=True)
    fresh.rename(bundle)


def _digest(programs: Mapping[str, Path], debian: Path) -> str:
    """Tell inputs apart without reading half a gigabyte: by size and time of each, and by our own recipe."""
    digest = hashlib.sha256(debian.name.encode())
    for name, path in sorted(programs.items()):
        status = path.stat()
        digest.update(f"{name} {path} {status.st_size} {status.st_mtime_ns}\n".encode())
    for module in (__file__, contents.__file__, images.__file__):
        digest.update(Path(module).read_bytes())
    return digest.hexdigest()
