"""What is on a host at one moment, as lists of lines to compare: what a cluster left behind shows as a difference.

Left out is what comes and goes by itself: logs, temporary files, sessions of people and of Atoll over ssh, and services
that the message bus starts for a moment. A file counts only where it differs from the shared root.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Final

_PASSING_FILES: Final = re.compile(
    r"(tmp|var/tmp|var/log|run|var/lib/systemd|var/lib/private|var/cache)(/|$)|root/\.(bash_history|lesshst)$"
)
_SSHD: Final = "sshd: /usr/sbin/sshd -D [listener]"
_PASSING_PROCESSES: Final = re.compile(
    r"sshd: .*|\(sd-.*|-bash|/lib/systemd/systemd --user|/lib/systemd/systemd-(hostnamed|timedated|localed)"
)
_PASSING_MOUNTS: Final = re.compile(r"/run/(credentials|user)/.*")
_PASSING_GROUPS: Final = re.compile(r".*\.(service|slice|scope|mount|socket|swap|target)$|supervisor$|payload$")
_LINK_LOCAL: Final = re.compile(r"\bfe80:|\bff00::/8")
_HASHED_BYTES: Final = 4 * 1024 * 1024
_NAMESPACES: Final = "k8s.io"


def observe_state(
    run: Callable[..., CompletedProcess[str]],
    folder: Path,
    lower: Iterable[Path],
    *,
    leader: int,
    processes: Iterable[int],
) -> Mapping[str, tuple[str, ...]]:
    """Look at everything a cluster could leave: `run` runs a program on the host."""
    lower = tuple(lower)

    def lines(*argv: str) -> tuple[str, ...]:
        done = run(*argv, check=False)
        return tuple(sorted(line.strip() for line in done.stdout.splitlines() if line.strip()))

    volumes = folder / "volumes"
    return {
        "processes": list_commands(leader, processes),
        "mounts": parse_mounts(Path(f"/proc/{leader}/mountinfo").read_text()),
        "nft": tuple(run("nft", "--stateless", "list", "ruleset", check=False).stdout.splitlines()),
        "routes": parse_routes(lines("ip", "route", "show", "table", "all")),
        "rules": lines("ip", "rule", "show"),
        "links": tuple(parse_link(line) for line in lines("ip", "-brief", "address", "show")),
        "network namespaces": lines("ip", "netns", "list"),
        "listening": tuple(_strip_queue(line) for line in lines("ss", "-H", "-ltunp")),
        "failed units": lines("systemctl", "list-units", "--failed", "--plain", "--no-legend"),
        "transient units": lines("ls", "-A", "/run/systemd/transient"),
        "control groups": list_groups(Path(f"/proc/{leader}/root/sys/fs/cgroup")),
        "files": list_files(folder / "upper", lower),
        "files of kubelet": list_files(volumes / "kubelet", ()),
        "files of etcd": list_files(volumes / "etcd", ()),
        "images": lines("ctr", f"--namespace={_NAMESPACES}", "images", "list", "--quiet"),
        "containers": lines("ctr", f"--namespace={_NAMESPACES}", "containers", "list", "--quiet"),
        "snapshots": tuple(
            line
            for line in lines("ctr", f"--namespace={_NAMESPACES}", "snapshots", "list")
            if not line.startswith("KEY ")
        ),
        "content": lines("ctr", f"--namespace={_NAMESPACES}", "content", "list", "--quiet"),
        "leases": lines("ctr", f"--namespace={_NAMESPACES}", "leases", "list", "--quiet"),
    }


def list_differences(
    before: Mapping[str, tuple[str, ...]], after: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """List what is new (+) and what is gone (-), by part; empty when two states are the same."""
    found = {}
    for part in before:
        new = [f"+{line}" for line in after[part] if line not in before[part]]
        gone = [f"-{line}" for line in before[part] if line not in after[part]]
        if new or gone:
            found[part] = (*new, *gone)
    return found


def list_commands(leader: int, processes: Iterable[int]) -> tuple[str, ...]:
    """List the command lines of a host's processes: the program's path, or what it calls itself."""
    namespace = os.readlink(f"/proc/{leader}/ns/pid")
    found = []
    for process in processes:
        folder = Path(f"/proc/{process}")
        try:
            title = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[0]
            inside = os.readlink(folder / "ns/pid") == namespace or _depth(folder) > 2
        except OSError:  # it has ended meanwhile
            continue
        if inside and title and not _PASSING_PROCESSES.fullmatch(title):
            found.append(title)
        elif inside and title.startswith(_SSHD):
            found.append("sshd")
    return tuple(sorted(found))


def parse_mounts(mountinfo: str) -> tuple[str, ...]:
    """List where what kind of file system is mounted."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        where = before.split()[4]
        if not _PASSING_MOUNTS.fullmatch(where):
            found.append(f"{where} {after.split()[0]}")
    return tuple(sorted(found))


