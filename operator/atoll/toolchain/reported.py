"""Ask a binary for its own version."""

from __future__ import annotations

import errno
import re
import subprocess
import time
from pathlib import Path
from typing import Final

_ARGUMENTS: Final = {
    "kubectl": ("version", "--client"),
    "kubeadm": ("version", "--output=short"),
    "etcdctl": ("version",),
    "etcdutl": ("version",),
}
_TIMEOUT_SECONDS: Final = 30.0
"""A 90 MB program on a busy disk takes its time to start."""
_BUSY_TRIES: Final = 20


def parse_reported_version(output: str) -> str:
    """Find the first version in what a binary prints, with a leading v; empty when there is none."""
    match = re.search(r"(?<![\w.])v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)", output)
    return f"v{match[1]}" if match else ""


def run_version(path: Path, binary: str) -> tuple[str, str]:
    """Run `binary` for its version; return it and, when it is empty, what went wrong."""
    argv = (str(path), *_ARGUMENTS.get(binary, ("--version",)))
    try:
        done = _run(argv)
    except subprocess.TimeoutExpired:
        return "", f"it did not print its version within {_TIMEOUT_SECONDS:.0f} s"
    except OSError as error:
        return "", f"it does not run here ({error.strerror or error})"
    version = parse_reported_version(done.stdout)
    if done.returncode == 0 and version:
        return version, ""
    said = (done.stderr.strip() or done.stdout.strip())[-300:]
    return "", f"`{Path(argv[0]).name} {' '.join(argv[1:])}` ended with {done.returncode} and said: {said or 'nothing'}"


def _run(argv: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    for _ in range(_BUSY_TRIES):
        try:
            return subprocess.run(
                argv,
                check=False,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=_TIMEOUT_SECONDS,
                env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},  # no kubeconfig, no plugins, no secrets
            )
        except OSError as error:
            # A thread that forks while we write a file hands its child our open descriptor for a moment, and a file
            # that is open for writing cannot be run.
            if error.errno != errno.ETXTBSY:
                raise
            time.sleep(0.05)
    raise OSError(errno.ETXTBSY, "the file stays busy")
