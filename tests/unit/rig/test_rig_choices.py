"""What the rig decides without touching the machine: groups, addresses, and what counts as a difference."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.e2e.hosts.rig.bundles import COMPONENTS, check_companions
from tests.e2e.hosts.rig.cgroups import choose_groups
from tests.e2e.hosts.rig.failure import RigFailure
from tests.e2e.hosts.rig.network import build_segment, choose_address, find_overlap
from tests.e2e.hosts.rig.state import list_files, parse_mounts

V1_MOUNTS = """\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw
23 1 254:0 / / rw - ext4 /dev/vda rw
"""


def test_groups_go_below_the_one_that_we_are_in_hierarchy_by_hierarchy() -> None:
    own = "4:memory:/docker/abc/job\n2:cpu,cpuacct:/\n1:name=systemd:/user.slice\n0::/user.slice\n"
    assert choose_groups(own, V1_MOUNTS, "atoll-rig0-h1") == (
        Path("/sys/fs/cgroup/memory/job/atoll-rig0-h1"),
        Path("/sys/fs/cgroup/cpu,cpuacct/atoll-rig0-h1"),
        Path("/sys/fs/cgroup/systemd/user.slice/atoll-rig0-h1"),
        Path("/sys/fs/cgroup/unified/user.slice/atoll-rig0-h1"),
    )


def test_a_machine_with_v2_alone_has_one_group() -> None:
    mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
    assert choose_groups("0::/user.slice/one.scope\n", mounts, "h") == (Path("/sys/fs/cgroup/user.slice/one.scope/h"),)


def test_a_group_that_no_mount_shows_is_not_used() -> None:
    mounts = "30 23 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    assert choose_groups("0::/elsewhere\n", mounts, "h") == ()


def test_hosts_get_the_lowest_free_address_of_their_segment() -> None:
    segment = build_segment(7)
    assert str(segment.gateway) == "10.88.7.1/24"
    assert segment.bridge == "atoll-rig7"
    taken = frozenset({IPv4Address("10.88.7.11"), IPv4Address("10.88.7.13")})
    assert choose_address(segment, taken) == IPv4Address("10.88.7.12")
    everything = frozenset(segment.subnet.hosts())
    with pytest.raises(RigFailure, match=r"10\.88\.7\.0/24 is full"):
        choose_address(segment, everything)


def test_a_route_into_our_subnet_is_found_and_the_default_route_is_none() -> None:
    segment = build_segment(0)
    assert find_overlap(segment, ("default", "192.0.2.0/24", "10.88.0.0/16")) == "10.88.0.0/16"
    assert find_overlap(segment, ("default", "192.0.2.0/24", "10.89.0.1")) == ""


def test_only_files_that_differ_from_the_shared_root_count(tmp_path: Path) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for path, content in (
        (lower / "etc/same", "a"),
        (upper / "etc/same", "a"),
        (lower / "etc/changed", "a"),
        (upper / "etc/changed", "b"),
        (upper / "opt/new/file", "c"),
        (upper / "var/log/syslog", "d"),
        (upper / "var/lib/systemd/random-seed", "e"),
        (upper / "tmp/x", "f"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o644)
    (upper / "etc/link").symlink_to("changed")
    (lower / "var/lib").mkdir(parents=True)

    assert list_files(upper, (lower,)) == (
        "etc/changed 0644 3e23e8160039",
        "etc/link -> changed",
        "opt folder",
        "opt/new folder",
        "opt/new/file 0644 2e7d2c03a950",
    )


def test_mounts_that_services_make_in_passing_do_not_count() -> None:
    mountinfo = (
        "60 59 0:50 / /run/credentials/x.service ro shared:9 - ramfs ramfs rw\n"
        "61 59 254:0 /a /var/lib/kubelet rw - ext4 /dev/vda rw\n"
        "59 1 0:40 / / rw - overlay h1 rw\n"
    )
    assert parse_mounts(mountinfo) == ("/ overlay", "/var/lib/kubelet ext4")


def test_a_kubeadm_that_wants_another_etcd_than_we_build_is_told() -> None:
    tags = {component: f"registry.k8s.io/{component}:v1.36.4" for component in COMPONENTS}
    tags |= {"etcd": "registry.k8s.io/etcd:3.6.8-0", "coredns": "registry.k8s.io/coredns/coredns:v1.14.2"}
    check_companions("v1.36.4", tags)
    with pytest.raises(RigFailure, match=r"wants registry\.k8s\.io/etcd:3\.6\.9-0, but the rig builds etcd 3\.6\.8"):
        check_companions("v1.36.4", tags | {"etcd": "registry.k8s.io/etcd:3.6.9-0"})