def parse_routes(routes: Iterable[str]) -> tuple[str, ...]:
    """List routes, but not those of link-local addresses, which the kernel makes seconds after a link is up."""
    return tuple(re.sub(r"\s+expires \S+", "", route) for route in routes if not _LINK_LOCAL.search(route))


def parse_link(line: str) -> str:
    """Return name, state and addresses of a link, but no link-local ones and not what it is paired with."""
    words = line.split()
    return " ".join([words[0].partition("@")[0], *(word for word in words[1:] if not _LINK_LOCAL.search(word))])


def list_groups(root: Path) -> tuple[str, ...]:
    """List control groups that are not those of systemd's own units."""
    found = set()
    above = 0 if (root / "cgroup.controllers").exists() else 1  # with v1 the first folder is the controller's mount
    for folder, children, _ in os.walk(root):
        children[:] = [child for child in children if not Path(folder, child).is_symlink()]
        for child in tuple(children):
            path = Path(folder, child).relative_to(root)
            if len(path.parts) > above and not _PASSING_GROUPS.fullmatch(child):
                found.add(str(path))
    return tuple(sorted(found))


def list_files(upper: Path, lower: Iterable[Path]) -> tuple[str, ...]:
    """List files that differ from those below them, with the beginning of their digest; removed ones as such."""
    lower = tuple(lower)
    found = []
    for folder, children, files in os.walk(upper):
        for name in (*children, *files):
            path = Path(folder, name)
            relative = path.relative_to(upper)
            if _PASSING_FILES.match(str(relative)):
                continue
            described = _describe(path)
            beneath = next((_describe(layer / relative) for layer in lower if os.path.lexists(layer / relative)), "")
            if described != beneath:
                found.append(f"{relative} {described}")
    return tuple(sorted(found))


def _describe(path: Path) -> str:
    status = path.lstat()
    kind = status.st_mode
    if stat.S_ISDIR(kind):
        return "folder"  # its mode is no matter: an overlay copies folders up when something in them changes
    if stat.S_ISLNK(kind):
        return f"-> {path.readlink()}"
    if stat.S_ISCHR(kind) and status.st_rdev == 0:
        return "removed"
    if stat.S_ISREG(kind):
        text = _digest(path) if status.st_size <= _HASHED_BYTES else f"{status.st_size} bytes"
        return f"{stat.S_IMODE(kind):04o} {text}"
    return f"special {stat.S_IFMT(kind):o}"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _depth(folder: Path) -> int:
    status = (folder / "status").read_text()
    return next(len(line.split()) - 1 for line in status.splitlines() if line.startswith("NSpid:"))


def _strip_queue(line: str) -> str:
    kind, _, _, _, local, *rest = line.split()
    match = re.search(r'"([^"]+)"', " ".join(rest))
    owner = match[1] if match else "?"
    if owner == "containerd":  # its stream server listens wherever there is room
        local = f"{local.rpartition(':')[0]}:*"
    return f"{kind} {local} {owner}"
