"""Run attempts: each for real, then with its guards taken away one after the other, and tell what was seen."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from tests.e2e.tenancy.escapes import Attempt, Guard
from tests.e2e.tenancy.escapes_client import Answer, Call, Caller, Login
from tests.e2e.tenancy.escapes_digest import take_digest, tell_changes
from tests.e2e.tenancy.escapes_guards import LIFTS, recognise, until

_OF_A_NAMESPACE = frozenset({Guard.QUOTA, Guard.POD_SECURITY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Somebody: at home on a server, with a token, or in whose name the administrator of that server speaks."""

    place: str
    token: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    by_admin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """The servers, by name: with administrators' certificates, and with nothing but the server's own authority."""

    admins: Mapping[str, Login]
    doors: Mapping[str, Login]

    def log_in(self, who: Who, place: str = "") -> Login:
        """Return somebody's login at a server; absent: at home."""
        logins = self.admins if who.by_admin else self.doors
        return replace(logins[place or who.place], token=who.token, headers=who.headers)


@dataclass(slots=True, kw_only=True)
class Seen:
    """What was seen of one attempt."""

    answer: Answer
    held: list[Answer] = field(default_factory=list)
    """What later guards said once those before them were gone."""
    control: Answer | None = None
    """What was said once the last guard was gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was seen of all."""

    attempts: Mapping[str, Seen]
    """By title."""
    seconds: Mapping[str, float]
    """How long the attempts took, and the controls."""
    changes: Mapping[str, list[str]]
    """What each class of attempts has changed anywhere."""
    put_back: Mapping[str, Answer]
    """What one attempt per guard met after all guards had been put back."""


async def run_attempts(servers: Servers, people: Mapping[str, Who], attempts: Sequence[Attempt]) -> Outcome:
    """Run them."""
    async with Caller() as caller:
        runner = _Runner(caller, servers, people)
        seen: dict[str, Seen] = {}
        changes = {}
        before = await runner.settle()
        began = time.monotonic()
        for group in dict.fromkeys(attempt.group for attempt in attempts):
            for attempt in attempts:
                if attempt.group == group:
                    seen[attempt.title] = Seen(answer=await runner.send(attempt))
            after = await runner.digest()
            changes[group] = tell_changes(before, after)
            before = after
        tried = time.monotonic()
        for attempt in attempts:
            await runner.clean_up(attempt, seen[attempt.title].answer)
        await runner.run_controls(attempts, seen)
        first = {attempt.guards: attempt for attempt in reversed(attempts)}
        put_back = {attempt.title: await runner.meet_again(attempt) for attempt in first.values()}
        seconds = {"attempts": tried - began, "controls": time.monotonic() - tried}
    return Outcome(attempts=seen, seconds=seconds, changes=changes, put_back=put_back)


class _Runner:
    def __init__(self, caller: Caller, servers: Servers, people: Mapping[str, Who]) -> None:
        self._caller = caller
        self._servers = servers
        self._people = people

    async def send(self, attempt: Attempt, *, dry: bool = False, who: Login | None = None) -> Answer:
        login = who or self._servers.log_in(self._people[attempt.who], attempt.at)
        return await self._caller.send(login, attempt.call.as_dry_run() if dry else attempt.call)

    async def digest(self) -> Mapping[str, str]:
        found = {}
        for place, admin in self._servers.admins.items():
            found.update({f"{place}: {key}": text for key, text in (await take_digest(self._caller, admin)).items()})
        return found

    async def settle(self) -> Mapping[str, str]:
        """Wait until the controllers of Kubernetes have done what the preparations gave them to do."""
        before = await self.digest()
        for _ in range(20):
            await asyncio.sleep(1)
            after = await self.digest()
            if after == before:
                return after
            before = after
        raise AssertionError("the clusters do not come to rest")

    async def clean_up(self, attempt: Attempt, answer: Answer) -> None:
        """Take away what an attempt has made, so that it does not stand in the way of its control."""
        body = attempt.call.body
        if answer.accepted and attempt.call.method == "POST" and isinstance(body, dict) and "metadata" in body:
            where = f"{attempt.call.path}/{body['metadata']['name']}"
            await self._caller.send(
                self._admin(attempt), Call(method="DELETE", path=where, query={"gracePeriodSeconds": "0"})
            )

    async def run_controls(self, attempts: Sequence[Attempt], seen: Mapping[str, Seen]) -> None:
        together: dict[tuple[str, ...], list[Attempt]] = defaultdict(list)
        for attempt in attempts:
            if attempt.guards == (Guard.AUTHENTICATION,):
                admin = self._servers.admins[attempt.at]
                seen[attempt.title].control = await self.send(attempt, dry=True, who=admin)
                continue
            where = attempt.namespace if _OF_A_NAMESPACE & set(attempt.guards) else ""
            names = (guard.value for guard in attempt.guards)
            together[(self._place(attempt), where, *names)].append(attempt)
        for same in together.values():
            async with AsyncExitStack() as lifted:
                for guard, following in zip(same[0].guards, (*same[0].guards[1:], None), strict=True):
                    await lifted.enter_async_context(LIFTS[guard](self._caller, self._admin(same[0]), same))
                    answers = await asyncio.gather(*(self._meet(attempt, following) for attempt in same))
                    for attempt, answer in zip(same, answers, strict=True):
                        if following is None:
                            seen[attempt.title].control = answer
                        else:
                            seen[attempt.title].held.append(answer)

    async def meet_again(self, attempt: Attempt) -> Answer:
        return await self._meet(attempt, attempt.guards[0])

    async def _meet(self, attempt: Attempt, guard: Guard | None) -> Answer:
        """Send until a guard refuses, or without one until the request comes through."""

        def good(answer: Answer) -> bool:
            return comes_through(attempt, answer) if guard is None else recognise(answer) is guard

        return await until(lambda: self.send(attempt, dry=True), good)

    def _place(self, attempt: Attempt) -> str:
        return attempt.at or self._people[attempt.who].place

    def _admin(self, attempt: Attempt) -> Login:
        return self._servers.admins[self._place(attempt)]


def comes_through(attempt: Attempt, answer: Answer) -> bool:
    """Say whether an answer tells that no guard stood in the way."""
    return answer.accepted or (answer.status in attempt.control_status and recognise(answer) is None)
