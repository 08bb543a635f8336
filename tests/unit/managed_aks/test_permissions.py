"""The table of permissions is complete, and holds nothing that nobody needs."""

from __future__ import annotations

import re
from pathlib import Path

from azure.mgmt.containerservice.operations import AgentPoolsOperations, ManagedClustersOperations

import atoll.providers.aks
from atoll.providers.aks.permissions import PERMISSIONS

FOLDER = Path(atoll.providers.aks.__file__).parent
CODE = {path.name: path.read_text() for path in FOLDER.glob("*.py") if path.name != "permissions.py"}
NAME = r"(?:managed_clusters|agent_pools|credential)\.\w+"


def test_every_call_of_the_code_stands_in_the_table_and_nothing_else() -> None:
    said = {name for text in CODE.values() for name in re.findall(f'"({NAME})"', text)}
    assert said == set(PERMISSIONS)


def test_no_call_goes_past_the_table() -> None:
    """What is called by name in the code, is made under that name."""
    made = {name for text in CODE.values() for name in re.findall(rf"(?:azure|_client)\.({NAME})\(", text)}
    assert made <= set(PERMISSIONS)
    assert len(made) == 5


def test_every_call_exists_in_the_sdk() -> None:
    kinds = {"managed_clusters": ManagedClustersOperations, "agent_pools": AgentPoolsOperations}
    for name in PERMISSIONS:
        group, _, method = name.partition(".")
        assert group == "credential" or hasattr(kinds[group], method)


def test_the_role_in_the_documentation_is_the_table() -> None:
    page = (FOLDER.parents[3] / "docs/reference/clouds/aks.md").read_text()
    role = set(re.findall(r'"(Microsoft\.ContainerService/[\w/]+)"', page))
    assert role == {permission.action for permission in PERMISSIONS.values() if permission.action}
    assert all(f"`{name}`" in page for name in PERMISSIONS)
