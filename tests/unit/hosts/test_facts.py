"""What hosts answer, recorded, and what it means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from atoll.fleet.hosts import HostFacts
from atoll.hosts.command import Result
from atoll.hosts.facts import PROBE, ProbeFacts, parse_probe, summarise_probe
from atoll.hosts.facts_leftovers import HostOwner, parse_leftovers, parse_owner
from atoll.hosts.facts_machine import (
    KERNEL,
    Disk,
    Memory,
    System,
    parse_cgroup,
    parse_identity,
    parse_kernel,
    parse_system,
)
from atoll.hosts.facts_services import parse_lacking, parse_locks, parse_ports, parse_runtime
from atoll.hosts.sections import Section, build_command, split_answer

CASES = Path(__file__).parent / "cases"
CLEAN = ProbeFacts(
    clock=1795267904.420887,
    system=System(name="Debian GNU/Linux 12 (bookworm)", id="debian", version="12"),
    kernel="6.1.0-28-amd64",
    architecture="amd64",
    cpus=2,
    memory=Memory(total=25276510208, available=24319094784, swap=0),
    disk=Disk(root=59315621888, var_lib=59315621888),
    cgroup_version=1,
    container_runtime="containerd 1.6.20~ds1",
    machine_id="65d9bab3200940bd800673a72e1246e7",
    boot_id="cae75fee-da30-4880-a28b-166f8380687b",
    image_version="2026.11.1",
    ports=(22, 33301),
    locks=(),
    lacking=(),
    owner=HostOwner(),
    leftovers=(),
)


def recorded(name: str) -> Result:
    return Result(code=0, out=(CASES / name).read_text())


def test_a_clean_machine_is_read_whole() -> None:
    assert parse_probe(recorded("debian12_clean.txt")) == CLEAN


def test_a_machine_with_the_rest_of_a_cluster_names_all_of_it() -> None:
    assert parse_probe(recorded("debian12_used.txt")) == replace(
        CLEAN,
        clock=1795267907.0369039,
        memory=replace(CLEAN.memory, available=24275599360),
        disk=Disk(root=58983608320, var_lib=58983608320),
        machine_id="3aaec327e0754ec88e00c2a3c8de0611",
        boot_id="3c16202f-a42a-43f5-99be-694fdbdf5395",
        ports=(22, 6443, 45315),
        locks=("/var/lib/dpkg/lock-frontend",),
        lacking=("conntrack", "/opt/cni/bin/portmap"),
        owner=HostOwner(id="c-7f3a", role="Worker", fleet="fleet", cluster="base--dev"),
        leftovers=(
            "/etc/kubernetes/admin.conf",
            "files in /var/lib/kubelet",
            "files in /var/lib/atoll",
            "/etc/cni/net.d/10-x.conflist",
            "link cni0",
            "packet filter chains in table ip filter",
            "packet filter table ip kube-proxy",
            "process kubelet",
        ),
    )


def test_what_the_core_wants_of_a_probe() -> None:
    facts = replace(CLEAN, owner=HostOwner(id="c-1", fleet="prod", cluster="base--eu"), disk=Disk(root=5, var_lib=9))
    assert summarise_probe(facts, CLEAN.clock - 0.1, CLEAN.clock + 0.1) == HostFacts(
        os="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1.0-28-amd64",
        architecture="amd64",
        cpus=2,
        memory=25276510208,
        disk_free=5,
        cgroup_version=1,
        container_runtime="containerd 1.6.20~ds1",
        machine_id="65d9bab3200940bd800673a72e1246e7",
        boot_id="cae75fee-da30-4880-a28b-166f8380687b",
        image_version="2026.11.1",
        clock_offset_seconds=0.0,
        ports=(22, 33301),
        owner_id="c-1",
        owner_name="prod/base--eu",
    )


@pytest.mark.parametrize(
    ("asked", "answered", "offset"), [(-1, 3, 0.0), (0, 0, 0.0), (-90, -60, 60.0), (3600, 3630, -3600.0)]
)
def test_a_slow_answer_is_no_wrong_clock(asked: float, answered: float, offset: float) -> None:
    facts = replace(CLEAN, clock=1000.0)
    assert summarise_probe(facts, 1000 + asked, 1000 + answered).clock_offset_seconds == offset


@pytest.mark.parametrize(
    "damage",
    [
        lambda out: out[: len(out) // 2],
        lambda out: out.replace("@@ end", ""),
        lambda out: out.replace("@@ kernel", "@@ colonel"),
        lambda out: out.replace("amd64 x86_64", ""),
        lambda out: "",
        lambda out: "sh: not found",
    ],
)
def test_an_answer_that_is_not_whole_is_refused(damage: object) -> None:
    assert callable(damage)
    with pytest.raises(ValueError):
        parse_probe(Result(code=0, out=damage(recorded("debian12_clean.txt").out)))


def test_an_answer_that_was_bounded_or_late_is_refused_with_that_reason() -> None:
    whole = recorded("debian12_clean.txt")
    with pytest.raises(ValueError, match="not whole"):
        parse_probe(replace(whole, truncated=True))
    with pytest.raises(ValueError, match="too long"):
        parse_probe(Result(code=124, out="", timed_out=True))


def test_a_probe_is_one_command_that_names_all_it_looks_at() -> None:
    script = PROBE.command.argv[2]
    assert PROBE.command.argv[:2] == ("/bin/sh", "-c")
    assert [line[len("echo; echo '@@ ") : -1] for line in script.splitlines() if "@@ " in line] == [
        *("clock", "system", "kernel", "cpus", "memory", "disk", "cgroup", "runtime", "identity", "image-version"),
        *("ports", "locks", "lacking", "owner", "leftovers", "end"),
    ]


def test_a_section_is_a_fact_of_its_own_too() -> None:
    fact = KERNEL.fact()
    assert "uname -rm" in fact.command.argv[2]
    answer = Result(code=0, out="\n@@ kernel\n6.1.0-28-amd64 aarch64\n\n@@ end\n")
    assert fact.parse(answer) == ("6.1.0-28-amd64", "arm64")


def test_what_a_section_prints_cannot_stand_for_an_earlier_one() -> None:
    out = "\n@@ owner\nmine\n\n@@ leftovers\nfile\n@@ owner\nforged\n\n@@ end\n"
    assert split_answer(Result(code=0, out=out))["owner"] == "mine"


@pytest.mark.parametrize("name", ["", "end", "A", "a b", "a'b"])
def test_a_section_needs_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError):
        build_command((Section(name=name, script="true", parse=str),), "Try.")


@pytest.mark.parametrize(
    ("text", "system"),
    [
        (
            'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 24.04.1 LTS"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian',
            System(name="Ubuntu 24.04.1 LTS", id="ubuntu", version="24.04"),
        ),
        (
            'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n# comment=1\n',
            System(name="Rocky Linux", id="rocky", version="9.4"),
        ),
        ("ID=x\nPRETTY_NAME='A \"B\"'", System(name='A "B"', id="x", version="")),
        ("", System(name="", id="", version="")),
    ],
)
def test_os_release_is_read_with_all_kinds_of_quotes(text: str, system: System) -> None:
    assert parse_system(text) == system


def test_an_architecture_without_a_name_at_kubernetes_keeps_its_own() -> None:
    assert parse_kernel("5.10.0 s390x") == ("5.10.0", "s390x")


def test_control_groups_have_two_versions() -> None:
    assert (parse_cgroup("cgroup2fs"), parse_cgroup("tmpfs")) == (2, 1)
    with pytest.raises(ValueError):
        parse_cgroup("")


def test_a_machine_without_an_id_is_read_and_one_without_a_boot_is_not() -> None:
    assert parse_identity("machine=\nboot=b") == ("", "b")
    with pytest.raises(ValueError):
        parse_identity("machine=a\n")


def test_a_runtime_that_does_not_answer_is_none() -> None:
    assert parse_runtime("Client:\n  Version:  v2.0.1\n") == ""
    assert (
        parse_runtime("Client:\n  Version:  v2.0.1\n\nServer:\n  Version:  v2.0.2\n  Revision: x") == "containerd 2.0.2"
    )
    assert parse_runtime("") == ""


def test_ports_are_read_of_both_families_once_and_only_listening_ones() -> None:
    lines = [
        "   0: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0",
        "   1: 0100007F:0016 0100007F:D2F0 01 00000000:00000000 02:0A 0A 00000000     0        0 2 1 0 20 4 30 10 -1",
        "   0: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A 0 0 0 0 0 1",
    ]
    assert parse_ports("\n".join(lines)) == (6443,)
    assert parse_ports("") == ()


def test_a_lock_is_held_when_the_kernel_says_so_and_waiting_is_not_holding() -> None:
    files = f"file {(254 << 8) | 3} 262155 /var/lib/dpkg/lock\nfile {(254 << 8) | 3} 77 /var/lib/rpm/.rpm.lock\n"
    held = "1: POSIX  ADVISORY  WRITE 4711 fe:03:262155 0 EOF\n"
    waits = "1: -> POSIX  ADVISORY  WRITE 4712 fe:03:77 0 EOF\n"
    elsewhere = "2: POSIX  ADVISORY  WRITE 4711 fe:04:77 0 EOF\n"
    assert parse_locks(files + waits + elsewhere) == ()
    assert parse_locks(files + held + waits) == ("/var/lib/dpkg/lock",)
    assert parse_locks("") == ()


def test_what_is_lacking_and_left_is_listed_once() -> None:
    assert parse_lacking("") == ()
    assert parse_lacking("nft or iptables\nctr") == ("nft or iptables", "ctr")
    assert parse_leftovers("link cni0\nlink cni0\n\nprocess kubelet") == ("link cni0", "process kubelet")


def test_a_journal_that_cannot_be_read_has_an_owner_all_the_same() -> None:
    assert parse_owner("") == HostOwner()
    for damaged in ("{", "[]", "{}", "null", '"x"'):
        assert parse_owner(damaged).id == "(unreadable owner.json)"
