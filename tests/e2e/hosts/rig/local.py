"""Programs of the machine that carries the hosts."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from .failure import RigFailure

TAIL = 3000


def run_local(
    *argv: str | Path,
    seconds: float = 60,
    check: bool = True,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. Raises RigFailure when it is not there, takes too long, or (`check`) ends badly."""
    line = " ".join(map(str, argv))[:200]
    try:
        done = subprocess.run(
            [str(part) for part in argv],
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            env=env,
            cwd=cwd,
        )
    except subprocess.TimeoutExpired as error:
        raise RigFailure(f"`{line}` was not done after {seconds:g} s") from error
    except OSError as error:
        raise RigFailure(f"`{line}` cannot be run: {error}") from error
    if check and done.returncode != 0:
        raise RigFailure(f"`{line}` ended with {done.returncode}:\n{done.stdout[-TAIL:]}{done.stderr[-TAIL:]}")
    return done
