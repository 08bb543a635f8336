"""Find Kubernetes and etcd binaries, or get them. Synchronous: callers in an event loop use a thread.

The order is that of docs: ATOLL_ASSETS, KUBEBUILDER_ASSETS, the cache, the official downloads, a build from the pinned
Go modules. One lock per version lets one process get it while others wait and then find it; one lock for all builds
keeps two compilers (2 GB each) from running at once.
"""

from __future__ import annotations

import os
import platform
import ssl
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import copyfileobj
from threading import Event
from typing import Final

from atoll.errors import Throttled, ToolchainError, Unreachable, VersionUnavailable

from .build import Builds, read_module_file
from .download import Downloads
from .golang import WELL_KNOWN_PLACES
from .locks import locked
from .pins import (
    KUBERNETES_VERSIONS,
    PLANE_BINARIES,
    USUAL_BINARIES,
    Pin,
    check_binary,
    estimate_build_seconds,
    find_pin,
    order_of,
    parse_version,
)
from .recipe import parse_go_lane
from .refusals import describe_no_go, describe_not_here, describe_unavailable
from .releases import build_release, parse_digest, parse_platform
from .reported import run_version
from .search import Search, is_runnable
from .shelf import scratch_folder, write_to_cache
from .sources import Found, Limits, Progress, SilentProgress, Sources

_LOCKS: Final = ".locks"


