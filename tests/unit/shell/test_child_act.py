"""Writes into a child: only into the pinned one, which is asked who it is, once for a row of writes."""

from __future__ import annotations

from typing import Any

import pytest

from atoll.errors import IdentityMismatch
from atoll.fleet.plan import ApplyMemberObject
from atoll.shell import child_act
from atoll.shell.child_act import ChildHands
from atoll.shell.context import Context, Settings

BODY = {"spec": {"id": "c1", "clusterUID": "pinned", "provider": "local"}}


class Child:
    """A cluster that counts what it is asked."""

    def __init__(self, uid: str = "pinned") -> None:
        self.uid = uid
        self.asked = 0
        self.written: list[str] = []
        self.store = self

    async def require_identity(self, pinned: str) -> None:
        self.asked += 1
        if self.uid != pinned:
            raise IdentityMismatch(f"{self.uid} answers there, not {pinned}")

    async def apply(self, body: dict[str, Any], manager: str) -> None:
        self.written.append(body["metadata"]["name"])


def write(name: str) -> ApplyMemberObject:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "atoll-system"}}
    return ApplyMemberObject(child="eu--a", body=body, reason="it is wanted")


@pytest.fixture
def hands() -> ChildHands:
    none: Any = None
    context = Context(settings=Settings(), store=none, providers={}, connect=none, recorder=none, hub_uid="hub")
    return ChildHands(context, "fleet", "eu--a")


async def act(hands: ChildHands, child: Any, *names: str) -> None:
    for name in names:
        await hands.act(write(name), BODY, child)


async def test_a_row_of_writes_asks_once(hands: ChildHands) -> None:
    child = Child()
    await act(hands, child, "a", "b", "c")
    assert (child.asked, child.written) == (1, ["a", "b", "c"])


async def test_after_a_moment_and_over_another_connection_it_is_asked_anew(
    hands: ChildHands, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, other = Child(), Child()
    await act(hands, child, "a")
    await act(hands, other, "b")
    monkeypatch.setattr(child_act, "PROOF_SECONDS", -1.0)
    await act(hands, other, "c", "d")
    assert (child.asked, other.asked) == (1, 3)


async def test_nothing_is_written_to_a_stranger_however_often_it_is_tried(hands: ChildHands) -> None:
    stranger = Child(uid="another")
    for _ in range(2):
        with pytest.raises(IdentityMismatch):
            await act(hands, stranger, "a")
    assert (stranger.asked, stranger.written) == (2, [])
