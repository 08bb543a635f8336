"""Where the official releases lie and how they publish their digests. Computes only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .pins import Component
from .sources import Sources

_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Operating system and architecture in the words of Go and of the releases."""

    os: str
    arch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One file to download and how to know that it is the right one."""

    url: str
    digest_url: str
    file_name: str
    """The name that the digest file lists it under."""
    archive_folder: str = ""
    """Not empty: the file is a .tar.gz that holds the binaries in this folder."""


def parse_platform(system: str, machine: str) -> Platform:
    """Translate what `platform.system()` and `platform.machine()` say."""
    return Platform(os=system.lower(), arch=_MACHINES.get(machine.lower(), machine.lower()))


def build_release(sources: Sources, component: Component, tag: str, binary: str, platform: Platform) -> Release:
    """Tell where `binary` of the upstream tag lies."""
    match component:
        case Component.KUBERNETES:
            url = f"{sources.download}/release/{tag}/bin/{platform.os}/{platform.arch}/{binary}"
            return Release(url=url, digest_url=f"{url}.sha256", file_name=binary)
        case Component.ETCD:
            folder = f"etcd-{tag}-{platform.os}-{platform.arch}"
            base = f"{sources.download_etcd}/{tag}"
            return Release(
                url=f"{base}/{folder}.tar.gz",
                digest_url=f"{base}/SHA256SUMS",
                file_name=f"{folder}.tar.gz",
                archive_folder=folder,
            )


def parse_digest(text: str, file_name: str) -> str | None:
    """Find the SHA-256 of `file_name` in a digest file: a bare digest, or lines of `<digest>  <name>`."""
    for line in text.splitlines():
        words = line.split()
        if not words or not _DIGEST.match(words[0].lower()):
            continue
        if len(words) == 1 or words[1].removeprefix("*").removeprefix("./") == file_name:
            return words[0].lower()
    return None
