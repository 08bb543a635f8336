"""What runs on a machine and what could: container runtime, ports, locks of package managers, programs."""

from __future__ import annotations

import re
from typing import Final

from .sections import Section

CNI_FOLDER: Final = "/opt/cni/bin"
CNI_PLUGINS: Final = ("bridge", "host-local", "loopback", "portmap")
PROGRAMS: Final = (
    *("systemctl", "systemd-run", "flock", "timeout", "tail", "stat", "find", "sha256sum", "cmp", "sync"),
    *("ip", "mount", "umount", "conntrack", "ctr"),
)
"""Those that jobs and copies are made with, and those that kubeadm and our cleaning need."""
PACKAGE_LOCKS: Final = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
    "/var/lib/rpm/.rpm.lock",
    "/usr/lib/sysimage/rpm/.rpm.lock",
    "/run/zypp.pid",
)


def parse_runtime(text: str) -> str:
    """Read `ctr version`: `containerd <version>`, or nothing when the server does not answer."""
    match = re.search(r"^Server:\n\s+Version:\s+(\S+)", text, re.MULTILINE)
    return f"containerd {match.group(1).removeprefix('v')}" if match else ""


def parse_ports(text: str) -> tuple[int, ...]:
    """Read the lines of /proc/net/tcp and tcp6 that listen."""
    ports = set()
    for line in text.splitlines():
        words = line.split()
        if words[3] == "0A":
            ports.add(int(words[1].rpartition(":")[2], 16))
    return tuple(sorted(ports))


def parse_locks(text: str) -> tuple[str, ...]:
    """Read which of the locks somebody holds: lines `file <device> <inode> <path>`, then /proc/locks.

    Looking at the kernel's table takes no lock, so no package manager fails because we looked.
    """
    files: dict[tuple[int, int, int], str] = {}
    held: set[str] = set()
    for line in text.splitlines():
        words = line.split()
        if words[0] == "file":
            device = int(words[1])
            files[_major(device), _minor(device), int(words[2])] = words[3]
        elif "->" not in words:
            # "1: POSIX  ADVISORY  WRITE 4711 fe:00:262155 0 EOF"; lines with an arrow are those who wait.
            major, minor, inode = words[5].split(":")
            path = files.get((int(major, 16), int(minor, 16), int(inode)))
            if path:
                held.add(path)
    return tuple(path for path in files.values() if path in held)


def parse_lacking(text: str) -> tuple[str, ...]:
    """Read the names of what is not there."""
    return tuple(text.split("\n")) if text else ()


def _major(device: int) -> int:
    return (device >> 8) & 0xFFF | (device >> 32) & ~0xFFF


def _minor(device: int) -> int:
    return device & 0xFF | (device >> 12) & ~0xFF & 0xFFFFFFFF


RUNTIME: Final = Section(
    name="runtime",
    script="timeout 5 ctr --address /run/containerd/containerd.sock version",
    parse=parse_runtime,
)
PORTS: Final = Section(name="ports", script="grep -h ' 0A ' /proc/net/tcp /proc/net/tcp6", parse=parse_ports)
LOCKS: Final = Section(
    name="locks", script=f"stat -c 'file %d %i %n' {' '.join(PACKAGE_LOCKS)}; cat /proc/locks", parse=parse_locks
)
LACKING: Final = Section(
    name="lacking",
    script=(
        f'for program in {" ".join(PROGRAMS)}; do command -v "$program" >/dev/null || echo "$program"; done\n'
        "command -v nft >/dev/null || command -v iptables >/dev/null || echo 'nft or iptables'\n"
        f"for plugin in {' '.join(CNI_PLUGINS)}; do\n"
        f'  [ -x "{CNI_FOLDER}/$plugin" ] || echo "{CNI_FOLDER}/$plugin"\n'
        "done"
    ),
    parse=parse_lacking,
)
