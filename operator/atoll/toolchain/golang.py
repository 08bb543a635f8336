"""Find a Go compiler that is new enough."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .recipe import parse_go_version
from .search import is_runnable

WELL_KNOWN_PLACES: Final = (
    Path("/usr/local/go/bin"),
    Path("/usr/lib/go/bin"),
    Path("/usr/local/bin"),
    Path("/opt/homebrew/bin"),
    Path("/snap/bin"),
)
"""Where installers put Go without putting it on the PATH of services."""
_TIMEOUT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GoSearch:
    """What came of looking for Go."""

    go: Path | None
    looked_in: tuple[Path, ...]
    unfit: tuple[str, ...]
    """The ones that are there and will not do, with the reason."""


def list_go_places(environ: Mapping[str, str], well_known: tuple[Path, ...]) -> tuple[Path, ...]:
    """List the folders to look in, in order: PATH, GOROOT, then where installers put it."""
    path = (Path(entry) for entry in environ.get("PATH", "").split(os.pathsep) if entry)
    goroot = environ.get("GOROOT", "")
    root = (Path(goroot) / "bin",) if goroot else ()
    return tuple(dict.fromkeys((*path, *root, *well_known)))


def find_go(lane: str, environ: Mapping[str, str], well_known: tuple[Path, ...]) -> GoSearch:
    """Find the first Go that is at least `lane` (such as `1.26.0`)."""
    places = list_go_places(environ, well_known)
    wanted = tuple(int(part) for part in lane.split("."))
    unfit: list[str] = []
    for place in places:
        go = place / "go"
        if not is_runnable(go):
            continue
        said = _run_go_version(go, environ)
        version = parse_go_version(said)
        if version is None:
            unfit.append(f"{go} does not tell its version ({said.strip()[:80] or 'it said nothing'})")
        elif _pad(version) < _pad(wanted):
            unfit.append(f"{go} is {'.'.join(map(str, version))}, too old")
        else:
            return GoSearch(go=go, looked_in=places, unfit=tuple(unfit))
    return GoSearch(go=None, looked_in=places, unfit=tuple(unfit))


def _pad(version: tuple[int, ...]) -> tuple[int, ...]:
    """Make 1.26 and 1.26.0 equal."""
    return (*version, 0, 0, 0)[:3]


def _run_go_version(go: Path, environ: Mapping[str, str]) -> str:
    kept = {name: environ[name] for name in ("PATH", "HOME") if name in environ}
    try:
        done = subprocess.run(
            (str(go), "version"),
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_SECONDS,
            env={**kept, "GOTOOLCHAIN": "local"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout if done.returncode == 0 else done.stderr
