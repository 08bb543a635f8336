"""Tries the borders between the tenants of a child: real requests, with the tenants' own short-lived tokens.

Each request is harmless if it succeeds: it reads one object, or is a dry run, which passes authorisation and admission
like any other. A border is red only when the API server let a request through. It is green only when the API server
refused every one, and when the same token was seen to be good: a token that nobody accepts would make all borders
green. Tokens stay in memory, and no answer that was let through is kept or quoted.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from atoll.errors import AtollError, Unreachable
from atoll.fleet.borders import (
    NETWORK,
    OWN_ATTEMPTS,
    PAIR_ATTEMPTS,
    BorderCell,
    BorderPlan,
    BorderRun,
    Person,
    sum_up,
)
from atoll.fleet.names import SYSTEM_NAMESPACE

from .answers import clean_text
from .border_tries import ONE, TOKEN_SECONDS, Try, judge, list_tries
from .credentials import Login, StaticCredentials, build_context
from .kinds import (
    CONFIG_MAP,
    url_path,
)
from .member import MemberClient
from .transport import HttpTransport, Request, Response
from .verdicts import FAILED, PASSED, UNKNOWN, Verdict

RUN_SECONDS: Final = 30.0
REQUEST_SECONDS: Final = 5.0
CONCURRENCY: Final = 3
"""Identities at work at the same time; each sends one request after the other over one connection."""
TRIES: Final = 2
STAND_IN: Final = "atoll-border-try"
"""Name of the user who stands for a group."""
AGENT: Final = "atoll-borders"
"""In audit logs these requests are told from Atoll's own: they are meant to be refused."""


async def run_borders(
    member: MemberClient,
    plan: BorderPlan,
    *,
    now: datetime,
    before: BorderRun | None = None,
    seconds: float = RUN_SECONDS,
) -> BorderRun:
    """Try the borders of a plan and sum up; never raises for what the cluster does. `before`: the last run."""
    return sum_up(plan, await try_borders(member, plan, seconds=seconds), now, before=before)


async def try_borders(
    member: MemberClient, plan: BorderPlan, *, seconds: float = RUN_SECONDS
) -> tuple[BorderCell, ...]:
    """Try the borders of a plan and return every cell, in the plan's order; what could not be asked is Unknown."""
    verdicts: dict[tuple[str, str, str], list[Verdict]] = {}
    slots = asyncio.Semaphore(CONCURRENCY)
    work = [
        _try_as(member, plan, tenant, identity, verdicts, slots)
        for tenant in dict.fromkeys(subject for subject, _ in plan.pairs)
        for identity in plan.sides[tenant].identities
    ]
    late = ""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(*work)
    except TimeoutError:
        late = f"not tried within {seconds:g} s"
    return tuple(_list_cells(plan, verdicts, late))


