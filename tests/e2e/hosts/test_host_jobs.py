"""Jobs on real machines: systemd runs them, reboots end them, and a cut connection does not matter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from atoll.hosts.access import HostAccess
from atoll.hosts.command import Action, Command, Secret, WriteFile
from atoll.hosts.connected import Connections
from atoll.hosts.execute import SshHost
from atoll.hosts.facts import PROBE
from atoll.hosts.jobs import Job, JobState
from atoll.hosts.ssh import Patience

from .rig import Rig, RigHost

pytestmark = pytest.mark.e2e

CANARY = "CANARY-4711"
HOLD_LOCK = """\
use Fcntl;
open(F, ">", "/var/lib/dpkg/lock-frontend");
$lock = pack("ssqql", F_WRLCK, 0, 0, 0, 0);
fcntl(F, F_SETLK, $lock) or die;
sleep 60;
"""


def shell(text: str, why: str = "Try.", seconds: float = 30.0, stdin: Secret | str = "") -> Command:
    return Command(argv=("sh", "-c", text), why=why, seconds=seconds, stdin=stdin)


def hold(then: str = "true") -> Command:
    """Return a command that waits until `release` is called."""
    return shell(f"until [ -e /root/released ]; do sleep 0.05; done; rm /root/released; {then}", seconds=120)


async def release(machine: RigHost) -> None:
    await asyncio.to_thread(machine.run, "touch", "/root/released")


def job(*actions: Action, name: str, leaves: bool = False, seconds: float = 60.0) -> Job:
    return Job(id=name, cluster_id="c1", actions=actions, takes_host=not leaves, leaves_host=leaves, seconds=seconds)


@pytest.fixture(scope="module")
def machine(rig: Rig) -> Iterator[RigHost]:
    """A machine for this module."""
    (host,) = rig.up("jobs")
    yield host
    rig.down("jobs")


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    patience = Patience(connect_seconds=5.0, attempts=2, keepalive_seconds=1.0, keepalive_count=2)
    made = Connections(patience=patience)
    yield made
    await made.close()


@pytest.fixture
async def host(rig: Rig, machine: RigHost, connections: Connections) -> AsyncIterator[SshHost]:
    """The machine as the operator has it. Afterwards it belongs to nobody."""
    yield connections.get(reach(rig, machine))
    machine.run("rm", "-rf", "/var/lib/atoll", "/run/atoll")


def reach(rig: Rig, machine: RigHost, user: str = "root") -> HostAccess:
    return HostAccess(
        name=f"pool--{machine.name}",
        address=machine.address,
        host_key=machine.host_key,
        private_key=rig.private_key,
        user=user,
        sudo=user != "root",
    )


async def test_a_job_is_a_unit_of_systemd_and_leaves_none(machine: RigHost, host: SshHost) -> None:
    await host.begin(job(hold(), shell("exit 3"), name="op-1.unit"))
    show = ("systemctl", "show", "atoll-job-op-1.unit.service", "--property=ActiveState,KillMode,RuntimeMaxUSec")
    shown = await asyncio.to_thread(machine.run, *show)
    assert set(shown.stdout.split("\n")) >= {"KillMode=control-group", "RuntimeMaxUSec=1min", "ActiveState=active"}
    await release(machine)
    assert (await host.wait("op-1.unit", 30)).state is JobState.FAILED
    listed = await asyncio.to_thread(machine.run, "systemctl", "list-units", "--all", "--no-legend", "atoll-job-*")
    assert listed.stdout == "", "a failed job leaves no failed unit"


async def test_a_job_outlives_sshd_with_all_its_connections(machine: RigHost, host: SshHost) -> None:
    await host.begin(job(hold("echo survived"), name="op-1.cut"))
    waiting = asyncio.create_task(host.wait("op-1.cut", 60))
    await asyncio.sleep(0.3)
    await asyncio.to_thread(machine.run, "systemctl", "kill", "--signal=KILL", "ssh")
    await asyncio.to_thread(machine.run, "systemctl", "restart", "ssh")
    assert not waiting.done()
    await release(machine)
    status = await waiting
    assert status.result is not None
    assert (status.state, status.result.out) == (JobState.SUCCEEDED, "survived\n")


async def test_a_port_that_drops_packets_for_a_while_costs_nothing(machine: RigHost, host: SshHost) -> None:
    await host.begin(job(hold("echo done"), name="op-1.drop"))
    waiting = asyncio.create_task(host.wait("op-1.drop", 90))
    rules = "iptables $0 INPUT -p tcp --dport 22 -j DROP; iptables $0 OUTPUT -p tcp --sport 22 -j DROP"
    await asyncio.to_thread(machine.run, "sh", "-c", rules, "-I")
    try:
        await release(machine)
        await asyncio.sleep(6)
        assert not waiting.done()
    finally:
        await asyncio.to_thread(machine.run, "sh", "-c", rules, "-D")
    assert (await waiting).state is JobState.SUCCEEDED


@pytest.mark.parametrize("how", ["reboot", "power loss"])
async def test_a_machine_that_goes_down_leaves_a_partial_job_and_no_secret(
    machine: RigHost, host: SshHost, how: str
) -> None:
    wanted = job(
        WriteFile(path="/root/counted", content="x", why="Write."),
        shell("test -e /root/go || sleep 60; cat > /dev/null", why="Take long.", seconds=100, stdin=Secret(CANARY)),
        name=f"op-1.{how[:6].strip()}",
    )
    await asyncio.to_thread(machine.run, "rm", "-f", "/root/go")
    await host.begin(wanted)
    status = await host.wait(wanted.id, 1)
    for _ in range(30):
        if status.steps_done:
            break
        status = await host.wait(wanted.id, 1)
    assert (status.state, status.steps_done) == (JobState.RUNNING, 1)
    waiting = asyncio.create_task(host.wait(wanted.id, 90))
    if how == "reboot":
        await asyncio.to_thread(machine.reboot)
    else:
        await asyncio.to_thread(machine.kill)
        await asyncio.to_thread(machine.boot)
    status = await waiting
    assert (status.state, status.steps_done, status.steps_total) == (JobState.PARTIAL, 1, 2)
    assert status.why == "Take long."
    places = ("/var/lib/atoll", "/run", "/tmp", "/var/tmp", "/var/log")
    found = await asyncio.to_thread(
        machine.run, "grep", "-r", "-l", "--exclude-dir=atoll-rig", CANARY, *places, check=False
    )
    assert found.stdout == ""
    await asyncio.to_thread(machine.run, "touch", "/root/go")
    assert (await host.begin(wanted)).state is JobState.RUNNING
    assert (await host.wait(wanted.id, 30)).state is JobState.SUCCEEDED


async def test_a_job_beyond_its_time_is_ended_with_all_its_programs(machine: RigHost, host: SshHost) -> None:
    began = time.monotonic()
    await host.begin(job(shell("setsid sleep 4711 & sleep 4711"), name="op-1.late", seconds=1.0))
    status = await host.wait("op-1.late", 60)
    assert (status.state, status.steps_done) == (JobState.FAILED, 0)
    assert status.why.startswith("took longer than the job may")
    assert time.monotonic() - began < 25
    left = await asyncio.to_thread(machine.run, "pgrep", "-f", "sleep 4711", check=False)
    assert left.stdout == ""


async def test_what_a_job_leaves_running_ends_with_it(machine: RigHost, host: SshHost) -> None:
    await host.begin(job(shell("setsid sleep 4712 >/dev/null 2>&1 & echo fine"), name="op-1.stray"))
    status = await host.wait("op-1.stray", 60)
    assert status.state is JobState.SUCCEEDED
    assert status.result is not None
    left = await asyncio.to_thread(machine.run, "pgrep", "-f", "sleep 4712", check=False)
    assert (left.stdout, status.result.out) == ("", "fine\n")


async def test_a_job_is_begun_once_however_often_it_is_asked_for(host: SshHost) -> None:
    wanted = job(shell("echo x >> /root/times; sleep 0.5; cat /root/times; rm /root/times"), name="op-1.once")
    await asyncio.gather(*(host.begin(wanted) for _ in range(8)))
    status = await host.wait("op-1.once", 30)
    assert status.result is not None
    assert (status.state, status.result.out) == (JobState.SUCCEEDED, "x\n")


async def test_everything_works_by_sudo_too(
    rig: Rig, machine: RigHost, host: SshHost, connections: Connections, tmp_path_factory: pytest.TempPathFactory
) -> None:
    local = tmp_path_factory.mktemp("sudo") / "program"
    local.write_bytes(b"#!/bin/sh\necho copied\n")
    sudo = connections.get(reach(rig, machine, user="deploy"))
    assert (await sudo.run(Command(argv=("id", "-un"), why="See who we are."))).out == "root\n"
    await sudo.put(str(local), "/opt/own/program", mode=0o700)
    await sudo.begin(job(Command(argv=("/opt/own/program",), why="Run."), name="op-1.sudo"))
    status = await sudo.wait("op-1.sudo", 30)
    assert status.result is not None
    assert (status.state, status.result.out) == (JobState.SUCCEEDED, "copied\n")
    owner = await asyncio.to_thread(machine.run, "stat", "-c", "%U %a", "/opt/own/program", "/var/lib/atoll")
    assert owner.stdout == "root 700\nroot 700\n"
    assert (await host.look("op-1.sudo")).state is JobState.SUCCEEDED, "root sees the same journal"
    await asyncio.to_thread(machine.run, "rm", "-rf", "/opt/own")


async def test_a_host_that_is_left_has_nothing_of_ours_and_its_last_job_is_known_until_it_reboots(
    machine: RigHost, host: SshHost
) -> None:
    before = await asyncio.to_thread(machine.fingerprint_of_state)
    await host.begin(job(shell("true"), name="op-1.take"))
    await host.wait("op-1.take", 30)
    leave = job(shell("true"), name="op-1.leave", leaves=True)
    await host.begin(leave)
    left = await host.wait("op-1.leave", 30)
    assert (left.state, left.steps_done) == (JobState.SUCCEEDED, 1)
    after = await asyncio.to_thread(machine.fingerprint_of_state)
    assert {kind: after[kind] for kind in ("files",) if kind in after} == {
        kind: before[kind] for kind in ("files",) if kind in before
    }
    there = await asyncio.to_thread(machine.run, "find", "/var/lib/atoll", "/run/atoll", check=False)
    assert sorted(there.stdout.split()) == ["/run/atoll", "/run/atoll/left-op-1.leave", "/run/atoll/lock"]
    assert (await host.look("op-1.leave")).state is JobState.SUCCEEDED
    await asyncio.to_thread(machine.reboot)
    assert (await host.look("op-1.leave")).state is JobState.UNKNOWN
    assert (await host.begin(leave)).state is JobState.SUCCEEDED, "nobody owns it: that is what was wanted"


async def test_a_probe_reads_a_machine_in_one_round_trip_and_changes_nothing(machine: RigHost, host: SshHost) -> None:
    before = await asyncio.to_thread(machine.fingerprint_of_state)
    facts = await host.ask(PROBE)
    after = await asyncio.to_thread(machine.fingerprint_of_state)
    assert after.get("files") == before.get("files")
    assert (facts.system.id, facts.image_version, facts.lacking) == ("debian", "2026.11.1", ())
    assert facts.container_runtime.startswith("containerd 1.")
    assert abs(facts.clock - time.time()) < 5
    assert 22 in facts.ports
    assert (
        facts.boot_id == (await asyncio.to_thread(machine.run, "cat", "/proc/sys/kernel/random/boot_id")).stdout.strip()
    )
    assert (facts.owner.id, facts.leftovers, facts.locks) == ("", (), ())


async def test_a_probe_finds_what_others_have_left(machine: RigHost, host: SshHost) -> None:
    plant = """
        mkdir -p /etc/kubernetes/manifests; echo x > /etc/kubernetes/admin.conf; mkdir -p /var/lib/etcd/member
        mkdir -p /etc/cni/net.d; echo {} > /etc/cni/net.d/10-other.conflist
        ip link add cni0 type bridge; nft add table ip kube-proxy; iptables -N KUBE-OTHER
        cp /bin/sleep /tmp/kubelet; setsid /tmp/kubelet 60 >/dev/null 2>&1 &
    """
    hold = asyncio.create_task(asyncio.to_thread(machine.run, "perl", "-e", HOLD_LOCK, check=False, timeout=90))
    await asyncio.to_thread(machine.run, "sh", "-c", plant)
    try:
        await asyncio.sleep(0.5)
        facts = await host.ask(PROBE)
        assert facts.locks == ("/var/lib/dpkg/lock-frontend",)
        assert set(facts.leftovers) == {
            "/etc/kubernetes/admin.conf",
            "files in /var/lib/etcd",
            "/etc/cni/net.d/10-other.conflist",
            "link cni0",
            "packet filter table ip kube-proxy",
            "packet filter chains in table ip filter",
            "process kubelet",
        }
    finally:
        remove = """
            pkill -x kubelet; pkill -x perl; ip link delete cni0; nft delete table ip kube-proxy; iptables -X KUBE-OTHER
            rm -rf /etc/kubernetes/admin.conf /var/lib/etcd/member /etc/cni/net.d/10-other.conflist /tmp/kubelet
        """
        await asyncio.to_thread(machine.run, "sh", "-c", remove, check=False)
        await hold
    assert (await host.ask(PROBE)).leftovers == ()


async def test_a_hundred_small_steps_cost_two_round_trips(host: SshHost) -> None:
    steps = [Command(argv=("true",), why=f"Step {number}.") for number in range(100)]
    await host.begin(job(name="op-1.warm"))
    await host.wait("op-1.warm", 30)
    began = time.monotonic()
    await host.begin(job(*steps, name="op-1.hundred"))
    status = await host.wait("op-1.hundred", 60)
    seconds = time.monotonic() - began
    print(f"100 steps in {seconds:.3f} s")
    assert (status.state, status.steps_done, host.handshakes) == (JobState.SUCCEEDED, 100, 1)
    assert seconds < 5, "one exec per step over SSH takes longer"
