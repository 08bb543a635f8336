"""Who may do what in a child is what the Tenants' manifests say, cell by cell, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence

import pytest

from tests.e2e.tenancy.conftest import Ground
from tests.e2e.tenancy.escapes import body, delete, get, path, post
from tests.e2e.tenancy.escapes_client import Caller
from tests.e2e.tenancy.matrix_ask import ask, list_cells
from tests.e2e.tenancy.matrix_expected import READ, Cell, Subject, is_allowed, list_creatable, list_subjects

pytestmark = pytest.mark.e2e

OWN, OTHERS, SYSTEM = "shop--dev", "shop-x--dev", "atoll-system"
NAMESPACES = (OWN, OTHERS, SYSTEM, "kube-system", "default")
Answers = dict[tuple[Subject, Cell], bool]


def find_differences(answers: Answers, ground: Ground) -> list[str]:
    """Say which answers differ from what the manifests ask for, one cell a line."""
    tenants = tuple(ground.tenants.values())
    return sorted(
        f"{subject.user} ({subject.role or 'no role'}): {cell.verb} {cell.group}/{cell.resource}{cell.path} "
        f"in {cell.namespace or 'the cluster'}: {'allowed' if allowed else 'refused'}"
        for (subject, cell), allowed in answers.items()
        if allowed is not is_allowed(subject, cell, tenants)
    )


async def ask_all(ground: Ground, wanted: Mapping[Subject, Sequence[str]]) -> Answers:
    """Ask child one about each subject in its namespaces; "" stands for the whole cluster."""
    admin = ground.servers.admins["one"]
    async with Caller() as caller:
        cells = await list_cells(caller, admin, NAMESPACES)
        asked = [(subject, cell) for subject, places in wanted.items() for cell in cells if cell.namespace in places]
        return await ask(caller, admin, asked)


def of(ground: Ground, names: Iterable[str]) -> tuple[Subject, ...]:
    """Return the subjects of some tenants."""
    return list_subjects([ground.tenants[name] for name in names])


def test_every_cell_is_what_the_manifests_say(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    subjects = of(ground, ["shop", "shop-x"])
    everywhere = {f"system:serviceaccount:{SYSTEM}:shop--admin", f"system:serviceaccount:{OWN}:default"}
    wanted = {
        subject: (*NAMESPACES, "") if subject.user in everywhere or not subject.tenant else (OWN, OTHERS)
        for subject in subjects
    }
    began = time.monotonic()

    answers = asyncio.run(ask_all(ground, wanted))

    with capsys.disabled():
        print(f"{len(answers)} reviews in {time.monotonic() - began:.1f} s, {sum(answers.values())} allowed")
    assert find_differences(answers, ground) == []
    assert len(answers) > 10_000


def test_one_foreign_binding_turns_exactly_its_cells(ground: Ground) -> None:
    viewer = next(subject for subject in of(ground, ["shop"]) if subject.user.endswith(":shop--viewer"))
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "atoll:viewer"}
    account = {"kind": "ServiceAccount", "name": "shop--viewer", "namespace": SYSTEM}
    binding = body("RoleBinding", "foreign", group="rbac", roleRef=role, subjects=[account])
    admin, where = ground.servers.admins["one"], path(OTHERS, "rolebindings", group="rbac")

    async def try_it() -> Answers:
        async with Caller() as caller:
            made = await caller.send(admin, post(where, binding))
            assert made.accepted, str(made)
            try:
                await asyncio.sleep(1)
                return await ask_all(ground, {viewer: (OWN, OTHERS)})
            finally:
                await caller.send(admin, delete(f"{where}/foreign"))

    answers = asyncio.run(try_it())

    turned = {cell for (_, cell), allowed in answers.items() if allowed and cell.namespace == OTHERS}
    own = {cell for (_, cell), allowed in answers.items() if allowed and cell.namespace == OWN}
    assert {cell.verb for cell in turned} == READ
    assert {(cell.group, cell.resource, cell.verb) for cell in turned} == {
        (cell.group, cell.resource, cell.verb) for cell in own
    }
    assert len(find_differences(answers, ground)) == len(turned)


def test_every_kind_that_a_tenant_may_make_is_counted(ground: Ground) -> None:
    async def look() -> Mapping[str, str]:
        async with Caller() as caller:
            answer = await caller.send(ground.servers.admins["one"], get(path(OWN, "resourcequotas", "atoll")))
            hard: Mapping[str, str] = answer.body["status"]["hard"]
            return hard

    counted = asyncio.run(look())

    uncounted = [
        (group, name)
        for group, name in list_creatable()
        if not {name, f"count/{name}" if not group else f"count/{name}.{group}"} & counted.keys()
    ]
    assert uncounted == []
