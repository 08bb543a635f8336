"""What can be wrong with a machine before a cluster gets it: each must be told, and pass when the machine is mended."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.e2e.hosts.rig import RigHost

from . import breaking
from .scenario import FaultFailed, ProbeFault

Json = dict[str, Any]
DAY: Final = 86_400
BEFORE_WE_COME: Final = "/root/.bashrc"
STRANGE_OWNER: Final = {"clusterID": "c0ffee00c0ffee00", "role": "Worker", "fleet": "elsewhere", "cluster": "shop--a"}
NASTY: Final = "\x1b[2J\x1b]0;owned\x07\x1b[31mDebian\x1b[0m \u202e12"


def leave_rubbish(host: RigHost) -> None:
    """Leave what another cluster leaves that nobody has cleaned."""
    breaking.write(host, "/etc/kubernetes/kubelet.conf", "apiVersion: v1\n")
    breaking.write(host, "/var/lib/etcd/member/snap/db", "\0" * 4096)
    breaking.write(host, "/etc/cni/net.d/10-flannel.conflist", "{}\n")
    host.run("ip", "link", "add", "cni0", "type", "bridge")


def clear_rubbish(host: RigHost) -> None:
    """Do what the message says."""
    breaking.remove(host, "/etc/kubernetes/kubelet.conf", "/var/lib/etcd/member", "/etc/cni/net.d/10-flannel.conflist")
    host.run("ip", "link", "delete", "cni0")


def look_at_logins(host: RigHost, body: Json) -> None:
    """Nobody has tried to log in, but somebody has come."""
    tried = breaking.read_logins(host)
    if tried:
        raise FaultFailed(f"somebody tried to log in to a host with another key: {tried[:3]}")
    if breaking.count_connections(host) == 0:
        raise FaultFailed("nobody has come: this proves nothing")
    fingerprint = host.run("ssh-keygen", "-l", "-f", "/etc/ssh/ssh_host_ed25519_key.pub").stdout.split()[1]
    if body["status"].get("hostKeyFingerprint") != fingerprint:
        raise FaultFailed(f"status.hostKeyFingerprint is not the key that answered, {fingerprint}")


def look_at_logins_again(host: RigHost, body: Json) -> None:
    """Now somebody has logged in, and that log shows it."""
    del body
    if not breaking.read_logins(host):
        raise FaultFailed("sshd's log shows no login where there was one: it proves nothing")
    breaking.quieten_sshd(host)


def paint(host: RigHost) -> None:
    """Put escape sequences, a reversed line and line breaks where a probe reads, and where every login prints."""
    # A link leads to the file that comes with the system, which is to stay.
    breaking.remove(host, "/etc/os-release")
    breaking.write(host, "/etc/os-release", f"PRETTY_NAME='{NASTY}'\nID=debian\n")
    breaking.write(host, BEFORE_WE_COME, f"printf '%s' '{NASTY}'\nprintf '%s' '{NASTY}' >&2\n")


def unpaint(host: RigHost) -> None:
    """Undo `paint`."""
    host.run("sh", "-c", "rm -f /etc/os-release && ln -s ../usr/lib/os-release /etc/os-release")
    breaking.remove(host, BEFORE_WE_COME)


def look_for_escapes(host: RigHost, body: Json) -> None:
    """Nothing of it has come through."""
    del host
    text = json.dumps(body, ensure_ascii=False).replace("\\n", "\n")
    bad = sorted({character for character in text if not character.isprintable() and character != "\n"})
    if bad or "\\u00" in text:
        raise FaultFailed(f"control characters in the Host: {bad}")
    if "Debian" not in body["status"]["facts"]["os"]:
        raise FaultFailed(f"the name is gone: {body['status']['facts']['os']!r}")


PROBE_FAULTS: Final[tuple[ProbeFault, ...]] = (
    ProbeFault(
        name="clock-off",
        broken="the clock is one day ahead",
        undone="the clock is set",
        strike=lambda host: breaking.turn_clock(host, DAY),
        heal=lambda host: breaking.remove(host, "/usr/local/bin/date"),
        state="Quarantined",
        reason="ClockOff",
        says="hours ahead of ours",
    ),
    ProbeFault(
        name="port-taken",
        broken="something listens on port 6443",
        undone="it is stopped",
        strike=lambda host: breaking.listen(host, 6443),
        heal=lambda host: breaking.stop_listening(host, 6443),
        state="Quarantined",
        reason="PortTaken",
        says="6443",
    ),
    ProbeFault(
        name="leftovers",
        broken="files, a bridge and a pod network of another cluster are left",
        undone="they are removed",
        strike=leave_rubbish,
        heal=clear_rubbish,
        state="Quarantined",
        reason="Leftovers",
        says="/etc/kubernetes/kubelet.conf",
    ),
    ProbeFault(
        name="strange-journal",
        broken="the journal of a cluster of another fleet is there",
        undone="it is removed",
        strike=lambda host: breaking.write(host, "/var/lib/atoll/owner.json", json.dumps(STRANGE_OWNER)),
        heal=lambda host: breaking.remove(host, "/var/lib/atoll"),
        state="Quarantined",
        reason="OwnedByAnotherFleet",
        says="elsewhere/shop--a",
    ),
    ProbeFault(
        name="package-lock",
        broken="a package manager is at work",
        undone="it has finished",
        strike=breaking.hold_package_lock,
        heal=breaking.release_package_lock,
        state="Quarantined",
        reason="PackageLockHeld",
        says="/var/lib/dpkg/lock-frontend",
    ),
    ProbeFault(
        name="disk-full",
        broken="16 MB are free below /var/lib",
        undone="the disk is emptied",
        strike=lambda host: breaking.fill(host, "/var/lib"),
        heal=lambda host: breaking.make_room(host, "/var/lib"),
        state="Quarantined",
        reason="DiskFull",
        says="MB are free below /var/lib",
    ),
    ProbeFault(
        name="wrong-key",
        broken="the pool's login key is not let in",
        undone="it is added to authorized_keys",
        strike=breaking.take_login_away,
        heal=breaking.give_login_back,
        state="Quarantined",
        reason="LoginRefused",
        says="does not let user root in",
    ),
    ProbeFault(
        name="changed-key",
        broken="the host key is another than the pinned one",
        undone="the true key is put back",
        strike=breaking.change_host_key,
        heal=breaking.restore_host_key,
        state="Quarantined",
        reason="HostKeyMismatch",
        says="No login was tried",
        look=look_at_logins,
        look_after=look_at_logins_again,
    ),
    ProbeFault(
        name="escapes",
        broken="terminal escapes and direction marks in what the host prints",
        undone="(nothing: it is harmless)",
        strike=paint,
        heal=unpaint,
        state="Available",
        reason="Available",
        says="",
        look=look_for_escapes,
    ),
    ProbeFault(
        name="gigabyte-login",
        broken="each login prints 1 GB before it comes to us",
        undone="it is silent again",
        strike=lambda host: breaking.write(host, BEFORE_WE_COME, "head -c 1G /dev/zero | tr '\\0' x\n"),
        heal=lambda host: breaking.remove(host, BEFORE_WE_COME),
        state="Probing",
        reason="Unreachable",
        says="sends more than it was asked for",
    ),
)
