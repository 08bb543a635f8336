"""Where the kubeconfig of an existing cluster is read from, and which identity it must have."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from atoll.errors import BadInput, Unreachable
from atoll.ports import ClusterRef
from atoll.shell.cache import Cache
from atoll.shell.existing import MemberKubeconfigs

START = datetime(2026, 11, 21, tzinfo=UTC)
REF = ClusterRef(fleet="fleet", name="eu--a", id="c1")
API = "atoll.dev/v1alpha1"


class Secrets:
    """The Secrets of one fleet."""

    def __init__(self, **texts: str) -> None:
        self.texts = texts
        self.asked: list[str] = []

    async def get(self, kind: Any, namespace: str, name: str) -> dict[str, Any] | None:
        assert (kind.kind, namespace) == ("Secret", "fleet")
        self.asked.append(name)
        if name not in self.texts:
            return None
        data = {"value": base64.b64encode(self.texts[name].encode()).decode()} if self.texts[name] else {}
        return {"kind": "Secret", "metadata": {"name": name}, "data": data}


def metadata(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": "fleet", "uid": name, "resourceVersion": "1", "generation": 1}


def fill(*members: str, uid: str = "", listed: bool = True) -> Cache:
    cache = Cache()
    spec: dict[str, Any] = {"id": "c1", "setName": "eu", "memberName": "a"}
    if uid:
        spec["clusterUID"] = uid
    cache.put({"apiVersion": API, "kind": "ChildCluster", "metadata": metadata("eu--a"), "spec": spec}, START)
    if listed:
        entries = [{"name": name, "existing": {"kubeconfigSecretRef": {"name": f"login-{name}"}}} for name in members]
        body = {"provider": {"existing": {"upgrade": "Allowed"}}, "clusters": entries}
        cache.put({"apiVersion": API, "kind": "ClusterSet", "metadata": metadata("eu"), "spec": body}, START)
    return cache


async def test_each_member_has_its_own_secret_read_anew_each_time() -> None:
    secrets = Secrets(**{"login-a": "canary", "login-b": "other"})
    reader = MemberKubeconfigs(secrets, fill("b", "a"))
    source = await reader.kubeconfig(REF)
    assert (source.text, source.where) == ("canary", "Secret login-a (existing.kubeconfigSecretRef of member a)")
    assert "canary" not in repr(source)
    secrets.texts["login-a"] = "rotated"
    assert (await reader.kubeconfig(REF)).text == "rotated"
    assert secrets.asked == ["login-a", "login-a"]


def test_the_identity_is_the_childs_own() -> None:
    assert MemberKubeconfigs(Secrets(), fill("a")).pinned(REF) == ""
    assert MemberKubeconfigs(Secrets(), fill("a", uid="u-1")).pinned(REF) == "u-1"
    other = ClusterRef(fleet="fleet", name="eu--a", id="an-earlier-one")
    assert MemberKubeconfigs(Secrets(), fill("a", uid="u-1")).pinned(other) is None


@pytest.mark.parametrize("text", [None, ""], ids=["no Secret", "no key"])
async def test_a_missing_secret_or_key_is_named(text: str | None) -> None:
    reader = MemberKubeconfigs(Secrets(**({} if text is None else {"login-a": text})), fill("a"))
    with pytest.raises(BadInput, match=r"Secret login-a .*value`"):
        await reader.kubeconfig(REF)


async def test_who_left_the_list_is_reached_by_what_was_published() -> None:
    secrets = Secrets(**{"eu--a-kubeconfig": "published"})
    assert (await MemberKubeconfigs(secrets, fill("b")).kubeconfig(REF)).text == "published"
    with pytest.raises(BadInput, match="does not list member a"):
        await MemberKubeconfigs(Secrets(), fill("b")).kubeconfig(REF)


async def test_before_its_set_has_been_seen_nobody_says_that_there_is_none() -> None:
    with pytest.raises(Unreachable, match="not been seen"):
        await MemberKubeconfigs(Secrets(), fill(listed=False)).kubeconfig(REF)
    with pytest.raises(Unreachable):
        await MemberKubeconfigs(Secrets(), Cache()).kubeconfig(REF)
