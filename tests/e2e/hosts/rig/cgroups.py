"""Control groups of our own: one child per hierarchy, below the group that this process is in.

Where v2 is all there is, systemd gives each host a scope. No other group is moved, frozen, converted or removed. Who is
in one of our groups was started by us, which makes them the one reliable list of a host's processes: ending
systemd-nspawn alone leaves the whole host running.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .failure import RigFailure

PROCESSES = "cgroup.procs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """One mounted tree of control groups."""

    controllers: frozenset[str]
    """`cpu`, `name=systemd`, …; empty for the unified one (v2)."""
    root: str
    """Which group of the tree the mount point shows."""
    mount: Path


def parse_hierarchies(mountinfo: str) -> tuple[Hierarchy, ...]:
    """Read the mounted trees out of /proc/<pid>/mountinfo."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, mount = before.split()[3:5]
        kind, _, options = after.split(maxsplit=2)
        if kind == "cgroup2":
            found.append(Hierarchy(controllers=frozenset(), root=root, mount=Path(mount)))
        elif kind == "cgroup":
            found.append(Hierarchy(controllers=frozenset(options.split(",")), root=root, mount=Path(mount)))
    return tuple(found)


def choose_groups(cgroup: str, mountinfo: str, name: str) -> tuple[Path, ...]:
    """Choose where our groups go, one per line of /proc/<pid>/cgroup."""
    hierarchies = parse_hierarchies(mountinfo)
    chosen = []
    for line in cgroup.splitlines():
        _, listed, path = line.split(":", 2)
        wanted = frozenset(listed.split(",")) if listed else frozenset()
        for hierarchy in hierarchies:
            if wanted <= hierarchy.controllers if wanted else not hierarchy.controllers:
                below = os.path.relpath(path, hierarchy.root)
                if not below.startswith(".."):
                    chosen.append(hierarchy.mount / below / name)
                    break
    return tuple(chosen)


def find_groups(name: str) -> tuple[Path, ...]:
    """Choose where groups called `name` go on this machine."""
    own = Path("/proc/self")
    return choose_groups((own / "cgroup").read_text(), (own / "mountinfo").read_text(), name)


def is_unified_only(groups: Iterable[Path]) -> bool:
    """Say whether this machine has v2 alone."""
    return all((group.parent / "cgroup.controllers").exists() for group in groups)


def make_groups(groups: Iterable[Path]) -> None:
    """Make groups, ready to be joined."""
    for group in groups:
        try:
            group.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if (group / setting).exists() and not (group / "cgroup.controllers").exists():
                    (group / setting).write_text((group.parent / setting).read_text())
        except OSError as error:
            raise RigFailure(f"the control group {group} cannot be made: {error.strerror}") from error


def build_scope(group: Path) -> tuple[tuple[str, ...], Path]:
    """Build the command prefix that gives a host its group where there is v2 alone, and name that group.

    A v2 group gets no controllers below one that holds processes, such as the one that we are in; only the machine's
    systemd can give us another. Written from its manual: no machine with v2 alone was at hand when this was made.
    """
    if not Path("/run/systemd/system").is_dir():
        raise RigFailure(
            "this machine has control groups v2 alone, and no systemd that could give each host one with controllers. "
            "Run the hosts on a machine with systemd, or with v1 mounted."
        )
    command = (
        "systemd-run",
        "--scope",
        "--quiet",
        "--collect",
        f"--unit={group.name}",
        "--property=Delegate=yes",
        "--",
    )
    mount = next(folder for folder in group.parents if not (folder.parent / "cgroup.controllers").exists())
    return command, mount / "system.slice" / f"{group.name}.scope"


def list_processes(groups: Iterable[Path]) -> frozenset[int]:
    """List the processes in groups and in all groups below them."""
    found: set[int] = set()
    for group in groups:
        for folder, _, files in os.walk(group):  # passes over what goes away while it walks
            if PROCESSES not in files:
                continue
            try:
                found.update(int(line) for line in Path(folder, PROCESSES).read_text().split())
            except OSError:  # the group went away while we looked
                continue
    return frozenset(found - {0})


def kill_processes(groups: Iterable[Path], *, seconds: float = 20) -> None:
    """End everything in groups, and wait until they are empty."""
    groups = tuple(groups)
    deadline = time.monotonic() + seconds
    while processes := list_processes(groups):
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise RigFailure(f"processes {sorted(processes)} in {groups[0]} do not end")
        time.sleep(0.05)


def remove_groups(groups: Iterable[Path], *, seconds: float = 10) -> None:
    """Remove empty groups with all below them. A zombie holds its group until its parent has asked for it."""
    deadline = time.monotonic() + seconds
    for group in groups:
        while group.is_dir():
            _remove_tree(group)
            if not group.is_dir():
                break
            if time.monotonic() > deadline:
                raise RigFailure(f"the control group {group} cannot be removed")
            time.sleep(0.1)


def _remove_tree(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            continue
