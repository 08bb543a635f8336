"""What can happen to a cluster while it is made or changed, and which of it goes into one cluster's life."""

from __future__ import annotations

import json
import time
from typing import Final

from . import breaking
from .scenario import ClusterFault, FaultFailed, Story
from .scene import STATE_SECONDS, Scene, is_running

THREE_MINUTES: Final = 180.0
STATUS_CHARACTERS: Final = 1024
MEMORY_BYTES: Final = 150_000_000
"""What the operator may grow by while a host sends whatever it likes."""
BUNDLE: Final = "/var/lib/atoll/bundle"
NOISE: Final = (
    'case "$1" in init) head -c 1G /dev/zero | tr "\\0" x; '
    "printf '\\033[2J\\033]0;owned\\007\\033[31mno control plane today\\033[0m' >&2; exit 1 ;; esac\n"
)


def cut_alive(scene: Scene) -> None:
    """Cut the connection while init runs on, until that has finished by itself."""
    host = scene.first
    scene.wait_job(host, "init", after=1.0)
    breaking.pull_cable(host)
    try:
        scene.wait_ready("Unreachable", status="Unknown", says=f"host rack--{host.name}")
        scene.until(lambda: is_running(host, "init"), lambda runs: not runs, "the end of init", STATE_SECONDS)
        calls = breaking.count_calls(host, "init ")
        if calls != 1:
            raise FaultFailed(f"kubeadm init was called {calls} times")
    finally:
        breaking.plug_in(host)


def cut_dead(scene: Scene) -> None:
    """Take the power of the control-plane host away while init runs, and give it back later."""
    host = scene.first
    scene.wait_job(host, "init", after=2.5)
    host.kill()
    try:
        scene.wait_ready("Unreachable", status="Unknown", says=f"host rack--{host.name}")
    finally:
        host.boot()


def reboot_worker(scene: Scene) -> None:
    """Have the worker boot again while it joins."""
    scene.wait_job(scene.worker, "join")
    scene.worker.reboot()


def fill_disk(scene: Scene) -> None:
    """Have the disk full where images are copied to."""
    host = scene.first
    scene.wait_step("copy programs and images")
    breaking.fill(host, BUNDLE, size="24m")
    try:
        scene.wait_ready("OperationFailed", says="No space left on device")
    finally:
        breaking.make_room(host, BUNDLE)


def take_port(scene: Scene) -> None:
    """Take port 6443 when the host has been claimed and looked at already."""
    host = scene.first
    scene.wait_step("prepare the hosts")
    breaking.listen(host, 6443)
    try:
        scene.wait_ready("OperationFailed", says="6443")
    finally:
        breaking.stop_listening(host, 6443)


def shout(scene: Scene) -> None:
    """Have kubeadm print 1 GB, and terminal escapes at the end, and fail."""
    host = scene.first
    breaking.hook_kubeadm(host, NOISE)
    try:
        before = scene.home.operator().memory_info().rss
        ready = scene.wait_ready("OperationFailed", says="no control plane today")
        grown = scene.home.operator().memory_info().rss - before
        if grown > MEMORY_BYTES:
            raise FaultFailed(f"the operator has grown by {grown} bytes")
        text = json.dumps(scene.child(), ensure_ascii=False)
        if "\\u00" in text or len(ready["message"]) > STATUS_CHARACTERS:
            raise FaultFailed(f"what a host prints has come through: {ready['message'][:200]!r}")
        kept = host.run("du", "-sb", "/var/lib/atoll/jobs").stdout.split()[0]
        if int(kept) > 10_000_000:
            raise FaultFailed(f"{kept} bytes of it are kept on the host")
    finally:
        breaking.unhook_kubeadm(host)


def drop_packets(scene: Scene) -> None:
    """Drop port 22 for three minutes, in the longest step of an upgrade."""
    host = scene.first
    scene.wait_job(host, "apply", after=3.0)
    until = time.monotonic() + THREE_MINUTES
    breaking.drop_port_22(host)
    try:
        scene.wait_ready("Unreachable", status="Unknown", says=f"host rack--{host.name}")
        while time.monotonic() < until:
            ready = scene.ready()
            if ready["status"] == "True" or ready["reason"] == "OperationFailed":
                raise FaultFailed(f"of a host that says nothing it is said: {ready}")
            time.sleep(1.0)
    finally:
        breaking.plug_in(host)


