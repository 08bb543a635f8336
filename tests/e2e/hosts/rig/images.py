"""Container images without a registry or a container engine: docker-archives that `ctr images import` takes.

The same inputs give the same bytes: entries are sorted, owned by root and have no time.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

_CREATED: Final = "2026-01-01T00:00:00Z"
_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of an image."""

    path: str
    content: bytes | Path
    """Bytes, or a file of the machine to read them from."""
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A symbolic link of an image."""

    path: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder of an image; those above files need not be named."""

    path: str
    mode: int = 0o755


Entry = File | Link | Folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What an archive is made of."""

    tag: str
    """`registry.k8s.io/pause:3.10.2`."""
    entrypoint: tuple[str, ...]
    entries: tuple[Entry, ...]
    architecture: str = "amd64"


def write_image(image: Image, destination: Path) -> None:
    """Write an image as docker-archive; the file appears when it is whole."""
    layer = destination.with_name(f".{destination.name}.layer")
    fresh = destination.with_name(f".{destination.name}.new")
    try:
        with layer.open("w+b") as content:
            digest = write_layer(image.entries, content)
            config = build_config(image, digest)
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            manifest = [{"Config": name, "RepoTags": [image.tag], "Layers": [f"{digest}/layer.tar"]}]
            with fresh.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
                _add(archive, "manifest.json", json.dumps(manifest).encode())
                _add(archive, name, config)
                size = content.seek(0, io.SEEK_END)
                content.seek(0)
                archive.addfile(_info(f"{digest}/layer.tar", size=size), content)
        fresh.replace(destination)
    finally:
        layer.unlink(missing_ok=True)
        fresh.unlink(missing_ok=True)


def write_layer(entries: Iterable[Entry], file: IO[bytes]) -> str:
    """Write entries as an uncompressed layer; returns its SHA-256."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as layer:
        for entry in sort_entries(entries):
            match entry:
                case Folder(path=path, mode=mode):
                    layer.addfile(_info(path, mode=mode, kind=tarfile.DIRTYPE))
                case Link(path=path, target=target):
                    info = _info(path, mode=0o777, kind=tarfile.SYMTYPE)
                    info.linkname = target
                    layer.addfile(info)
                case File():
                    _add_file(layer, entry)
    file.flush()
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # any readable file will do


def sort_entries(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Put entries in the one order that gives one layer, with the folders they need. Raises ValueError on twins."""
    by_path: dict[str, Entry] = {}
    for entry in entries:
        path = str(PurePosixPath(entry.path.lstrip("/")))
        if path in by_path and by_path[path] != entry:
            raise ValueError(f"two different entries for {path}")
        by_path[path] = entry
    for path in tuple(by_path):
        for parent in PurePosixPath(path).parents:
            if str(parent) != ".":
                by_path.setdefault(str(parent), Folder(path=str(parent)))
    return tuple(by_path[path] for path in sorted(by_path))


def build_config(image: Image, layer_digest: str) -> bytes:
    """Build the image's configuration."""
    config: Mapping[str, Any] = {
        "architecture": image.architecture,
        "os": "linux",
        "created": _CREATED,
        "config": {"Env": [_PATH], "Entrypoint": list(image.entrypoint), "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
    }
    return json.dumps(config, sort_keys=True).encode()


def _add_file(layer: tarfile.TarFile, entry: File) -> None:
    if isinstance(entry.content, bytes):
        layer.addfile(_info(entry.path, mode=entry.mode, size=len(entry.content)), io.BytesIO(entry.content))
        return
    with entry.content.open("rb") as content:
        layer.addfile(_info(entry.path, mode=entry.mode, size=entry.content.stat().st_size), content)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_info(name, size=len(content)), io.BytesIO(content))


def _info(path: str, *, mode: int = 0o644, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.strip("/"))
    info.mode, info.size, info.type = mode, size, kind
    return info
