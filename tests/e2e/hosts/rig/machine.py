"""What the machine must have before it can carry hosts, and how it gets what it lacks."""

from __future__ import annotations

import os
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from .failure import RigFailure
from .local import run_local

PACKAGE_OF: Final = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
"""The Debian package that each program comes from."""

MIRROR: Final = "http://deb.debian.org/debian"
SUITE: Final = "bookworm"
INOTIFY_AT_LEAST: Final = {"max_user_instances": 8192, "max_user_watches": 524288}
"""systemd, containerd and kubelet of every host share the limits of one user of this machine: root."""
_INOTIFY: Final = Path("/proc/sys/fs/inotify")


def find_reason_to_skip(*, rootfs_is_there: bool) -> str:
    """Say why this machine can carry no hosts at all; empty when it can, so that any trouble after it is a failure."""
    if not sys.platform.startswith("linux"):
        return "throw-away hosts need Linux"
    if os.geteuid() != 0:
        return "throw-away hosts need root (systemd-nspawn, cgroups, a bridge)"
    lacking = find_lacking_programs()
    if lacking and shutil.which("apt-get") is None:
        return f"this machine has no {', '.join(lacking)}, and no apt-get to get them with"
    if (lacking or not rootfs_is_there) and not _is_mirror_within_reach():
        return f"no Debian packages within reach ({MIRROR}), and what was got before does not suffice"
    return ""


def find_lacking_programs() -> tuple[str, ...]:
    """List the programs that are not installed."""
    return tuple(program for program in PACKAGE_OF if shutil.which(program) is None)


def prepare_machine() -> None:
    """Install what is lacking."""
    if os.geteuid() != 0:
        raise RigFailure("throw-away hosts need root: run this as root")
    packages = sorted({PACKAGE_OF[program] for program in find_lacking_programs()})
    if not packages:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run_local("apt-get", "update", "-qq", seconds=300)
    run_local("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages, seconds=600, env=environment)
    if lacking := find_lacking_programs():
        raise RigFailure(f"still not there after apt-get install {' '.join(packages)}: {', '.join(lacking)}")


def raise_inotify_limits() -> dict[str, int]:
    """Raise the limits that many systemds on one kernel need; returns what they were where they were changed."""
    changed = {}
    for name, wanted in INOTIFY_AT_LEAST.items():
        was = int((_INOTIFY / name).read_text())
        if was < wanted:
            (_INOTIFY / name).write_text(str(wanted))
            changed[name] = was
    return changed


def restore_inotify_limits(changed: dict[str, int]) -> None:
    """Put limits back that we raised, unless somebody has changed them since."""
    for name, was in changed.items():
        if int((_INOTIFY / name).read_text()) == INOTIFY_AT_LEAST[name]:
            (_INOTIFY / name).write_text(str(was))


def _is_mirror_within_reach() -> bool:
    try:
        with urllib.request.urlopen(f"{MIRROR}/dists/{SUITE}/Release", timeout=10):
            return True
    except (OSError, urllib.error.URLError):
        return False
