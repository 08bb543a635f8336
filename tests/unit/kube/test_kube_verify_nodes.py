"""The sample application where it cannot be tried: see tests/e2e/hosts for where it can."""

from __future__ import annotations

import pytest

from atoll.errors import Refused
from atoll.kube.member import MemberClient
from atoll.kube.verify_nodes import check_sample

from .server import answer, refuse

ABSENT = refuse(404, 'deployments.apps "coredns" not found', "NotFound")


def list_deployments(*names: str):
    items = [{"metadata": {"name": name, "namespace": "kube-system"}} for name in names]
    return answer({"kind": "DeploymentList", "metadata": {}, "items": items})


async def test_a_cluster_with_its_clouds_own_dns_is_not_failed_for_it(server):
    server.answers(ABSENT, list_deployments("kube-dns"))
    async with MemberClient(server.kubeconfig()) as member:
        sample, wall = await check_sample(member, "c1")
    assert sample == wall
    assert sample[0] == "Skipped"
    assert "its DNS server is kube-dns and not CoreDNS" in sample[1]
    assert [asked.method for asked in server.asked] == ["GET", "GET"], "nothing was made there"


async def test_a_cluster_without_any_dns_is_told_so(server):
    server.answers(ABSENT, list_deployments(), ABSENT, answer({"metadata": {"name": "n", "uid": "u"}}), ABSENT)
    async with MemberClient(server.kubeconfig()) as member:
        with pytest.raises(Refused, match="no Deployment kube-system/coredns"):
            await check_sample(member, "c1", seconds=5)
