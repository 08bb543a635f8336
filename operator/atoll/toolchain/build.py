"""Build one binary from its pinned Go module."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from threading import Event
from typing import Final

from atoll.errors import ToolchainError

from .golang import GoSearch, find_go
from .pins import Pin
from .recipe import build_argv, build_environment, name_module, parse_go_lane
from .releases import Platform

_POLL_SECONDS: Final = 0.2
_HINTS: Final = (
    ("no space left on device", "The disk is full: free about 6 GB where the cache and Go's build cache lie."),
    ("signal: killed", "The compiler was killed, most likely for want of memory: a build needs about 2.5 GB."),
    (
        "module lookup disabled by GOPROXY=off",
        "Working offline, Go has only the modules that are on this machine: unset ATOLL_OFFLINE once.",
    ),
    ("dial tcp", "The Go module proxy cannot be reached: set GOPROXY to one that can."),
    (
        "checksum mismatch",
        "A module differs from what go.sum pins; do not build from it, tell whoever runs your GOPROXY.",
    ),
)


class Builds:
    """Runs the Go compiler, one binary at a time."""

    def __init__(
        self,
        environ: Mapping[str, str],
        platform: Platform,
        *,
        offline: bool,
        limit: float,
        go_places: tuple[Path, ...],
        stop: Event,
    ) -> None:
        self._environ = environ
        self._platform = platform
        self._offline = offline
        self._limit = limit
        self._go_places = go_places
        self._stop = stop

    def find_go(self, pin: Pin) -> GoSearch:
        """Find a Go that can build the module of `pin`."""
        return find_go(parse_go_lane(read_module_file(pin, "go.mod")), self._environ, self._go_places)

    def run_build(self, go: Path, pin: Pin, binary: str, scratch: Path) -> Path:
        """Build `binary` inside the empty folder `scratch`; returns where it lies there."""
        module, temporary, output, log = (scratch / name for name in ("module", "go-tmp", "made", "build.log"))
        module.mkdir()
        temporary.mkdir()
        for name in ("go.mod", "go.sum"):
            (module / name).write_text(read_module_file(pin, name), encoding="utf-8")
        argv = build_argv(go, pin, binary, output)
        env = build_environment(self._environ, platform=self._platform, scratch=temporary, offline=self._offline)
        code = self._run(argv, module, env, log)
        if code != 0:
            said = log.read_text(encoding="utf-8", errors="replace")
            raise ToolchainError(f"building {binary} {pin.version} failed ({code}). {explain_failure(said)}")
        if not output.is_file():
            raise ToolchainError(f"building {binary} {pin.version}: {go} ended well but made no file. Is it really Go?")
        return output

    def _run(self, argv: tuple[str, ...], folder: Path, env: Mapping[str, str], log: Path) -> int:
        deadline = time.monotonic() + self._limit
        with log.open("wb") as file:
            # A session of its own, so that everything the compiler started can be ended with it.
            process = subprocess.Popen(
                argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
            try:
                while True:
                    try:
                        return process.wait(timeout=_POLL_SECONDS)
                    except subprocess.TimeoutExpired:
                        if self._stop.is_set():
                            raise ToolchainError("the build was stopped. Nothing was kept.") from None
                        if time.monotonic() > deadline:
                            raise ToolchainError(
                                f"the build was not done after {self._limit:g} s and was ended. Nothing was kept. "
                                "Try again on an idle machine (what was compiled is remembered), "
                                "or put the binaries into $ATOLL_ASSETS."
                            ) from None
            finally:
                _end(process)


def read_module_file(pin: Pin, name: str) -> str:
    """Read go.mod or go.sum of a pinned version out of the package."""
    return (resources.files("atoll.toolchain") / "modules" / name_module(pin) / name).read_text(encoding="utf-8")


def explain_failure(output: str) -> str:
    """Turn what the compiler said into its last lines and, for well-known causes, the remedy."""
    hint = next((remedy for sign, remedy in _HINTS if sign in output), "")
    tail = re.sub(r"(?<=://)[^/\s@]+@", "", output.strip())[-1500:]  # a GOPROXY may carry a password
    return f"{hint} Go said: {tail or 'nothing'}".strip()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
