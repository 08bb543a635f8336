"""A watcher beside the operator: at no moment two processes of one kind for one plane, but where a CHANGE says so."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Final

import psutil

PROGRAMS: Final = ("etcd", "kube-apiserver", "kube-controller-manager")
SAMPLE_SECONDS: Final = 0.2


def sample(home: Path) -> dict[str, dict[str, list[str]]]:
    """Return the versions that run now, by plane and program."""
    start = f"{home}/planes/"
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for process in psutil.process_iter():
        try:
            argv = process.cmdline()
            if not argv or PurePath(argv[0]).name not in PROGRAMS or process.status() == psutil.STATUS_ZOMBIE:
                continue
        except psutil.Error:
            continue
        marks = [argument.partition("=")[2] for argument in argv if argument.startswith(("--data-dir=", "--cert-dir="))]
        for mark in marks:
            if mark.startswith(start):
                plane = mark[len(start) :].partition("/")[0]
                found[plane][PurePath(argv[0]).name].append(PurePath(argv[0]).parent.name)
    return {plane: {name: sorted(versions) for name, versions in by.items()} for plane, by in found.items()}


def check_sample(found: dict[str, dict[str, list[str]]], phase: str) -> list[str]:
    """Say what must never be: two of a kind, but for an old and a new API server while the version changes."""
    violations = []
    for plane, programs in found.items():
        for program, versions in programs.items():
            overlap = phase == "upgrade" and program == "kube-apiserver" and len(versions) == len(set(versions)) == 2
            if len(versions) > 1 and not overlap:
                violations.append(f"plane {plane} had {len(versions)} x {program} ({', '.join(versions)}) in {phase}")
    return violations


class Watcher:
    """Samples the processes of a home five times a second until it is stopped."""

    def __init__(self, home: Path, phase: Callable[[], str]) -> None:
        self.violations: list[str] = []
        self.samples = 0
        self._home = home
        self._phase = phase
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self.samples += 1
            for violation in check_sample(sample(self._home), self._phase()):
                if violation not in self.violations:
                    self.violations.append(violation)
