"""`python -m bench [NAME…]`: run benchmarks and print them; exit 1 when an aim was missed.

Without a name all are run but those that take long.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib import import_module
from typing import Final

import psutil

from .measure import Report

BENCHMARKS: Final = {
    "planning": "atoll plan and atoll --help",
    "deciding": "the decision alone",
    "packing": "clusters used where placing is free to choose",
    "growing": "from apply to Ready",
    "writing": "requests per change",
    "objects": "CPU per event, memory per object",
    "rolling": "a rollout through 1,000 clusters, simulated",
    "hosting": "small steps on many hosts by SSH",
    "managed": "two hundred managed clusters",
}
ON_REQUEST: Final = frozenset({"hosting", "managed"})
"""They take long: a quarter of an hour (`managed`), half an hour (`hosting`, which needs root)."""


def main(names: list[str]) -> int:
    """Run what was named, or all."""
    unknown = sorted(set(names) - BENCHMARKS.keys())
    if unknown:
        print(f"error: no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    memory = psutil.virtual_memory().total / 2**30
    print(f"{psutil.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, {platform.system()}")
    print(f"load at the start {os.getloadavg()[0]:.1f}; medians (lowest–highest); × is ours over what stands beside it")
    missed: list[str] = []
    for name in names or [name for name in BENCHMARKS if name not in ON_REQUEST]:
        print(f"\n{name}: {BENCHMARKS[name]}", flush=True)
        report = Report(name)
        started = time.perf_counter()
        import_module(f"bench.{name}").run(report)
        report.tell(f"{time.perf_counter() - started:.0f} s")
        missed += report.missed
    print(f"\n{len(missed)} aims missed" if missed else "\nall aims met")
    for line in missed:
        print(f"  {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
