"""The root file system that all hosts share, read-only, as two layers below each host's own.

`debian-<digest>` comes from debootstrap and takes a minute and a half, once. `settings-<digest>` holds our own files:
what a machine that somebody prepared for Kubernetes has, without anything of kubeadm or the kubelet. The digests are
those of the recipes, so a change here never meets hosts that run on the old layers.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .local import run_local
from .machine import MIRROR, SUITE, prepare_machine
from .places import locked

PACKAGES: Final = (
    "ca-certificates", "conntrack", "containerd", "containernetworking-plugins", "curl", "dbus", "ebtables", "ethtool",
    "iproute2", "iptables", "iputils-ping", "kmod", "nftables", "openssh-server", "procps", "runc", "socat", "sudo",
    "systemd", "systemd-sysv",
)  # fmt: skip
LOGIN_USER: Final = "deploy"
"""Beside root: may do everything by sudo without a password, logs in with the same key."""
IMAGE_VERSION: Final = "2026.11.1"

_CONTAINERD: Final = """\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.6"  # what this containerd ships with: who brings a cluster says its own
  disable_apparmor = true
  restrict_oom_score_adj = true  # where CAP_SYS_RESOURCE is withheld no negative oom_score_adj can be written
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
"""
_EARLY: Final = """\
#!/bin/sh
# systemd-nspawn mounts v1 controllers read-only; in the host's own cgroup namespace they may be made writable.
for m in cpu cpuacct cpuset memory devices freezer blkio pids; do
  [ ! -d "/sys/fs/cgroup/$m" ] || mount -o remount,bind,rw,nosuid,nodev,noexec "/sys/fs/cgroup/$m"
done
# The kubelet insists on these values; /proc/sys is the machine's and read-only here: show files that hold them.
mount --bind /usr/lib/atoll-rig/overcommit_memory /proc/sys/vm/overcommit_memory
mount --bind /usr/lib/atoll-rig/panic /proc/sys/kernel/panic
mount --bind /usr/lib/atoll-rig/panic_on_oops /proc/sys/kernel/panic_on_oops
mount --make-rshared /
"""
_EARLY_UNIT: Final = """\
[Unit]
Description=What a real machine has and a container lacks
DefaultDependencies=no
Before=sysinit.target containerd.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/atoll-rig/early.sh
[Install]
WantedBy=sysinit.target
"""
_FILES: Final = {
    "etc/atoll-image-version": (0o644, f"{IMAGE_VERSION}\n"),
    "etc/containerd/config.toml": (0o644, _CONTAINERD),
    "etc/sudoers.d/deploy": (0o440, f"{LOGIN_USER} ALL=(ALL) NOPASSWD: ALL\n"),
    "etc/systemd/system/atoll-rig-early.service": (0o644, _EARLY_UNIT),
    "usr/lib/atoll-rig/early.sh": (0o755, _EARLY),
    "usr/lib/atoll-rig/overcommit_memory": (0o644, "1"),
    "usr/lib/atoll-rig/panic": (0o644, "10"),
    "usr/lib/atoll-rig/panic_on_oops": (0o644, "1"),
}
_UNITS: Final = "etc/systemd/system"
_LINKS: Final = {
    "opt/cni/bin": "/usr/lib/cni",
    f"{_UNITS}/sysinit.target.wants/atoll-rig-early.service": "../atoll-rig-early.service",
    **{
        f"{_UNITS}/multi-user.target.wants/{unit}": f"/lib/systemd/system/{unit}"
        for unit in ("containerd.service", "ssh.service", "systemd-networkd.service")
    },
    **{
        f"{_UNITS}/{unit}": "/dev/null"
        for unit in (
            "apt-daily-upgrade.timer",
            "apt-daily.timer",
            "console-getty.service",
            "dpkg-db-backup.timer",
            "e2scrub_all.timer",
            "fstrim.timer",
            "getty.target",
            "systemd-networkd-wait-online.service",
            "systemd-resolved.service",
        )
    },
}
"""Units that are on, and units that are off because they have nothing to do here or work at hours of their own."""
_FOLDERS: Final = ("etc/cni/net.d", "usr/lib/modules")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """The lower folders of a host's overlay, uppermost first."""

    settings: Path
    debian: Path


def find_layers(cache: Path) -> Layers:
    """Name the layers; they need not be there yet."""
    return Layers(
        settings=cache / f"settings-{_digest(_FILES, _LINKS, _FOLDERS)}",
        debian=cache / f"debian-{_digest(SUITE, PACKAGES, LOGIN_USER)}",
    )


def make_layers(cache: Path) -> Layers:
    """Make the layers that are not there yet."""
    layers = find_layers(cache)
    with locked(cache / ".locks" / "rootfs"):
        if not layers.debian.is_dir():
            prepare_machine()
            _make_debian(layers.debian)
        if not layers.settings.is_dir():
            _make_settings(layers.settings)
    return layers


def _make_debian(root: Path) -> None:
    fresh = _empty(root)
    packages = ",".join(PACKAGES)
    run_local(
        "nice", "debootstrap", "--variant=minbase", f"--include={packages}", SUITE, fresh, MIRROR, seconds=1800
    )  # fmt: skip
    run_local("chroot", fresh, "useradd", "--create-home", "--shell", "/bin/bash", LOGIN_USER)
    # No two hosts may share an identity: keys and machine ids are made for each.
    for path in (*(fresh / "etc/ssh").glob("ssh_host_*"), fresh / "etc/machine-id", fresh / "etc/hostname"):
        path.unlink(missing_ok=True)
    for path in (*(fresh / "var/cache/apt/archives").glob("*.deb"), *(fresh / "var/lib/apt/lists").glob("*_*")):
        path.unlink()
    fresh.rename(root)


def _make_settings(root: Path) -> None:
    fresh = _empty(root)
    for name, (mode, content) in _FILES.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
    for name, target in _LINKS.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    for name in _FOLDERS:
        (fresh / name).mkdir(parents=True, exist_ok=True)
    fresh.rename(root)


def _empty(root: Path) -> Path:
    """Return an empty folder beside `root`; what an earlier attempt left is removed."""
    fresh = root.with_name(f".{root.name}.new")
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(parents=True, mode=0o755)
    return fresh


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
