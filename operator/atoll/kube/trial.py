"""Namespaces that verification makes to try something in, and removes again, whatever becomes of the run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from atoll.errors import Conflict

from .kinds import NAMESPACE
from .member import MemberClient

VERIFICATION_LABEL: Final = "atoll.dev/verification"
"""On each of them: what a run that died has left is told from what is somebody else's."""


async def remove_leftover(member: MemberClient, name: str) -> None:
    """Delete what a run that died has left, and wait; one of that name without our label is not ours (Conflict)."""
    found = await member.store.get(NAMESPACE, None, name)
    if found is not None:
        if VERIFICATION_LABEL not in (found["metadata"].get("labels") or {}):
            raise Conflict(f"namespace {name} exists and is not ours")
        await member.store.delete(NAMESPACE, None, name, uid=found["metadata"]["uid"])
        await wait_until_gone(member, name)


async def wait_until_gone(member: MemberClient, name: str) -> None:
    """Wait until there is no such namespace; the caller sets the time limit."""

    async def is_gone() -> bool:
        return await member.store.get(NAMESPACE, None, name) is None

    await wait_until(is_gone)


async def wait_until(look: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again; the caller sets the time limit."""
    pause = 0.1
    while not await look():
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 1.0)
