"""Every call that the code makes has its permission, nothing else has one, and the docs hold the policy."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import botocore.session

import atoll.providers.eks
from atoll.providers.eks.permissions import BESIDE, CALLS, build_policy, to_api_name

FOLDER = Path(atoll.providers.eks.__file__).parent
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "clouds" / "eks.md"
ROLES = ("arn:aws:iam::111122223333:role/eks-cluster", "arn:aws:iam::111122223333:role/eks-nodes")


def find_calls() -> set[str]:
    """Return every method of the two services that the code names, outside of the table itself."""
    session = botocore.session.get_session()
    known = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        for service in ("eks", "sts")
        for name in session.get_service_model(service).operation_names
    }
    trees = [ast.parse(path.read_text()) for path in FOLDER.glob("*.py") if path.name != "permissions.py"]
    words = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {word for word in words if word in known}


def test_the_table_holds_the_calls_that_the_code_makes_and_no_others() -> None:
    assert find_calls() == set(CALLS)


def test_each_call_is_one_of_the_api_under_its_name() -> None:
    session = botocore.session.get_session()
    for method, permission in CALLS.items():
        service, _, action = permission.action.partition(":")
        assert action == to_api_name(method)
        assert action in session.get_service_model(service).operation_names
        assert permission.why


def test_the_docs_name_every_permission_and_hold_the_policy_that_the_code_builds() -> None:
    text = PAGE.read_text()
    for method, permission in CALLS.items():
        assert f"| `{to_api_name(method)}` | `{permission.action}` | {permission.why} |" in text
    for permission in BESIDE:
        assert f"`{permission.action}`" in text
    (policy,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert json.loads(policy) == build_policy("111122223333", ROLES)
