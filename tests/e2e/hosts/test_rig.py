"""The rig itself: hosts are machines of their own, survive what machines survive, and leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from .rig import Rig, RigFailure, RigHost, list_differences
from .rig.cgroups import find_groups
from .rig.local import run_local
from .rig.network import Segment, build_segment, list_ports
from .rig.sessions import lend_rig

pytestmark = pytest.mark.e2e

COMPANIONS = {"v1.35.8": ("pause:3.10.1", "coredns:v1.13.1"), "v1.36.4": ("pause:3.10.2", "coredns:v1.14.2")}
VERSIONS = tuple(COMPANIONS)
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def hosts(rig: Rig) -> Iterator[tuple[RigHost, ...]]:
    """Two hosts for this module."""
    yield rig.up("one", "two")
    rig.down("one", "two")


def test_two_hosts_are_two_machines_that_see_each_other(hosts: tuple[RigHost, ...]) -> None:
    one, two = hosts
    for host, other in ((one, two), (two, one)):
        assert host.ssh("hostname").stdout.strip() == host.name
        assert host.run("systemctl", "is-system-running", "--wait").stdout.strip() == "running"
        host.run("ping", "-c1", "-W2", other.address)
        assert host.run("systemctl", "is-active", "containerd", "ssh").stdout.split() == ["active", "active"]
        assert host.run("cat", "/etc/atoll-image-version").stdout == "2026.11.1\n"
        assert host.run("which", "python3", "kubelet", "kubeadm", "kubectl", check=False).stdout == ""
        assert {"bridge", "host-local", "loopback", "portmap"} <= set(host.run("ls", "/opt/cni/bin").stdout.split())
    for identity in (("cat", "/etc/machine-id"), ("cat", "/etc/ssh/ssh_host_ed25519_key.pub")):
        assert one.run(*identity).stdout != two.run(*identity).stdout


def test_a_host_answers_only_under_its_pinned_key_and_to_both_logins(rig: Rig, hosts: tuple[RigHost, ...]) -> None:
    one, two = hosts
    assert one.host_key in one.run("cat", "/etc/ssh/ssh_host_ed25519_key.pub").stdout
    sudo = ssh(rig, one, one.host_key, "deploy", "sudo -n id -u")
    assert (sudo.returncode, sudo.stdout.strip()) == (0, "0")
    wrong = ssh(rig, one, two.host_key, "root", "true")
    assert wrong.returncode == 255
    assert "Host key verification failed" in wrong.stderr


def test_a_reboot_keeps_disk_and_identity(hosts: tuple[RigHost, ...]) -> None:
    host = hosts[0]
    before = identity_of(host)
    host.run("sh", "-c", "echo kept > /root/kept; echo kept > /var/lib/kubelet/kept; echo gone > /run/gone")
    host.reboot()
    assert identity_of(host) | {"boot": ""} == before | {"boot": ""}
    assert identity_of(host)["boot"] != before["boot"]
    assert host.run("cat", "/root/kept", "/var/lib/kubelet/kept").stdout == "kept\nkept\n"
    assert host.run("ls", "/run/gone", check=False).returncode != 0


def test_a_reboot_that_comes_from_inside_is_one_too(hosts: tuple[RigHost, ...]) -> None:
    host = hosts[0]
    before = identity_of(host)
    host.ssh("systemctl", "reboot", check=False)
    boot_id = ("cat", "/proc/sys/kernel/random/boot_id")
    wait_until(lambda: host.ssh(*boot_id, check=False).stdout.strip() not in ("", before["boot"]))
    assert identity_of(host)["machine"] == before["machine"]


def test_power_loss_ends_every_process_and_the_host_boots_again(rig: Rig, hosts: tuple[RigHost, ...]) -> None:
    host = hosts[1]
    before = identity_of(host)
    host.run("systemd-run", "--unit=stubborn", "sh", "-c", "trap '' TERM INT HUP; echo half > /root/half; sleep 98765")
    wait_until(lambda: host.run("cat", "/root/half", check=False).stdout != "")
    host.run("sh", "-c", "for n in 1 2 3 4 5; do ip netns add n$n; ip link add v$n type veth peer p$n netns n$n; done")
    assert list_sleepers() == 1
    host.kill()
    assert not host.is_on
    assert list_sleepers() == 0
    with pytest.raises(RigFailure, match="two is off"):
        host.run("true")

    [again] = rig.up("two")
    assert identity_of(again) | {"boot": ""} == before | {"boot": ""}
    assert again.run("cat", "/root/half").stdout == "half\n"


def test_a_host_whose_carrier_was_killed_is_found_and_brought_up_again(rig: Rig, hosts: tuple[RigHost, ...]) -> None:
    host = hosts[1]
    machine = identity_of(host)["machine"]
    for process in psutil.process_iter(["cmdline"]):
        if f"--machine={rig.segment.bridge}-two" in (process.info["cmdline"] or ()):
            process.kill()  # systemd-nspawn alone: everything inside lives on
    rig.up("two")
    assert identity_of(host)["machine"] == machine
    assert host.run("systemctl", "is-system-running", "--wait").stdout.strip() == "running"


def test_the_state_of_a_host_shows_what_was_left_on_it_and_nothing_else(hosts: tuple[RigHost, ...]) -> None:
    host = hosts[0]
    host.run("systemctl", "is-system-running", "--wait")
    before = host.fingerprint_of_state()
    host.ssh("true")
    host.run("sh", "-c", "echo noise > /tmp/noise; logger noise; ls /root > /dev/null")
    assert list_differences(before, host.fingerprint_of_state()) == {}

    leave = (
        "mkdir -p /etc/cni/net.d /mnt/left && echo '{}' > /etc/cni/net.d/10-left.conflist && echo >> /etc/hosts",
        "mount -t tmpfs left /mnt/left",
        "ip link add cni0 type bridge && ip address add 10.244.0.1/24 dev cni0 && ip link set cni0 up",
        "ip route add 10.245.0.0/24 dev host0",
        "nft add table ip left && ip netns add left",
        "systemd-run --unit=left sleep 4321",
        "mkdir /sys/fs/cgroup/memory/kubepods || mkdir /sys/fs/cgroup/kubepods",
    )
    for command in leave:
        host.run("sh", "-c", command)
    found = list_differences(before, host.fingerprint_of_state())
    assert found.pop("control groups") in (("+memory/kubepods",), ("+kubepods",))
    assert [line.split()[0] for line in found.pop("files")] == [
        "+etc/cni/net.d/10-left.conflist", "+etc/hosts", "+mnt/left", "-etc/hosts"
    ]  # fmt: skip
    assert found == {
        "links": ("+cni0 UNKNOWN 10.244.0.1/24",),
        "mounts": ("+/mnt/left tmpfs", "+/run/netns tmpfs", "+/run/netns/left nsfs", "+/run/netns/left nsfs"),
        "network namespaces": ("+left",),
        "nft": ("+table ip left {", "+}"),
        "processes": ("+/usr/bin/sleep",),
        "routes": (
            "+10.244.0.0/24 dev cni0 proto kernel scope link src 10.244.0.1",
            "+10.245.0.0/24 dev host0 scope link",
            "+broadcast 10.244.0.255 dev cni0 table local proto kernel scope link src 10.244.0.1",
            "+local 10.244.0.1 dev cni0 table local proto kernel scope host src 10.244.0.1",
        ),
        "transient units": ("+left.service",),
    }

    clean = (
        "rm /etc/cni/net.d/10-left.conflist && umount /mnt/left && rmdir /mnt/left && sed -i '$d' /etc/hosts",
        "ip link delete cni0; ip route delete 10.245.0.0/24; nft delete table ip left",
        "ip netns delete left && umount -R /run/netns",
        "systemctl stop left; rmdir /sys/fs/cgroup/memory/kubepods || rmdir /sys/fs/cgroup/kubepods",
    )
    for command in clean:
        host.run("sh", "-c", command)
    assert list_differences(before, host.fingerprint_of_state()) == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bundle_holds_what_kubeadm_names_and_its_programs_run(
    rig: Rig, hosts: tuple[RigHost, ...], version: str
) -> None:
    host, folder = hosts[0], rig.bundle_path / version
    for archive in sorted((folder / "images").glob("*.tar")):
        (host.folder / "volumes/kubelet" / archive.name).write_bytes(archive.read_bytes())
        host.run("ctr", "-n", "k8s.io", "images", "import", f"/var/lib/kubelet/{archive.name}")
        host.run("rm", f"/var/lib/kubelet/{archive.name}")
    kubeadm = folder / "bin/kubeadm"
    wanted = subprocess.run(
        [kubeadm, "config", "images", "list", f"--kubernetes-version={version}"],
        capture_output=True, text=True, check=True, env={},
    ).stdout.split()  # fmt: skip
    there = host.run("ctr", "-n", "k8s.io", "images", "list", "--quiet").stdout.split()
    assert set(wanted) <= set(there)
    tags = {tag.rpartition("/")[2].partition(":")[0]: tag for tag in wanted}

    says = {
        "etcd": ("/usr/local/bin/etcd", "--version"),
        "kube-apiserver": ("kube-apiserver", "--version"),
        "kube-controller-manager": ("kube-controller-manager", "--version"),
        "kube-proxy": ("kube-proxy", "--version"),
        "kube-scheduler": ("kube-scheduler", "--version"),
    }
    for component, argv in says.items():
        said = host.run("ctr", "-n", "k8s.io", "run", "--rm", tags[component], f"say-{component}", *argv).stdout
        expected = tags[component].rpartition(":")[2].removeprefix("v").partition("-")[0]
        assert expected in said, (component, said)
    for program in (
        ("nft", "--version"),
        ("iptables", "--version"),
        ("ip6tables-save", "--version"),
        ("conntrack", "-V"),
    ):
        host.run("ctr", "-n", "k8s.io", "run", "--rm", tags["kube-proxy"], "say-program", *program)
    for name, digits in (("kubeadm", ("version", "-o", "short")), ("kubelet", ("--version",))):
        said = subprocess.run([folder / "bin" / name, *digits], capture_output=True, text=True, check=True).stdout
        assert version in said


@pytest.mark.parametrize("version", VERSIONS)
def test_pause_and_coredns_really_start_from_their_images(hosts: tuple[RigHost, ...], version: str) -> None:
    host = hosts[0]
    tags = host.run("ctr", "-n", "k8s.io", "images", "list", "--quiet").stdout.split()
    pause, coredns = COMPANIONS[version]
    full = {short: next(tag for tag in tags if tag.endswith(f"/{short}")) for short in (pause, coredns)}
    assert host.run("ctr", "-n", "k8s.io", "run", "--rm", full[pause], "say-pause", "/pause", "-v").stdout == "pause\n"
    host.run("ctr", "-n", "k8s.io", "run", "--detach", full[pause], "pause")
    host.run("ctr", "-n", "k8s.io", "run", "--detach", "--net-host", full[coredns], "dns", "/coredns", "-dns.port=1053")
    wait_until(lambda: "*:1053" in host.run("ss", "-Hlun").stdout)
    tasks = host.run("ctr", "-n", "k8s.io", "tasks", "list").stdout
    assert {line.split()[0]: line.split()[2] for line in tasks.splitlines()[1:]} == {
        "pause": "RUNNING",
        "dns": "RUNNING",
    }
    for name in ("pause", "dns"):
        host.run("ctr", "-n", "k8s.io", "tasks", "kill", "--signal", "SIGTERM", name)
        wait_until(partial(has_ended, host, name))
        host.run("ctr", "-n", "k8s.io", "containers", "delete", name)


def test_what_a_dead_process_brought_up_is_taken_down_and_nothing_is_left(tmp_path: Path) -> None:
    with lend_rig(tmp_path) as lent:  # only to learn of a free segment
        segment = lent.segment
    before = look_at_machine(segment)
    number = segment.bridge.removeprefix("atoll-rig")
    command = [sys.executable, "-m", "tests.e2e.hosts.rig", f"--home={tmp_path}/home", f"--segment={number}"]
    subprocess.run([*command, "up", "x", "y"], cwd=ROOT, check=True, capture_output=True, timeout=120)
    during = look_at_machine(segment)
    subprocess.run([*command, "down"], cwd=ROOT, check=True, capture_output=True, timeout=120)
    assert before == {}
    assert sorted(during) == ["carriers", "groups", "links", "nspawn", "routes"]  # mounts: the host sees its own alone
    assert look_at_machine(segment) == {}
    assert list((tmp_path / "home").iterdir()) == []


def test_a_run_of_tests_that_was_killed_is_cleaned_up_by_the_next(tmp_path: Path) -> None:
    script = (
        "import os, sys, signal\nfrom pathlib import Path\nfrom tests.e2e.hosts.rig.sessions import lend_rig\n"
        "with lend_rig(Path(sys.argv[1])) as rig:\n    rig.up('z')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    died = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=False, timeout=120)
    assert died.returncode == -9
    with lend_rig(tmp_path) as rig:
        segment = rig.segment
        assert (tmp_path / f"tests-{segment.bridge.removeprefix('atoll-rig')}/hosts").exists() is False
        assert rig.list_hosts() == ()
    assert look_at_machine(segment) == {}


def test_a_bridge_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    segment = build_segment(250)
    subprocess.run(["ip", "link", "add", segment.bridge, "type", "bridge"], check=True)
    try:
        rig = Rig(tmp_path / "rig", segment=250)
        with pytest.raises(RigFailure, match="the bridge atoll-rig250 belongs to somebody else"):
            rig.up("h1")
        rig.close()
        assert look_at_machine(segment)["links"] == ["atoll-rig250"]
    finally:
        subprocess.run(["ip", "link", "delete", segment.bridge], check=True)


def test_a_subnet_that_is_in_use_is_refused(tmp_path: Path) -> None:
    subprocess.run(["ip", "link", "add", "taken", "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", "10.88.251.77/25", "dev", "taken"], check=True)
        subprocess.run(["ip", "link", "set", "taken", "up"], check=True)
        with (
            Rig(tmp_path / "rig", segment=251) as rig,
            pytest.raises(RigFailure, match=r"10\.88\.251\.0/24 is in use on this machine"),
        ):
            rig.up("h1")
    finally:
        subprocess.run(["ip", "link", "delete", "taken"], check=True)


def identity_of(host: RigHost) -> dict[str, str]:
    """Return what a host is known by, and which boot this is."""
    return {
        "machine": host.run("cat", "/etc/machine-id").stdout.strip(),
        "key": host.run("cat", "/etc/ssh/ssh_host_ed25519_key.pub").stdout.strip(),
        "name": host.run("hostname").stdout.strip(),
        "address": host.run("hostname", "-I").stdout.split()[0],
        "boot": host.run("cat", "/proc/sys/kernel/random/boot_id").stdout.strip(),
    }


def ssh(rig: Rig, host: RigHost, key: str, user: str, command: str) -> subprocess.CompletedProcess[str]:
    """Log in as `user`, expecting `key`."""
    known = host.folder / "expected"
    known.write_text(f"{host.address} {key}\n")
    options = (f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", "BatchMode=yes", "IdentitiesOnly=yes")
    arguments = [part for option in options for part in ("-o", option)]
    return subprocess.run(
        ["ssh", "-F", "none", *arguments, "-i", str(rig.private_key_path), f"{user}@{host.address}", command],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def has_ended(host: RigHost, task: str) -> bool:
    """Say whether containerd has seen a task end."""
    tasks = host.run("ctr", "-n", "k8s.io", "tasks", "list").stdout.splitlines()
    return not any(line.split()[0] == task and line.endswith("RUNNING") for line in tasks)


def list_sleepers() -> int:
    """Count the processes of the power-loss test that the machine knows of."""
    return sum(process.info["cmdline"] == ["sleep", "98765"] for process in psutil.process_iter(["cmdline"]))


def look_at_machine(segment: Segment) -> dict[str, list[str]]:
    """Look at everything on the machine that a rig of a segment touches; others may be at work on other segments."""
    prefix = f"{segment.bridge}-"
    processes = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    seen = {
        "links": [link for link in psutil.net_if_stats() if link == segment.bridge] + list(list_ports(segment)),
        "routes": [line for line in run_local("ip", "route").stdout.splitlines() if segment.bridge in line],
        "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if prefix in line],
        "groups": [str(path) for group in find_groups("x") for path in group.parent.glob(f"{prefix}*")],
        "nspawn": [str(path) for path in Path("/run/systemd/nspawn").rglob(f"{prefix}*")],
        "carriers": [line for line in processes if f"--machine={prefix}" in line],
    }
    return {part: found for part, found in seen.items() if found}


def wait_until(holds: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:g} s"
        time.sleep(0.1)
