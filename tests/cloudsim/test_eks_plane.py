"""Real control planes behind the clusters of the EKS stand-in."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psutil
import pytest

from atoll.errors import Refused
from atoll.kube.member import MemberClient

from .core import run_cloud
from .eks import ATOLL, STRANGER, EksStandIn
from .eks_kit import (
    ROLE,
    VPC,
    build_kubeconfig,
    connect,
    make_token,
    pack_token,
    unpack_token,
    wait_cluster,
    wait_for,
    wait_update,
)
from .planes import PlaneBacking


async def look_into(kubeconfig: str) -> tuple[str, tuple[str, ...]]:
    async with MemberClient(kubeconfig) as member:
        assert await member.identity()
        version = await member.version()
        user, groups = await member.user()
        return f"{version.major}.{version.minor} {user}", groups


@pytest.mark.e2e
def test_a_real_control_plane_stands_behind_a_cluster_and_asks_the_cloud_about_tokens(tmp_path: Path) -> None:
    with run_cloud(EksStandIn(PlaneBacking(tmp_path))) as cloud:
        eks = connect(cloud)
        for name in ("shop", "other"):
            eks.create_cluster(name=name, version="1.35", roleArn=ROLE, resourcesVpcConfig=dict(VPC))
        cluster = wait_cluster(eks, "shop", seconds=120)
        token = make_token(cloud, "shop")

        def enter(token: str) -> tuple[str, tuple[str, ...]]:
            return asyncio.run(look_into(build_kubeconfig(cluster, token)))

        assert enter(token) == (f"1.35 {ATOLL.arn}", ("system:masters", "system:authenticated"))
        url = unpack_token(token)
        for bad in (
            pack_token(url[:-64] + url[-64:][::-1]),
            make_token(cloud, "other"),
            make_token(cloud, "shop", STRANGER),
        ):
            with pytest.raises(Refused):
                enter(bad)
        assert [line.split(":")[0] for line in cloud.refused_tokens] == ["shop"] * len(cloud.refused_tokens)
        update = eks.update_cluster_version(name="shop", version="1.36")["update"]
        assert eks.describe_cluster(name="shop")["cluster"]["status"] == "UPDATING"
        assert wait_update(eks, "shop", update, 180)["status"] == "Successful"
        assert enter(make_token(cloud, "shop"))[0] == f"1.36 {ATOLL.arn}"
        back = wait_update(eks, "shop", eks.update_cluster_version(name="shop", version="1.35")["update"], 180)
        assert (back["type"], back["status"]) == ("VersionRollback", "Successful")
        assert enter(make_token(cloud, "shop"))[0] == f"1.35 {ATOLL.arn}"
        cloud.token_life_seconds = 0
        time.sleep(1.5)  # The API server believes for a second what it was told.
        with pytest.raises(Refused):
            enter(token)
        eks.delete_cluster(name="shop")
        wait_cluster(eks, "shop", "ABSENT", seconds=60)
        assert len(list(tmp_path.glob("planes/*/plane.json"))) == 1
        assert cloud.protests == []
    # What was not deleted goes with the cloud.
    assert list_left(tmp_path) == ([], [])


def list_left(folder: Path) -> tuple[list[Path], list[str]]:
    """Return what planes left: their files, and the names of their processes."""
    mine = [process for process in psutil.process_iter() if str(folder) in " ".join(command_of(process))]
    return list(folder.glob("planes/*/plane.json")), [process.name() for process in mine]


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def break_off(folder: Path) -> None:
    """Begin a cluster, and fail while its plane is half-made."""
    with run_cloud(EksStandIn(PlaneBacking(folder))) as cloud:
        connect(cloud).create_cluster(name="shop", version="1.36", roleArn=ROLE, resourcesVpcConfig=dict(VPC))
        wait_for(lambda: list(folder.glob("planes/*/plane.json")), bool)
        raise KeyError("a test that failed")


@pytest.mark.e2e
def test_a_cloud_that_ends_badly_leaves_no_half_made_plane(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="a test that failed"):
        break_off(tmp_path)
    assert list_left(tmp_path) == ([], [])


@pytest.mark.e2e
def test_a_version_without_programs_ends_in_a_failed_cluster_that_says_so(tmp_path: Path) -> None:
    with run_cloud(EksStandIn(PlaneBacking(tmp_path))) as cloud:
        eks = connect(cloud)
        eks.create_cluster(name="shop", version="1.33", roleArn=ROLE, resourcesVpcConfig=dict(VPC))
        failed = wait_cluster(eks, "shop", "FAILED")
        assert "there are no programs for Kubernetes 1.33" in failed["health"]["issues"][0]["message"]