def _list_cells(
    plan: BorderPlan, verdicts: Mapping[tuple[str, str, str], list[Verdict]], late: str
) -> Iterator[BorderCell]:
    for subject, target in plan.pairs:
        own = subject == target
        identities = len(plan.sides[subject].list_identities(plan.sides[target]))
        for attempt in OWN_ATTEMPTS if own else PAIR_ATTEMPTS:
            told = list(verdicts.get((subject, target, attempt), ()))
            if len(told) < max(identities, 1):
                told.append((UNKNOWN, late or "nothing was tried"))
            result, message = _worst(told)
            yield BorderCell(subject=subject, target=target, attempt=attempt, result=result, message=message)
        if not own:
            yield BorderCell(
                subject=subject, target=target, attempt=NETWORK, result=UNKNOWN, message=plan.network or "not tried"
            )


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict of all: let through once is let through, and one doubt keeps it from being green."""
    for result in (FAILED, UNKNOWN):
        found = next((verdict for verdict in verdicts if verdict[0] == result), None)
        if found is not None:
            return found
    return (PASSED, "") if verdicts else (UNKNOWN, "nothing was tried")


async def _try_as(
    member: MemberClient,
    plan: BorderPlan,
    tenant: str,
    identity: str | Person,
    verdicts: dict[tuple[str, str, str], list[Verdict]],
    slots: asyncio.Semaphore,
) -> None:
    """Try everything that one identity of a tenant must not do; note one verdict per cell as soon as it is known."""
    side = plan.sides[tenant]
    targets = [
        target
        for subject, target in plan.pairs
        if subject == tenant and identity in side.list_identities(plan.sides[target])
    ]
    async with slots:
        caller = _Account(member, identity) if isinstance(identity, str) else _Member(member, identity)
        try:
            doubt = await caller.enter(plan.sides[tenant].namespaces)
            for target in targets:
                for attempt in OWN_ATTEMPTS if target == tenant else PAIR_ATTEMPTS:
                    cell = (tenant, target, attempt)
                    if doubt:
                        verdicts.setdefault(cell, []).append((UNKNOWN, doubt))
                        continue
                    tries = list_tries(plan, tenant, target, attempt)
                    told = [await caller.make(item) for item in tries if caller.can_make(item)]
                    verdicts.setdefault(cell, []).append(_worst(told))
        finally:
            await caller.close()


class _Caller(ABC):
    """One identity of a tenant, on a connection of its own: a shared one would carry ours."""

    def __init__(self, member: MemberClient, what: str, user: str) -> None:
        self._member = member
        self._what = what
        self._user = user
        self._headers: dict[str, str] = {}
        self._transport: HttpTransport | None = None
        self._dead = ""

    async def enter(self, namespaces: tuple[str, ...]) -> str:
        """Log in and see that it is good; return why not, empty when it is."""
        try:
            self._transport = await self._connect()
            home = namespaces[0] if namespaces else SYSTEM_NAMESPACE
            response = await self._send(Request(method="GET", path=url_path(CONFIG_MAP, home), query=ONE))
        except AtollError as error:
            return f"{self._what} got no login that works: {error}"
        # `User "ann" cannot list` is said to ann; `users "ann" is forbidden: User "atoll" cannot impersonate` to us.
        told = f'User "{self._user}"' in _message(response)
        known = response.status == 200 or (response.status == 403 and told)
        return "" if known else f"the API server does not know {self._what}: it answered {response.status}"

    @abstractmethod
    async def _connect(self) -> HttpTransport:
        """Open a connection that carries this identity."""

    def can_make(self, item: Try) -> bool:
        """Say whether this identity can make a try at all."""
        del item
        return True

    async def make(self, item: Try) -> Verdict:
        """Make one try and judge the answer."""
        if self._dead:
            return UNKNOWN, self._dead
        request = Request(
            method=item.method,
            path=item.path,
            query=item.query,
            headers=dict(item.headers),
            body=b"" if item.body is None else json.dumps(item.body).encode(),
        )
        try:
            response = await self._send(request)
        except Unreachable as error:
            # Whoever did not answer twice is not asked the rest; each try would wait for its time-out.
            self._dead = str(error)
            return UNKNOWN, self._dead
        except AtollError as error:
            return UNKNOWN, str(error)
        result, why = judge(response.status, _message(response))
        return result, f"{item.what} {why}"

    async def close(self) -> None:
        """Close the connection; the token is forgotten with it."""
        if self._transport is not None:
            await self._transport.close()
            self._transport = None

    async def _send(self, request: Request) -> Response:
        """Send once more after no answer: whatever is asked here changes nothing."""
        if self._transport is None:
            raise Unreachable("not connected")
        headers = {**request.headers, **self._headers, "User-Agent": AGENT}
        request = replace(request, headers=headers, seconds=REQUEST_SECONDS)
        for left in reversed(range(TRIES)):
            try:
                return await self._transport.send(request)
            except Unreachable:
                if not left:
                    raise
        raise AssertionError("the loop neither returned nor raised")


class _Account(_Caller):
    """One of the tenant's ServiceAccounts, by a short-lived token."""

    def __init__(self, member: MemberClient, account: str) -> None:
        super().__init__(member, f"account {account}", f"system:serviceaccount:{SYSTEM_NAMESPACE}:{account}")
        self._account = account

    async def _connect(self) -> HttpTransport:
        ours = self._member.connection
        token, _ = await self._member.store.create_token(SYSTEM_NAMESPACE, self._account, seconds=TOKEN_SECONDS)
        login = Login(tls=build_context(ca=ours.ca), token=token)
        return HttpTransport(replace(ours, credentials=StaticCredentials(login=login)))


class _Member(_Caller):
    """A user or group of the tenant, impersonated by us: nobody but their issuer can give them tokens."""

    def __init__(self, member: MemberClient, person: Person) -> None:
        kind, name = person
        super().__init__(member, f"{kind} {name}", name if kind == "User" else STAND_IN)
        self._headers = {"Impersonate-User": self._user}
        if kind == "Group":
            self._headers["Impersonate-Group"] = name

    async def _connect(self) -> HttpTransport:
        return HttpTransport(self._member.connection)

    def can_make(self, item: Try) -> bool:
        """Leave out what impersonates somebody else: it would be us who does."""
        return not any(name.startswith("Impersonate") for name in dict(item.headers))


def _message(response: Response) -> str:
    """Return what the server says of a refusal; of what it let through nothing is read."""
    if response.status < 300:
        return ""
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        return ""
    return clean_text(str(body.get("message", "")), 300) if isinstance(body, dict) else ""
