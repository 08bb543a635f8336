"""What a machine is: system, processors, memory, disks, clock, identity."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .sections import Section

_ARCHITECTURES: Final[Mapping[str, str]] = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
"""By what the kernel calls them; Kubernetes has names of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Operating system."""

    name: str
    """For people: `Debian GNU/Linux 12 (bookworm)`."""
    id: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """In bytes."""

    total: int
    available: int
    swap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Free bytes."""

    root: int
    var_lib: int


def parse_system(text: str) -> System:
    """Read os-release."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = " ".join(shlex.split(value))
    name = values.get("PRETTY_NAME") or values.get("NAME", "")
    return System(name=name, id=values.get("ID", ""), version=values.get("VERSION_ID", ""))


def parse_kernel(text: str) -> tuple[str, str]:
    """Read `uname -rm`: release, and architecture as Kubernetes names it."""
    release, machine = text.split()
    return release, _ARCHITECTURES.get(machine, machine)


def parse_memory(text: str) -> Memory:
    """Read meminfo, which says kB and means KiB."""
    sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in text.splitlines())}
    return Memory(total=sizes["MemTotal"], available=sizes["MemAvailable"], swap=sizes["SwapTotal"])


def parse_disk(text: str) -> Disk:
    """Read `df -PB1 / /var/lib`."""
    free = [int(line.rsplit(None, 5)[3]) for line in text.splitlines()[1:]]
    return Disk(root=free[0], var_lib=free[1])


def parse_cgroup(text: str) -> int:
    """Read the type of the file system at /sys/fs/cgroup."""
    if text in ("cgroup2fs", "tmpfs"):
        return 2 if text == "cgroup2fs" else 1
    raise ValueError("no control groups")


def parse_identity(text: str) -> tuple[str, str]:
    """Read machine id (may be empty) and boot id."""
    machine, boot = text.split("\n")
    if not boot.startswith("boot="):
        raise ValueError("no boot id")
    return machine.removeprefix("machine="), boot.removeprefix("boot=")


CLOCK: Final = Section(name="clock", script="date -u +%s.%N", parse=float)
SYSTEM: Final = Section(name="system", script="cat /etc/os-release || cat /usr/lib/os-release", parse=parse_system)
KERNEL: Final = Section(name="kernel", script="uname -rm", parse=parse_kernel)
CPUS: Final = Section(name="cpus", script="nproc", parse=int)
MEMORY: Final = Section(
    name="memory", script="grep -E '^(MemTotal|MemAvailable|SwapTotal):' /proc/meminfo", parse=parse_memory
)
DISK: Final = Section(name="disk", script="df -PB1 / /var/lib", parse=parse_disk)
CGROUP: Final = Section(name="cgroup", script="stat -f -c %T /sys/fs/cgroup", parse=parse_cgroup)
IDENTITY: Final = Section(
    name="identity",
    script='echo "machine=$(cat /etc/machine-id)"; echo "boot=$(cat /proc/sys/kernel/random/boot_id)"',
    parse=parse_identity,
)
IMAGE_VERSION: Final = Section(name="image-version", script="head -c 200 /etc/atoll-image-version", parse=str)
