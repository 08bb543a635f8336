"""Ask a child who may do what, many questions at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from tests.e2e.tenancy.escapes_client import Call, Caller, Json, Login
from tests.e2e.tenancy.escapes_digest import list_resources
from tests.e2e.tenancy.matrix_expected import PATHS, VERBS, Cell, Subject

_AT_ONCE = 24
_OF_PARTS = ("get", "create", "update", "patch", "*")
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_SPECIAL = (
    ("", "users", ("impersonate",)),
    ("", "groups", ("impersonate",)),
    ("", "serviceaccounts", ("impersonate",)),
    ("authentication.k8s.io", "uids", ("impersonate",)),
    ("authentication.k8s.io", "userextras", ("impersonate",)),
    ("rbac.authorization.k8s.io", "roles", ("bind", "escalate")),
    ("rbac.authorization.k8s.io", "clusterroles", ("bind", "escalate")),
    ("certificates.k8s.io", "signers", ("approve", "sign", "attest")),
    ("apps", "*", ("*",)),
    ("*", "*", ("*",)),
)
"""Verbs and resources of Kubernetes that no discovery names."""


async def list_cells(caller: Caller, admin: Login, namespaces: Sequence[str]) -> list[Cell]:
    """Return the questions: what the server offers in each namespace and in all, what it does not tell, and paths."""
    offered = {("metrics.k8s.io", "pods", True), ("metrics.k8s.io", "nodes", False)}
    for root, entry in await list_resources(caller, admin):
        group = "" if root == "/api/v1" else root.split("/")[2]
        offered.add((group, entry["name"], entry["namespaced"]))
    # Subresources that are not in discovery, because they are no objects.
    offered |= {("", "nodes/metrics", False), ("", "nodes/log", False), ("", "nodes/stats", False)}
    return [*_list_offered(sorted(offered), namespaces), *_list_special(namespaces)]


def _list_offered(offered: Iterable[tuple[str, str, bool]], namespaces: Sequence[str]) -> Iterator[Cell]:
    for group, resource, namespaced in offered:
        for namespace in (*namespaces, "") if namespaced else ("",):
            # Nothing lists or watches a subresource; what creates or deletes one is the server itself.
            for verb in VERBS if "/" not in resource else _OF_PARTS:
                yield Cell(verb=verb, group=group, resource=resource, namespace=namespace)


def _list_special(namespaces: Sequence[str]) -> Iterator[Cell]:
    for group, resource, verbs in _SPECIAL:
        for namespace in (*namespaces, ""):
            for verb in verbs:
                yield Cell(verb=verb, group=group, resource=resource, namespace=namespace)
    for path in PATHS:
        for verb in ("get", "post"):
            yield Cell(verb=verb, path=path)


async def ask(
    caller: Caller, admin: Login, questions: Sequence[tuple[Subject, Cell]]
) -> dict[tuple[Subject, Cell], bool]:
    """Return the answers."""
    answers: dict[tuple[Subject, Cell], bool] = {}
    waiting = iter(questions)

    async def work() -> None:
        for subject, cell in waiting:
            call = Call(
                method="POST", path="/apis/authorization.k8s.io/v1/subjectaccessreviews", body=_build(subject, cell)
            )
            answer = await caller.send(admin, call)
            assert answer.status == 201, str(answer)
            answers[subject, cell] = answer.body["status"]["allowed"]

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return answers


def _build(subject: Subject, cell: Cell) -> Json:
    spec: Json = {"user": subject.user, "groups": list(subject.groups)}
    if cell.path:
        spec["nonResourceAttributes"] = {"path": cell.path, "verb": cell.verb}
    else:
        resource, _, subresource = cell.resource.partition("/")
        spec["resourceAttributes"] = {
            "verb": cell.verb,
            "group": cell.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": cell.namespace,
        }
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