class Toolchain:
    """Finds and gets binaries. May be used from several threads."""

    def __init__(
        self,
        sources: Sources,
        *,
        progress: Progress | None = None,
        limits: Limits | None = None,
        trust: ssl.SSLContext | None = None,
        environ: Mapping[str, str] | None = None,
        go_places: tuple[Path, ...] = WELL_KNOWN_PLACES,
    ) -> None:
        self._sources = sources
        self._progress = progress or SilentProgress()
        self._limits = limits or Limits()
        self._platform = parse_platform(platform.system(), platform.machine())
        self._stop = Event()
        self._search = Search(sources)
        self._downloads = Downloads(self._limits, trust=trust, stop=self._stop)
        self._builds = Builds(
            os.environ if environ is None else environ,
            self._platform,
            offline=sources.offline,
            limit=self._limits.build,
            go_places=go_places,
            stop=self._stop,
        )

    def find(self, version: str, binary: str) -> Found | None:
        """Find a binary on this machine, without network."""
        component, _ = parse_version(version)
        check_binary(component, binary)
        return self._search.find(version, binary)

    def path(self, version: str, binary: str) -> Path:
        """Tell where a binary is; raises VersionUnavailable when it is not on this machine."""
        found = self.find(version, binary)
        if found is None:
            component, _ = parse_version(version)
            raise VersionUnavailable(describe_not_here(self._sources, version, component, binary))
        return found.path

    def get(self, version: str, binaries: Sequence[str]) -> dict[str, Path]:
        """Find binaries, and download or build the missing ones, one after the other.

        Raises VersionUnavailable when no source has the version, ToolchainError when one has it and something went
        wrong on the way; what was got before that stays.
        """
        component, _ = parse_version(version)
        for binary in binaries:
            check_binary(component, binary)
        return {binary: self._get(version, binary).path for binary in binaries}

    def versions(self) -> tuple[str, ...]:
        """List the Kubernetes versions that need no download: complete on this machine, or pinned. Oldest first."""
        local = (
            version
            for version in self._search.list_kubernetes_versions()
            if all(self._search.find(version, binary) for binary in PLANE_BINARIES)
        )
        return tuple(sorted({*local, *KUBERNETES_VERSIONS}, key=order_of))

    def list_found(self, version: str, binaries: Sequence[str]) -> dict[str, Found | None]:
        """List what there is of a version, None for what is missing."""
        return {binary: self.find(version, binary) for binary in binaries}

    def close(self) -> None:
        """Stop what other threads are getting: they raise ToolchainError within a second and keep nothing."""
        self._stop.set()

    def _get(self, version: str, binary: str) -> Found:
        if found := self._search.find(version, binary):
            return found
        for path in self._search.asset_paths(version, binary):
            if path.is_file() and not is_runnable(path):
                raise ToolchainError(
                    f"{path} is there but may not be run. Allow it with `chmod +x {path}`, or remove it."
                )
        try:
            with self._lock(version, version, binary):
                if found := self._search.find(version, binary):  # another process was quicker
                    return found
                with scratch_folder(self._sources.cache / version) as scratch:
                    found = self._fetch(version, binary, scratch)
        except OSError as error:
            raise ToolchainError(
                f"{version}: {binary} cannot be put into the cache {self._sources.cache}: {error.strerror or error}. "
                "Make room or rights there, or set XDG_CACHE_HOME to another folder."
            ) from error
        self._progress.finished(found)
        return found

    def _fetch(self, version: str, binary: str, scratch: Path) -> Found:
        component, tag = parse_version(version)
        try:
            return self._download(version, binary, scratch)
        except (Unreachable, Throttled, VersionUnavailable) as error:
            downloads = str(error)
        self._progress.stage(version, binary, f"the official downloads: {downloads}")
        pin = find_pin(component, tag)
        if pin is None:
            raise VersionUnavailable(describe_unavailable(self._sources, version, component, downloads))
        return self._build(version, binary, pin, scratch, downloads)

    def _download(self, version: str, binary: str, scratch: Path) -> Found:
        if self._sources.offline:
            raise Unreachable("switched off by ATOLL_OFFLINE")
        component, tag = parse_version(version)
        release = build_release(self._sources, component, tag, binary, self._platform)
        self._progress.stage(version, binary, f"asking for {release.url}")
        digest = parse_digest(self._downloads.fetch_text(release.digest_url), release.file_name)
        if digest is None:
            raise VersionUnavailable(f"no digest published for {release.file_name}")
        self._progress.stage(version, binary, f"downloading {binary} {tag}")
        came = scratch / "download"
        actual = self._downloads.fetch_file(
            release.url, came, lambda done, total: self._progress.advance(version, binary, done, total)
        )
        if actual != digest:
            raise ToolchainError(
                f"{release.url}: wrong digest: its SHA-256 is {actual}, published is {digest}. Nothing was kept. "
                "Do not use that file: something on the way changes it. Try again over another network or mirror "
                f"(ATOLL_DOWNLOAD_MIRROR), or put a {binary} that you trust into $ATOLL_ASSETS/{version}/."
            )
        made = {binary: came}
        if release.archive_folder:
            made = _unpack(came, release.archive_folder, USUAL_BINARIES[component], scratch)
            if binary not in made:
                raise VersionUnavailable(f"{release.file_name} holds no {binary}")
        for name, path in sorted(made.items(), key=lambda item: item[0] == binary):  # the wanted one last
            self._keep(version, name, path, origin=release.url)
        return self._found(version, binary, "download")

    def _build(self, version: str, binary: str, pin: Pin, scratch: Path, downloads: str) -> Found:
        go = self._builds.find_go(pin)
        if go.go is None:
            lane = parse_go_lane(read_module_file(pin, "go.mod"))
            raise ToolchainError(
                describe_no_go(self._sources, version, binary, downloads=downloads, lane=lane, search=go)
            )
        with self._lock("build", version, binary):
            longest = estimate_build_seconds(binary)
            what = f"building {binary} {pin.version} from its Go module, up to {longest} s on 2 idle cores"
            self._progress.stage(version, binary, what)
            made = self._builds.run_build(go.go, pin, binary, scratch)
        self._keep(version, binary, made, origin=f"the build by {go.go}")
        return self._found(version, binary, "build")

    def _keep(self, version: str, binary: str, made: Path, *, origin: str) -> None:
        """Put a new binary into the cache, once it has reported the version that it was got for."""
        made.chmod(0o755)
        _, tag = parse_version(version)
        reported, problem = run_version(made, binary)
        if reported != tag:
            what = problem or f"it reports {reported}"
            raise ToolchainError(
                f"{origin}: that is no usable {binary} {tag}: {what}. Nothing was kept. "
                f"Put one that works on this machine into $ATOLL_ASSETS/{version}/."
            )
        write_to_cache(made, self._sources.cache / version / binary)

    def _found(self, version: str, binary: str, source: str) -> Found:
        return Found(version=version, binary=binary, path=self._sources.cache / version / binary, source=source)

    def _lock(self, name: str, version: str, binary: str) -> AbstractContextManager[None]:
        return locked(
            self._sources.cache / _LOCKS / name,
            limit=self._limits.lock,
            stop=self._stop,
            waiting=lambda: self._progress.stage(version, binary, "waiting for another process that is at it"),
        )


def _unpack(archive: Path, folder: str, binaries: Sequence[str], scratch: Path) -> dict[str, Path]:
    """Take the named binaries out of a .tar.gz; names come from us, never from the archive."""
    made: dict[str, Path] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for binary in binaries:
                try:
                    content = tar.extractfile(f"{folder}/{binary}")
                except KeyError:
                    continue
                if content is not None:
                    made[binary] = scratch / f"unpacked-{binary}"
                    with content, made[binary].open("wb") as file:
                        copyfileobj(content, file)
    except (tarfile.TarError, EOFError) as error:
        raise ToolchainError(f"{archive.name}: not a readable archive although its digest is right: {error}") from error
    return made
