"""The processes, groups and mounts on the machine that carry one running host, and how all of them go away again.

What is about to be made is written to `running.json` before it is made, so that whoever comes next can clean up after
a rig whose process died.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from .cgroups import (
    build_scope,
    find_groups,
    is_unified_only,
    kill_processes,
    list_processes,
    make_groups,
    remove_groups,
)
from .failure import RigFailure
from .identity import VOLUMES
from .network import remove_port
from .rootfs import Layers

_SUPERVISE: Final = Path(__file__).with_name("supervise.py")
_NSPAWN_STATE: Final = Path("/run/systemd/nspawn")
_ORDERLY_SECONDS: Final = 60.0


class Carrier:
    """What one host runs on. May be made anew over the same folder by any process."""

    def __init__(self, folder: Path, machine: str) -> None:
        self._folder = folder
        self._machine = machine
        self._record = folder / "running.json"
        self._child: subprocess.Popen[bytes] | None = None

    def is_running(self) -> bool:
        """Say whether the host is on."""
        return self._find_supervisor() is not None and self.find_leader() is not None

    def is_starting(self) -> bool:
        """Say whether somebody is there who will bring the host up."""
        return self._find_supervisor() is not None

    def find_leader(self) -> int | None:
        """Find the host's process 1, by its number on this machine."""
        for process in list_processes(self._groups()):
            try:
                status = Path(f"/proc/{process}/status").read_text()
            except OSError:
                continue
            numbers = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
            if len(numbers) > 1 and numbers[1:] == ["1"]:
                return process
        return None

    def list_processes(self) -> frozenset[int]:
        """List all processes of the host, by their numbers on this machine."""
        return list_processes(self._groups())

    def start(self, layers: Layers, hostname: str, bridge: str) -> None:
        """Power the host on; returns at once."""
        groups = find_groups(self._machine)
        if not groups:
            raise RigFailure("this machine has no control groups mounted")
        prefix: tuple[str, ...] = ()
        if alone := is_unified_only(groups):
            prefix, scope = build_scope(groups[0])
            groups = (scope,)
        self._write_record(groups=[str(group) for group in groups])
        if not alone:
            make_groups(groups)
        plan = self._folder / "plan.json"
        plan.write_text(
            json.dumps(
                {
                    "groups": [str(group) for group in groups],
                    "leaf": alone,
                    "mount": self._build_mount(layers),
                    "argv": self._build_nspawn(hostname, bridge),
                }
            )
        )
        argv = [
            *prefix,
            "unshare",
            "--mount",
            "--propagation=private",
            sys.executable,
            "-I",
            str(_SUPERVISE),
            str(plan),
        ]
        with (self._folder / "console.log").open("ab") as console:
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                env={"PATH": os.environ.get("PATH", os.defpath), "SYSTEMD_SECCOMP": "0", "LANG": "C.UTF-8"},
            )
        started = _read_start(self._child.pid)
        self._write_record(groups=[str(group) for group in groups], pid=self._child.pid, started=started)

    def stop(self) -> None:
        """Power off in good order, by force if that takes too long; nothing is left but the host's own files."""
        if supervisor := self._find_supervisor():
            _signal(supervisor, signal.SIGTERM)
            deadline = time.monotonic() + _ORDERLY_SECONDS
            while self._find_supervisor() and time.monotonic() < deadline:
                time.sleep(0.05)
        self.cut()

    def cut(self) -> None:
        """Take the power away: every process is killed where it stands, then everything is removed."""
        if supervisor := self._find_supervisor():
            _signal(supervisor, signal.SIGKILL)  # first, or it would boot the host again
        if leader := self.find_leader():
            _signal(leader, signal.SIGKILL)  # takes its whole process namespace with it
        groups = self._groups()
        kill_processes(groups)
        self._reap()
        remove_groups(groups)
        remove_port(self._machine)
        for part in ("propagate", "unix-export"):
            shutil.rmtree(_NSPAWN_STATE / part / self._machine, ignore_errors=True)
        self._record.unlink(missing_ok=True)

    def read_console(self) -> str:
        """Return the end of what the host said on its console."""
        path = self._folder / "console.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def _build_mount(self, layers: Layers) -> list[str]:
        lower = f"{layers.settings}:{layers.debian}"
        options = f"lowerdir={lower},upperdir={self._folder}/upper,workdir={self._folder}/work"
        return ["mount", "-t", "overlay", self._machine, "-o", options, str(self._folder / "root")]

    def _build_nspawn(self, hostname: str, bridge: str) -> list[str]:
        binds = (f"--bind={self._folder}/volumes/{volume}:{path}" for volume, path in VOLUMES.items())
        return [
            "systemd-nspawn",
            "--quiet",
            f"--directory={self._folder / 'root'}",
            f"--machine={self._machine}",
            f"--hostname={hostname}",
            "--register=no",
            "--keep-unit",
            "--boot",
            f"--network-bridge={bridge}",
            "--capability=all",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--console=pipe",
            "--bind=/dev/kmsg",
            *binds,
        ]

    def _groups(self) -> tuple[Path, ...]:
        return tuple(Path(group) for group in self._read_record().get("groups", ()))

    def _find_supervisor(self) -> int | None:
        self._reap()
        record = self._read_record()
        pid = record.get("pid")
        return pid if pid and _read_start(pid) == record["started"] else None

    def _reap(self) -> None:
        if self._child is not None:
            self._child.poll()

    def _read_record(self) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(self._record.read_text())
        except FileNotFoundError:
            return {}
        return record

    def _write_record(self, **record: Any) -> None:
        fresh = self._record.with_suffix(".new")
        fresh.write_text(json.dumps(record))
        fresh.replace(self._record)


def _read_start(pid: int) -> str:
    """Return when a process began, in ticks that no change of the clock touches; empty when it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else fields[18]


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
