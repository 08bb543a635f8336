"""The folder beside the operator with what goes onto hosts: `<version>/bin/<program>` and `<version>/images/*.tar`."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atoll.errors import VersionUnavailable
from atoll.fleet.values import Version

from .installing import ETCD_PROGRAMS, NODE_PROGRAMS

CONTROL_PLANE_IMAGES: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
"""Nobody runs these on a worker."""
NEEDED_IMAGES: Final = (*CONTROL_PLANE_IMAGES, "kube-proxy", "coredns", "pause")


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An image archive."""

    path: Path
    names: tuple[str, ...]
    """Full names of the images in it."""

    @property
    def for_control_plane_only(self) -> bool:
        """Whether workers can do without it."""
        return bool(self.names) and all(short_name(name) in CONTROL_PLANE_IMAGES for name in self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What there is of one version."""

    version: str
    folder: Path
    archives: tuple[Archive, ...]

    @property
    def pause(self) -> str:
        """Name of the pause image; empty when there is none."""
        return next((name for archive in self.archives for name in archive.names if short_name(name) == "pause"), "")

    def program(self, name: str) -> Path:
        """Return where a program lies."""
        return self.folder / "bin" / name


def list_versions(root: Path) -> tuple[str, ...]:
    """List the versions that a folder holds, oldest first."""
    if not root.is_dir():
        return ()
    found = [path.name for path in root.iterdir() if (path / "bin" / "kubeadm").is_file()]
    return tuple(sorted((name for name in found if _is_version(name)), key=Version.parse))


def read_bundle(root: Path, version: str) -> Bundle:
    """Read what there is of a version; VersionUnavailable names the path and what it lacks."""
    folder = root / version
    if not folder.is_dir():
        there = ", ".join(list_versions(root)) or "no version at all"
        raise VersionUnavailable(f"{folder} does not exist ({root} has {there}): put {version} there")
    missing = [
        str(folder / "bin" / name) for name in (*NODE_PROGRAMS, *ETCD_PROGRAMS) if not (folder / "bin" / name).is_file()
    ]
    archives = tuple(Archive(path=path, names=read_names(path)) for path in sorted((folder / "images").glob("*.tar")))
    there_are = {short_name(name) for archive in archives for name in archive.names}
    missing += [f"image {name} in {folder / 'images'}" for name in NEEDED_IMAGES if name not in there_are]
    missing += _find_wrong_tags(archives, version)
    if missing:
        raise VersionUnavailable(f"the bundle of {version} lacks {', '.join(missing)}: complete {folder}")
    return Bundle(version=version, folder=folder, archives=archives)


def read_names(path: Path) -> tuple[str, ...]:
    """Return the names of the images in a docker-archive."""
    try:
        with tarfile.open(path) as archive:
            manifest = archive.extractfile("manifest.json")
            body = json.loads(manifest.read()) if manifest is not None else []
        return tuple(name for entry in body for name in entry.get("RepoTags") or ())
    except (KeyError, OSError, tarfile.TarError, ValueError, TypeError, AttributeError) as error:
        kind = type(error).__name__
        raise VersionUnavailable(
            f"{path} is no docker-archive ({kind}: {error}): write it with `docker save`"
        ) from error


def short_name(image: str) -> str:
    """Return `kube-proxy` of `registry.k8s.io/kube-proxy:v1.36.4`."""
    return image.rpartition("/")[2].partition(":")[0]


def _find_wrong_tags(archives: Sequence[Archive], version: str) -> list[str]:
    """Return the Kubernetes images that are there in another version only."""
    wrong = []
    for program in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"):
        tags = [
            name.rpartition(":")[2] for archive in archives for name in archive.names if short_name(name) == program
        ]
        if tags and version not in tags:
            wrong.append(f"image {program}:{version} (there is {', '.join(tags)})")
    return wrong


def _is_version(text: str) -> bool:
    try:
        Version.parse(text)
    except ValueError:
        return False
    return True
