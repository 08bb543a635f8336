"""Where binaries may come from, what was found, and how progress is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from atoll.errors import BadInput

DOWNLOAD: Final = "https://dl.k8s.io"
DOWNLOAD_ETCD: Final = "https://github.com/etcd-io/etcd/releases/download"
ETCD_PATH_ON_MIRROR: Final = "etcd-io/etcd/releases/download"
"""A mirror keeps upstream's paths, so that a plain caching proxy of both hosts will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The places that are looked at, in order of their fields."""

    assets: Path | None
    """$ATOLL_ASSETS: `<version>/<binary>`."""
    kubebuilder_assets: Path | None
    """$KUBEBUILDER_ASSETS: one flat folder; serves only the version that its binaries report."""
    cache: Path
    """`<version>/<binary>`, written by us alone."""
    download: str
    """Base URL below which `release/<version>/bin/<os>/<arch>/<binary>` lies."""
    download_etcd: str
    """Base URL below which `<version>/etcd-<version>-<os>-<arch>.tar.gz` lies."""
    offline: bool = False
    """Use no network: no downloads, and builds only from Go modules that are on this machine."""

    @staticmethod
    def from_environ(environ: Mapping[str, str]) -> Sources:
        """Read ATOLL_ASSETS, KUBEBUILDER_ASSETS, XDG_CACHE_HOME, ATOLL_DOWNLOAD_MIRROR and ATOLL_OFFLINE.

        Raises BadInput for a mirror that is not https.
        """
        download, download_etcd = DOWNLOAD, DOWNLOAD_ETCD
        if mirror := environ.get("ATOLL_DOWNLOAD_MIRROR", "").rstrip("/"):
            check_mirror(mirror)
            download, download_etcd = mirror, f"{mirror}/{ETCD_PATH_ON_MIRROR}"
        return Sources(
            assets=_folder(environ, "ATOLL_ASSETS"),
            kubebuilder_assets=_folder(environ, "KUBEBUILDER_ASSETS"),
            cache=_cache_home(environ) / "atoll" / "toolchain",
            download=download,
            download_etcd=download_etcd,
            offline=environ.get("ATOLL_OFFLINE", "") not in ("", "0", "false"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long we wait, and how often we try again. Seconds."""

    connect: float = 3.0
    """Short, because a machine without network must fall through to the next source quickly."""
    silence: float = 30.0
    """A download from which nothing came for so long is cut off."""
    download: float = 1800.0
    attempts: int = 3
    pause: float = 1.0
    """Before the second attempt; doubled each time."""
    forget_unreachable: float = 600.0
    """A host that nobody answered at is left alone for so long."""
    build: float = 2700.0
    lock: float = 5400.0
    """How long to wait for another process that is getting the same thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A binary that is there."""

    version: str
    binary: str
    path: Path
    source: str
    """`ATOLL_ASSETS`, `KUBEBUILDER_ASSETS`, `cache`, `download` or `build`."""


class Progress(Protocol):
    """Hears how getting a binary comes along, from whatever thread does it."""

    def stage(self, version: str, binary: str, what: str) -> None:
        """Something new is being done for `binary`."""
        ...

    def advance(self, version: str, binary: str, done: int, total: int | None) -> None:
        """`done` bytes of `total` have come."""
        ...

    def finished(self, found: Found) -> None:
        """The binary is there."""
        ...


class SilentProgress:
    """Tells nobody."""

    def stage(self, version: str, binary: str, what: str) -> None:
        """Do nothing."""

    def advance(self, version: str, binary: str, done: int, total: int | None) -> None:
        """Do nothing."""

    def finished(self, found: Found) -> None:
        """Do nothing."""


def check_mirror(url: str) -> None:
    """Raise BadInput unless `url` is one that we download programs from."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password or parts.query:
        raise BadInput(
            "ATOLL_DOWNLOAD_MIRROR must be an https:// URL with no user, password or query in it, "
            "like https://mirror.example.com/kubernetes. Correct or unset it.",
            field="ATOLL_DOWNLOAD_MIRROR",
        )


def _folder(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name, "")
    return Path(value).expanduser().absolute() if value else None


def _cache_home(environ: Mapping[str, str]) -> Path:
    stated = Path(environ.get("XDG_CACHE_HOME", ""))
    if stated.is_absolute():  # the XDG specification has relative ones ignored
        return stated
    home = environ.get("HOME", "")
    return (Path(home) if home else Path.home()) / ".cache"
