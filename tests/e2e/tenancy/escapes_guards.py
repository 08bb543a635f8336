"""Which guard it was that refused, and how each is taken away for a moment and put back.

Nothing of Atoll is imported: a guard is told by what the API server says, and lifted by what any administrator could
do.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from tests.e2e.tenancy.escapes import Attempt, Guard, body, path
from tests.e2e.tenancy.escapes_client import Answer, Call, Caller, Json, Login

_REGISTRATION: Final = "admissionregistration.k8s.io/v1"
_LEVEL: Final = "pod-security.kubernetes.io/enforce"
_WORDS: Final = (
    (Guard.POLICY, re.compile(r"ValidatingAdmissionPolicy '[^']+' with binding '[^']+' denied request")),
    (Guard.POD_SECURITY, re.compile("violates PodSecurity")),
    (Guard.QUOTA, re.compile("exceeded quota")),
    (Guard.ACCOUNT, re.compile("error looking up service account")),
    (Guard.RBAC, re.compile(r'User "[^"]*" cannot \w+ (resource|path) ')),
)


def recognise(answer: Answer) -> Guard | None:
    """Say which guard refused; None for an answer that no guard gives."""
    if (answer.status, answer.reason) == (401, "Unauthorized"):
        return Guard.AUTHENTICATION
    if answer.status not in {403, 422}:
        return None
    return next((guard for guard, words in _WORDS if words.search(answer.message)), None)


Lift = Callable[[Caller, Login, Sequence[Attempt]], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def _lift_rbac(caller: Caller, admin: Login, attempts: Sequence[Attempt]) -> AsyncIterator[None]:
    """Make everybody who is not anonymous an administrator."""
    where = path("", "clusterrolebindings", group="rbac")
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    everybody = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}]
    made = body("ClusterRoleBinding", "lifted", group="rbac", roleRef=role, subjects=everybody)
    await _do(caller, admin, Call(method="POST", path=where, body=made))
    try:
        yield
    finally:
        await _do(caller, admin, Call(method="DELETE", path=f"{where}/lifted"))


@asynccontextmanager
async def _lift_policy(caller: Caller, admin: Login, attempts: Sequence[Attempt]) -> AsyncIterator[None]:
    async with _without(caller, admin, path("", "validatingadmissionpolicybindings", group=_REGISTRATION)):
        yield


@asynccontextmanager
async def _lift_quota(caller: Caller, admin: Login, attempts: Sequence[Attempt]) -> AsyncIterator[None]:
    (namespace,) = {attempt.namespace for attempt in attempts}
    async with _without(caller, admin, path(namespace, "resourcequotas")):
        yield


@asynccontextmanager
async def _lift_pod_security(caller: Caller, admin: Login, attempts: Sequence[Attempt]) -> AsyncIterator[None]:
    (namespace,) = {attempt.namespace for attempt in attempts}
    where = path("", "namespaces", namespace)
    before = (await _do(caller, admin, Call(method="GET", path=where)))["metadata"]["labels"][_LEVEL]
    await _do(caller, admin, _set_level(where, "privileged"))
    try:
        yield
    finally:
        await _do(caller, admin, _set_level(where, before))


def _set_level(where: str, level: str) -> Call:
    return Call(method="PATCH", path=where, body={"metadata": {"labels": {_LEVEL: level}}})


@asynccontextmanager
async def _lift_account(caller: Caller, admin: Login, attempts: Sequence[Attempt]) -> AsyncIterator[None]:
    """Make the accounts that are named."""
    named: set[tuple[str, str]] = set()
    for attempt in attempts:
        assert isinstance(attempt.call.body, dict)
        named.add((attempt.namespace, attempt.call.body["spec"]["serviceAccountName"]))
    for namespace, name in named:
        where = path(namespace, "serviceaccounts")
        await _do(caller, admin, Call(method="POST", path=where, body=body("ServiceAccount", name)))
    try:
        yield
    finally:
        for namespace, name in named:
            await _do(caller, admin, Call(method="DELETE", path=path(namespace, "serviceaccounts", name)))


LIFTS: Final[Mapping[Guard, Lift]] = {
    Guard.RBAC: _lift_rbac,
    Guard.POLICY: _lift_policy,
    Guard.QUOTA: _lift_quota,
    Guard.POD_SECURITY: _lift_pod_security,
    Guard.ACCOUNT: _lift_account,
}
"""All but authentication: its control is another login."""


async def until(look: Callable[[], Awaitable[Answer]], good: Callable[[Answer], bool], seconds: float = 8) -> Answer:
    """Look until the answer is good, and return the last one: servers take a moment to notice a lifted guard."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        answer = await look()
        if good(answer) or loop.time() > deadline:
            return answer
        await asyncio.sleep(0.1)


@asynccontextmanager
async def _without(caller: Caller, admin: Login, where: str) -> AsyncIterator[None]:
    """Delete every object of a collection, and put them back."""
    listed = await _do(caller, admin, Call(method="GET", path=where))
    kind, version, found = listed["kind"].removesuffix("List"), listed["apiVersion"], listed["items"]
    for item in found:
        await _do(caller, admin, Call(method="DELETE", path=f"{where}/{item['metadata']['name']}"))
    try:
        yield
    finally:
        for item in found:
            metadata = {
                key: item["metadata"][key] for key in ("name", "labels", "annotations") if key in item["metadata"]
            }
            again = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": item["spec"]}
            await _do(caller, admin, Call(method="POST", path=where, body=again))


async def _do(caller: Caller, admin: Login, call: Call) -> Json:
    answer = await caller.send(admin, call)
    assert answer.accepted, f"{call.method} {call.path}: {answer}"
    return answer.body
