"""One throw-away host, as tests see it: look into it, break it, switch it off and on."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .carrier import Carrier
from .failure import RigFailure
from .identity import Identity
from .local import run_local
from .rootfs import Layers
from .state import observe_state

_ENVIRONMENT: Final = (
    "HOME=/root",
    "LANG=C.UTF-8",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM=dumb",
)
BOOT_SECONDS: Final = 120.0


class RigHost:
    """A Linux machine for tests."""

    def __init__(self, folder: Path, identity: Identity, carrier: Carrier, layers: Layers, *, bridge: str) -> None:
        self.name = identity.name
        self.address = identity.address
        self.host_key = identity.host_key
        self.folder = folder
        self._carrier = carrier
        self._layers = layers
        self._bridge = bridge

    @property
    def is_on(self) -> bool:
        """Whether it is running."""
        return self._carrier.is_running()

    @property
    def upper(self) -> Path:
        """Folder on the machine with every file that differs from the shared root; for looking only."""
        return self.folder / "upper"

    def run(
        self, *argv: str, check: bool = True, timeout: float = 60, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside as root, past network and sshd, so that it works when those are broken."""
        leader = self._carrier.find_leader()
        if leader is None:
            raise RigFailure(f"{self.name} is off")
        inside = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
        return run_local(
            "nsenter", f"--target={leader}", *inside, "--", "/usr/bin/env", "-i", *_ENVIRONMENT, *argv,
            seconds=timeout, check=check, stdin=stdin,
        )  # fmt: skip

    def ssh(self, *argv: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command line by ssh as root, with the pinned host key."""
        return run_local(*self._build_ssh(), *argv, seconds=timeout, check=check)

    def boot(self) -> None:
        """Switch on, and wait until sshd answers with its key. Nothing is done when it is on."""
        if not self.is_on:
            self._carrier.cut()  # what is left of a carrier that died
            self._carrier.start(self._layers, self.name, self._bridge)
        self._wait_for_sshd(before=None)

    def reboot(self) -> None:
        """Have it boot again in good order, and wait until sshd answers."""
        before = self._carrier.find_leader()
        self.run("systemctl", "reboot", check=False)
        self._wait_for_sshd(before=before)

    def power_off(self) -> None:
        """Switch off in good order; its disk stays."""
        self._carrier.stop()

    def kill(self) -> None:
        """Take its power away. What it wrote to files is there after the next boot: the page cache is the machine's."""
        self._carrier.cut()

    def fingerprint_of_state(self) -> Mapping[str, tuple[str, ...]]:
        """Return what is on the host now, to compare before with after."""
        leader = self._carrier.find_leader()
        if leader is None:
            raise RigFailure(f"{self.name} is off")
        lower = (self._layers.settings, self._layers.debian)
        return observe_state(self.run, self.folder, lower, leader=leader, processes=self._carrier.list_processes())

    def _build_ssh(self) -> tuple[str, ...]:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "3",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self.folder / "known_hosts"),
        }
        key = self.folder.parent.parent / "login_key"
        arguments = (argument for name, value in options.items() for argument in ("-o", f"{name}={value}"))
        return ("ssh", "-q", "-F", "none", *arguments, "-i", str(key), f"root@{self.address}")

    def _wait_for_sshd(self, *, before: int | None) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            leader = self._carrier.find_leader()
            if leader not in (None, before) and self.ssh("true", check=False, timeout=20).returncode == 0:
                return
            if leader is None and before is None and not self._carrier.is_starting():
                raise RigFailure(f"{self.name} did not start:\n{self._carrier.read_console()}")
            time.sleep(0.1)
        raise RigFailure(
            f"{self.name} ({self.address}): no sshd after {BOOT_SECONDS:g} s:\n{self._carrier.read_console()}"
        )
