"""The peers: Ansible with pipelining, and Mitogen for Ansible, in a Python environment of their own.

Both as their manuals say that they are fastest: connections kept (Ansible) or one interpreter kept on the host
(Mitogen), no facts gathered, the interpreter named instead of looked for, as many forks as hosts. Host keys are checked
against the pinned ones.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from .machines import ROOT, LogicalHost, Machines
from .peer_install import install_peers
from .steps import Step, render_task

FORKS: Final = 20
CONNECT_SECONDS: Final = 10
RUN_SECONDS: Final = 3600.0
UNREACHABLE: Final = 4
"""Exit code of ansible-playbook when a host could not be reached."""


class Kind(StrEnum):
    """The two peers."""

    ANSIBLE = "Ansible"
    MITOGEN = "Mitogen"


@dataclass(frozen=True, slots=True)
class Used:
    """What a run took."""

    seconds: float
    cpu: float
    """CPU seconds on the machine of who runs it, its children included; not of the hosts."""


class Ansible:
    """Runs steps on hosts as playbooks, from a folder of its own."""

    def __init__(self, folder: Path, machines: Machines) -> None:
        self._folder = folder
        self._machines = machines
        self._programs = install_peers() / "bin"
        self._sockets = folder / "cp"
        folder.mkdir(parents=True, exist_ok=True)

    def run(
        self, kind: Kind, hosts: Sequence[LogicalHost], steps: Sequence[Step], *, some_are_gone: bool = False
    ) -> Used:
        """Run a playbook to its end; raises AssertionError when it does not succeed."""
        self._write(kind, hosts, steps)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        done = subprocess.run(
            [str(self._programs / "ansible-playbook"), "--inventory", "hosts.json", "steps.json"],
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        seconds = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != (UNREACHABLE if some_are_gone else 0):
            raise AssertionError(f"{kind} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Used(seconds=seconds, cpu=used)

    def disconnect(self) -> None:
        """End the connections that Ansible keeps."""
        for socket in self._sockets.glob("*"):
            subprocess.run(
                ["ssh", "-F", "none", "-o", f"ControlPath={socket}", "-O", "exit", "any"],
                capture_output=True,
                check=False,
                timeout=30,
            )

    def _write(self, kind: Kind, hosts: Sequence[LogicalHost], steps: Sequence[Step]) -> None:
        known = self._folder / "known_hosts"
        known.write_text("".join(f"{host.address} {host.machine.host_key}\n" for host in hosts))
        checked = f"-F none -o IdentitiesOnly=yes -o UserKnownHostsFile={known} -o GlobalKnownHostsFile=/dev/null"
        # Mitogen keeps its one connection by itself, and a master of OpenSSH would only stand between.
        kept = "" if kind is Kind.MITOGEN else " -o ControlMaster=auto -o ControlPersist=1800s"
        lines = [
            "[defaults]",
            f"forks = {FORKS}",
            "gathering = explicit",
            "host_key_checking = True",
            "interpreter_python = /usr/bin/python3",
            f"timeout = {CONNECT_SECONDS}",
            "retry_files_enabled = False",
            *self._strategy(kind),
            "[ssh_connection]",
            "pipelining = True",
            f"control_path_dir = {self._sockets}",
            f"ssh_args = {checked}{kept}",
        ]
        (self._folder / "ansible.cfg").write_text("\n".join(lines) + "\n")
        inventory = {
            "all": {
                "vars": {
                    "ansible_user": "root",
                    "ansible_ssh_private_key_file": str(self._machines.rig.private_key_path),
                    "mitogen_ssh_compression": False,
                },
                "hosts": {host.name: {"ansible_host": host.address} for host in hosts},
            }
        }
        (self._folder / "hosts.json").write_text(json.dumps(inventory))
        root = f"{ROOT}/{{{{ inventory_hostname }}}}"
        tasks: list[dict[str, Any]] = [render_task(step, root) for step in steps]
        (self._folder / "steps.json").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))

    def _strategy(self, kind: Kind) -> list[str]:
        if kind is Kind.ANSIBLE:
            return ["strategy = linear"]
        found = next(self._programs.parent.glob("lib/python*/site-packages/ansible_mitogen/plugins/strategy"))
        return [f"strategy_plugins = {found}", "strategy = mitogen_linear"]

    def _environment(self) -> dict[str, str]:
        """Nothing of the user's own Ansible, and no agent."""
        return {
            "PATH": f"{self._programs}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self._folder),
            "ANSIBLE_HOME": str(self._folder / "home"),
            "ANSIBLE_CONFIG": str(self._folder / "ansible.cfg"),
            "LC_ALL": "C.UTF-8",
        }
