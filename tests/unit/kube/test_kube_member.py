from __future__ import annotations

import json

import pytest

from atoll.errors import AtollError, IdentityMismatch, Refused, Unreachable
from atoll.kube.member import MemberClient, is_node_ready, sum_allocatable, takes_tenants

from .server import answer, refuse, say

VERSION = json.dumps({"gitVersion": "v1.36.4"})
SYSTEM = {"metadata": {"name": "kube-system", "uid": "u-1"}}


@pytest.mark.parametrize(
    ("amounts", "total"),
    [
        ([], None),
        ([{"cpu": "1500m", "memory": "1Gi"}, {"cpu": "1", "memory": "512Mi"}], {"cpu": "2500m", "memory": "1536Mi"}),
        ([{"cpu": "odd", "pods": "110"}], {"pods": "110"}),
        ([{}], {}),
    ],
)
def test_what_nodes_offer_is_added_up(amounts, total):
    assert sum_allocatable([{"status": {"allocatable": item}} for item in amounts]) == total


def test_a_node_counts_as_ready_when_it_is_and_takes_pods():
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert is_node_ready(ready)
    assert not is_node_ready({**ready, "spec": {"unschedulable": True}})
    assert not is_node_ready({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})
    assert not is_node_ready({})


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (say("junk"), Unreachable),
        (say("{}"), Unreachable),
        (say(json.dumps({"gitVersion": "not a version"})), Unreachable),
        (say("broken", status=500), Unreachable),
        (refuse(401, "Unauthorized"), Refused),
    ],
)
async def test_a_version_that_cannot_be_read_is_no_version(server, script, error):
    server.answers(script)
    async with MemberClient(server.kubeconfig()) as member:
        with pytest.raises(error):
            await member.version()


async def test_a_server_that_is_down_is_asked_once_and_not_for_every_kind(server):
    server.answers(say("broken", status=500))
    async with MemberClient(server.kubeconfig()) as member:
        with pytest.raises(Unreachable):
            await member.observe()
    assert {asked.path for asked in server.asked} == {"/version"}


@pytest.mark.parametrize(
    "item",
    [
        {"metadata": {"name": "a", "labels": "odd"}},
        {"metadata": {"name": ["a"], "labels": {"a": 1}}},
        {"metadata": {"name": "a"}, "status": "odd"},
        {"metadata": {"name": "a"}, "status": {"allocatable": ["odd"]}},
        {"metadata": {"name": "a"}, "status": {"conditions": "odd"}},
    ],
)
async def test_objects_of_odd_shape_are_a_fault_of_that_child_and_no_crash(server, item):
    body = {**SYSTEM, "gitVersion": "v1.36.4", "items": [item]}
    server.answers(answer(body))
    async with MemberClient(server.kubeconfig()) as member:
        try:
            seen = await member.observe()
        except AtollError:
            return
    assert seen.cluster_uid == "u-1"


async def test_a_kind_that_old_servers_do_not_serve_is_empty_and_any_other_is_refused(server):
    async def reply(request):
        if "admissionregistration" in request.path:
            return await refuse(404, "could not find the requested resource")(request)
        return await answer({**SYSTEM, "gitVersion": "v1.29.1", "items": []})(request)

    server.answers(reply)
    async with MemberClient(server.kubeconfig()) as member:
        assert (await member.observe()).objects == {}

        async def lacking(request):
            handler = refuse(404, "no") if "networkpolicies" in request.path else reply
            return await handler(request)

        server.answers(lacking)
        with pytest.raises(Refused, match="networkpolicies"):
            await member.observe()


async def test_who_we_are_there_is_asked_once(server):
    server.answers(answer({"metadata": {}, "status": {"userInfo": {"username": "atoll", "groups": ["a", "b"]}}}))
    async with MemberClient(server.kubeconfig()) as member:
        assert await member.user() == await member.user() == ("atoll", ("a", "b"))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "script",
    [
        refuse(404, "could not find the requested resource"),
        refuse(403, "no"),
        answer({"metadata": {}, "status": "odd"}),
        answer({"metadata": {}, "status": {"userInfo": ["odd"]}}),
        answer({"metadata": {}, "status": {"userInfo": {"username": "a", "groups": "odd"}}}),
        answer({"metadata": {}}),
    ],
)
async def test_a_server_that_does_not_tell_who_we_are_leaves_us_nameless(server, script):
    server.answers(script)
    async with MemberClient(server.kubeconfig()) as member:
        assert await member.user() == ("", ())


async def test_a_child_without_kube_system_has_no_identity_yet(server):
    server.answers(refuse(404, "not found"))
    async with MemberClient(server.kubeconfig()) as member:
        with pytest.raises(Unreachable, match="kube-system"):
            await member.identity()


async def test_another_identity_is_a_mismatch(server):
    server.answers(answer(SYSTEM))
    async with MemberClient(server.kubeconfig()) as member:
        await member.require_identity("u-1")
        with pytest.raises(IdentityMismatch, match="u-2"):
            await member.require_identity("u-2")


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        ({}, True),
        ({"unschedulable": True}, True),
        ({"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}, False),
        ({"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "PreferNoSchedule"}]}, True),
        ({"taints": [{"key": "gpu", "effect": "NoSchedule"}]}, True),
    ],
)
def test_a_control_plane_that_is_kept_free_offers_tenants_nothing(spec, taken):
    assert takes_tenants({"spec": spec}) is taken
