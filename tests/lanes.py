"""All tests in three lanes at once: `python -m tests.lanes`. Tests on hosts and of clouds wait much of their time.

Those lanes are nice to the one in front, whose words are printed as they come; theirs are printed when all are through.
Who stops it stops them, too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

ROOT = Path(__file__).parents[1]
BEHIND: Final[Mapping[str, tuple[str, ...]]] = {
    "hosts": ("tests/e2e/ssh", "tests/e2e/hosts"),
    "clouds": ("tests/cloudsim", "tests/contract/test_cloud_faults.py", "tests/e2e/clouds"),
}
"""Lane → what it runs."""
FRONT = ("tests/unit", "tests/plants", "tests/contract", "tests/e2e")
NICE = 5
NOTHING_COLLECTED = 5
"""Exit code of pytest that found no test: what somebody selects may stand in one lane alone."""


class Lane:
    """One run of pytest behind the others."""

    def __init__(self, name: str, pytest: list[str], said: IO[str]) -> None:
        self.name = name
        self._said = said
        self._process = subprocess.Popen(
            ["nice", "-n", str(NICE), *pytest, *BEHIND[name]],
            cwd=ROOT,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self) -> int:
        """Wait for its end."""
        return self._process.wait()

    def stop(self) -> None:
        """End it as Ctrl-C does: what it made is taken down by the tests themselves."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
            self._process.wait()

    def tell(self) -> str:
        """Print what it said; return the last line of that, which sums it up."""
        self._said.seek(0)
        text = self._said.read()
        print(f"── tests of {self.name}:", flush=True)
        sys.stdout.write(text)
        return text.rstrip().rpartition("\n")[2].strip("= ")


def main(arguments: list[str]) -> int:
    """Run all lanes with the same options for pytest; return the worst exit code."""
    pytest = [sys.executable, "-m", "pytest", *arguments]
    began = time.monotonic()
    with ExitStack() as stack:
        lanes = []
        for name in BEHIND:
            lanes.append(Lane(name, pytest, stack.enter_context(tempfile.TemporaryFile("w+"))))
            stack.callback(lanes[-1].stop)
        ignored = [f"--ignore={path}" for paths in BEHIND.values() for path in paths]
        codes = [subprocess.run([*pytest, *FRONT, *ignored], cwd=ROOT, check=False).returncode]
        print(f"── the lane in front took {(time.monotonic() - began) / 60:.1f} min", flush=True)
        for lane in lanes:
            codes.append(lane.wait())
            print(f"── {lane.name} took {(time.monotonic() - began) / 60:.1f} min", flush=True)
        ends = [f"── {lane.name}: {lane.tell()}" for lane in lanes]
        print("\n".join(ends), flush=True)
    print(f"── all took {(time.monotonic() - began) / 60:.1f} min", flush=True)
    return max(0 if code == NOTHING_COLLECTED else code for code in codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
