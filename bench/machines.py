"""Throw-away hosts for a benchmark, with Debian's Python on them, because the peers need it. Several names for each."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from atoll.hosts.access import HostAccess
from tests.e2e.hosts.rig import Rig, RigHost
from tests.e2e.hosts.rig.local import run_local
from tests.e2e.hosts.rig.places import find_cache, find_home, locked
from tests.e2e.hosts.rig.rootfs import find_layers, make_layers

MACHINES: Final = 5
NAMES_EACH: Final = 4
PACKAGES: Final = ("python3",)
"""The modules of the peers need the whole standard library."""
SEGMENT: Final = 5
ROOT: Final = "/srv/bench"
_STRIDE: Final = 20
"""Between the addresses of one machine."""
_DIGEST: Final = """\
cd "$1" && { find . -mindepth 1 -printf '%P %y %m %U:%G\\n' | sort; find . -type f -exec sha256sum {} + | sort; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalHost:
    """One name and address; everybody who connects takes it for a machine of its own."""

    name: str
    address: str
    machine: RigHost

    @property
    def root(self) -> str:
        """Where the steps are taken; by name, so that names of one machine do not meet."""
        return f"{ROOT}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """The hosts of a benchmark."""

    rig: Rig
    hosts: tuple[RigHost, ...]

    def choose(self, count: int) -> tuple[LogicalHost, ...]:
        """Return so many logical hosts, spread evenly over the machines."""
        return tuple(
            LogicalHost(
                name=f"{host.name}-{number}",
                address=str(IPv4Address(host.address) + _STRIDE * number),
                machine=host,
            )
            for number in range(NAMES_EACH)
            for host in self.hosts
        )[:count]

    def access(self, host: LogicalHost) -> HostAccess:
        """Return how Atoll reaches a host."""
        return HostAccess(
            name=host.name,
            address=host.address,
            host_key=host.machine.host_key,
            private_key=self.rig.private_key,
        )

    def empty(self) -> None:
        """Remove what was done, so that the next one has all of it to do."""
        for number, host in enumerate(self.hosts):
            roots = [logical.root for logical in self.choose(MACHINES * NAMES_EACH)[number::MACHINES]]
            host.run("rm", "-rf", ROOT)
            host.run("mkdir", "-p", *roots)

    def digest(self, hosts: tuple[LogicalHost, ...]) -> str:
        """Return the digest of what all hosts have: paths, kinds, modes, owners and contents; the same on each."""
        found = {
            hashlib.sha256(host.machine.run("sh", "-c", _DIGEST, "sh", host.root).stdout.encode()).hexdigest()
            for host in hosts
        }
        if len(found) != 1:
            raise AssertionError("the hosts are not alike after the same steps")
        return found.pop()

    def count_logins(self) -> int:
        """Count the logins that the servers on all machines have logged."""
        count = 0
        for host in self.hosts:
            host.run("journalctl", "--sync")
            log = host.run("journalctl", "--unit=ssh", "--output=cat", "--no-pager").stdout
            count += sum(line.startswith("Accepted ") for line in log.splitlines())
        return count


@contextmanager
def open_machines() -> Iterator[Machines]:
    """Switch the hosts on, and remove them in the end."""
    cache = make_root_with_python()
    folder = find_home(os.environ) / "bench"
    Rig(folder, segment=SEGMENT, cache=cache).close()  # what a killed run left
    with Rig(folder, segment=SEGMENT, cache=cache) as rig:
        machines = Machines(rig=rig, hosts=rig.up(*(f"m{number}" for number in range(1, MACHINES + 1))))
        for host in machines.choose(MACHINES * NAMES_EACH)[MACHINES:]:
            host.machine.run(
                "ip", "address", "replace", f"{host.address}/{rig.segment.subnet.prefixlen}", "dev", "host0"
            )
        yield machines


def make_root_with_python() -> Path:
    """Make a cache for a rig whose root file system is that of all rigs and `PACKAGES`; returns its folder."""
    rigs = find_cache(os.environ)
    plain = make_layers(rigs).debian
    cache = rigs.parent / "bench" / f"hosts-{plain.name}-{'-'.join(PACKAGES)}"
    root = find_layers(cache).debian
    with locked(cache / ".lock"):
        if not root.is_dir():
            _install_packages(plain, root)
    return cache


def _install_packages(plain: Path, root: Path) -> None:
    fresh = root.with_name(".new")
    if fresh.exists():
        shutil.rmtree(fresh)
    # A whole copy, because a package manager writes to some of its files in place.
    run_local("cp", "--archive", "--reflink=auto", plain, fresh, seconds=300)
    if not (fresh / "etc/resolv.conf").exists():
        shutil.copy("/etc/resolv.conf", fresh / "etc/resolv.conf")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES)
    run_local("chroot", fresh, "apt-get", "update", "-qq", seconds=300, env=environment)
    run_local("nice", "chroot", fresh, *install, seconds=900, env=environment)
    run_local("chroot", fresh, "apt-get", "clean", env=environment)
    fresh.rename(root)