def change_key(scene: Scene) -> None:
    """Have the control-plane host show another key in the middle of an upgrade; nobody may try to log in."""
    host = scene.first
    scene.wait_step(f"swap the kubelet of {host.name}")
    breaking.change_host_key(host)
    try:
        scene.wait_ready("Unreachable", status="Unknown", says="No login was tried")
        scene.until(
            lambda: scene.host(host.name)["status"]["state"],
            lambda state: state == "Quarantined",
            "its quarantine",
            STATE_SECONDS,
        )
        tried, came = breaking.read_logins(host), breaking.count_connections(host)
        if tried:
            raise FaultFailed(f"somebody tried to log in to a host with another key: {tried[:3]}")
        if came == 0:
            raise FaultFailed("nobody has come: this proves nothing")
    finally:
        breaking.restore_host_key(host)
    scene.until(lambda: breaking.read_logins(host), bool, "a login in sshd's log", STATE_SECONDS)
    breaking.quieten_sshd(host)


def kill_in(step: str, scene: Scene) -> None:
    """Kill the operator in a step."""
    scene.wait_step(step)
    scene.kill_operator()


DISK: Final = ClusterFault(
    name="disk-full-copying",
    broken="24 MB are free where programs and images are copied to",
    when="in the step `copy programs and images`",
    meanwhile="`OperationFailed`, naming file and cause",
    undone="the disk is emptied",
    strike=fill_disk,
)
CUT_ALIVE: Final = ClusterFault(
    name="cut-init-alive",
    broken="all connections by ssh are cut, none is let in; `kubeadm init` goes on",
    when="while the unit of `init` runs",
    meanwhile="`Ready` is `Unknown`, `Unreachable`; the one init ends well",
    undone="the cable is plugged in",
    strike=cut_alive,
)
CUT_DEAD: Final = ClusterFault(
    name="cut-init-dead",
    broken="the control-plane host loses its power",
    when="while the unit of `init` runs",
    meanwhile="`Ready` is `Unknown`, `Unreachable`",
    undone="it is switched on",
    strike=cut_dead,
    inits=1,
)
REBOOT: Final = ClusterFault(
    name="reboot-join",
    broken="the worker boots again",
    when="while the unit of `join` runs",
    meanwhile="(nothing is asked)",
    undone="it comes up by itself",
    strike=reboot_worker,
)
PORT: Final = ClusterFault(
    name="port-taken-late",
    broken="something takes port 6443",
    when="in the step `prepare the hosts`, after the probe",
    meanwhile="`OperationFailed`, naming the port",
    undone="it is stopped",
    strike=take_port,
    inits=1,
)
GIGABYTE: Final = ClusterFault(
    name="gigabyte-init",
    broken="kubeadm prints 1 GB and terminal escapes, and fails",
    when="in `kubeadm init`",
    meanwhile="`OperationFailed` with its last words, no escapes, operator and journal stay small",
    undone="kubeadm is as before",
    strike=shout,
    inits=1,
)
DROP: Final = ClusterFault(
    name="port-22-dropped",
    broken="every packet to port 22 is dropped for 3 minutes",
    when="while the unit of `kubeadm upgrade apply` runs",
    meanwhile="`Ready` is `Unknown`, `Unreachable`; never failed",
    undone="it is let through",
    strike=drop_packets,
    in_upgrade=True,
)
CHANGED_KEY: Final = ClusterFault(
    name="key-changed-upgrade",
    broken="the control-plane host shows another key",
    when="in the step that swaps its kubelet",
    meanwhile="Host `Quarantined`, `HostKeyMismatch`; child `Unknown`; no authentication in sshd's log",
    undone="the true key is put back",
    strike=change_key,
    in_upgrade=True,
)

KILLED_PREPARING: Final = ClusterFault(
    name="operator-killed-preparing",
    broken="the operator is killed",
    when="in the step `prepare the hosts`",
    meanwhile="(the host works on)",
    undone="it is started",
    strike=lambda scene: kill_in("prepare the hosts", scene),
)
KILLED_WAITING: Final = ClusterFault(
    name="operator-killed-waiting",
    broken="the operator is killed",
    when="in the step `wait until the cluster is ready`",
    meanwhile="(the cluster comes up)",
    undone="it is started",
    strike=lambda scene: kill_in("wait until the cluster is ready", scene),
)

STORIES: Final[tuple[Story, ...]] = (
    Story(name="cut-and-changed", workers=0, faults=(DISK, CUT_ALIVE, DROP, CHANGED_KEY)),
    Story(name="power", workers=1, faults=(GIGABYTE, CUT_DEAD, REBOOT)),
    Story(name="port", workers=0, faults=(PORT,)),
)
SLICE: Final = Story(name="slice", workers=0, faults=(KILLED_PREPARING, CUT_ALIVE, KILLED_WAITING))
