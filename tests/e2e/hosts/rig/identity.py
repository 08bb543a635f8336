"""What makes a host that one and no other: name, address, machine id, host key. Made once, kept over reboots.

The files go straight into the upper folder of the host's overlay while it is off, so nothing has to be mounted.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from .local import run_local
from .network import Segment

VOLUMES: Final = {
    "containerd": "/var/lib/containerd",
    "etcd": "/var/lib/etcd",
    "kubelet": "/var/lib/kubelet",
    "log": "/var/log",
}
"""Folders of a host that lie on the machine's own file system: containerd cannot stack an overlay on an overlay."""
_NETWORK: Final = """\
[Match]
Name=host0
[Network]
Address={address}
Gateway={gateway}
IPForward=yes
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a host is known by."""

    name: str
    address: str
    machine_id: str
    host_key: str
    """`ssh-ed25519 AAAA…`, as a HostPool pins it."""


def read_identity(folder: Path) -> Identity | None:
    """Read who lives in a host's folder; None when it was never finished."""
    path = folder / "identity.json"
    return Identity(**json.loads(path.read_text())) if path.exists() else None


def make_identity(
    folder: Path, name: str, address: IPv4Address, segment: Segment, *, debian: Path, login_user: str, public_key: str
) -> Identity:
    """Make the folder of a new host."""
    if folder.exists():
        shutil.rmtree(folder)
    for part in ("upper", "work", "root", *(f"volumes/{volume}" for volume in VOLUMES)):
        (folder / part).mkdir(parents=True, mode=0o755)
    upper = folder / "upper"
    machine_id = uuid.uuid4().hex
    _write(upper / "etc/hostname", f"{name}\n")
    _write(upper / "etc/machine-id", f"{machine_id}\n")
    _write(upper / "etc/hosts", f"127.0.0.1 localhost\n{address} {name}\n")
    _write(upper / "etc/resolv.conf", f"nameserver {segment.gateway.ip}\n")  # nobody answers there, at once
    _write(
        upper / "etc/systemd/network/10-host0.network",
        _NETWORK.format(address=f"{address}/{segment.subnet.prefixlen}", gateway=segment.gateway.ip),
    )
    _allow_login(upper, "root", debian, public_key)
    _allow_login(upper, login_user, debian, public_key)
    host_key = _make_host_key(upper / "etc/ssh/ssh_host_ed25519_key", name)
    _write(folder / "known_hosts", f"{address} {host_key}\n")
    identity = Identity(name=name, address=str(address), machine_id=machine_id, host_key=host_key)
    _write(folder / "identity.json", json.dumps(asdict(identity), indent=2))  # last: now it is finished
    return identity


def make_login_key(folder: Path) -> Path:
    """Make the key pair that opens every host of a rig, unless it is there; returns the private half's path."""
    key = folder / "login_key"
    if not key.exists():
        folder.mkdir(parents=True, exist_ok=True)
        run_local("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "atoll-rig", "-f", key)
    return key


def _make_host_key(path: Path, name: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    run_local("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path)
    kind, key, *_ = path.with_suffix(".pub").read_text().split()
    return f"{kind} {key}"


def _allow_login(upper: Path, user: str, debian: Path, public_key: str) -> None:
    entries = (line.split(":") for line in (debian / "etc/passwd").read_text().splitlines())
    uid, gid, home = next((int(entry[2]), int(entry[3]), entry[5]) for entry in entries if entry[0] == user)
    folder = upper / home.lstrip("/") / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    keys = folder / "authorized_keys"
    _write(keys, public_key)
    for path, mode in ((folder.parent, 0o700), (folder, 0o700), (keys, 0o600)):
        path.chmod(mode)
        os.chown(path, uid, gid)


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
