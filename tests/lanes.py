"""All tests in two lanes at once: `python -m tests.lanes`. Tests on hosts wait most of their time, the others work.

The lane of hosts is nice to the other one. What it says is printed when both are through; who is stopped stops it, too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOSTS = ("tests/e2e/ssh", "tests/e2e/hosts")
OTHERS = ("tests/unit", "tests/plants", "tests/contract", "tests/cloudsim", "tests/e2e")
NICE = 5
NOTHING_COLLECTED = 5
"""Exit code of pytest that found no test: what somebody selects may stand in one lane alone."""


def main(arguments: list[str]) -> int:
    """Run both lanes with the same options for pytest; return the worse exit code."""
    pytest = [sys.executable, "-m", "pytest", *arguments]
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        hosts = subprocess.Popen(
            ["nice", "-n", str(NICE), *pytest, *HOSTS],
            cwd=ROOT,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            ignored = [f"--ignore={folder}" for folder in HOSTS]
            others = subprocess.run([*pytest, *OTHERS, *ignored], cwd=ROOT, check=False).returncode
            print(f"── the others took {(time.monotonic() - began) / 60:.1f} min; tests on hosts:", flush=True)
            code = hosts.wait()
        finally:
            if hosts.poll() is None:
                # As Ctrl-C does: its hosts are taken down by the tests themselves.
                os.killpg(hosts.pid, signal.SIGINT)
                hosts.wait()
        said.seek(0)
        sys.stdout.write(said.read())
    print(f"── all took {(time.monotonic() - began) / 60:.1f} min", flush=True)
    return max(0 if each == NOTHING_COLLECTED else each for each in (others, code))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
