"""Parts that all policies are made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from atoll.fleet.names import TENANT_LABEL

from .metadata import build_metadata

Body = dict[str, Any]

ADMISSION: Final = "admissionregistration.k8s.io/v1"
IN_TENANTS_NAMESPACES: Final[Body] = {"matchExpressions": [{"key": TENANT_LABEL, "operator": "Exists"}]}


def build_policy(
    name: str,
    match: Body,
    validations: Iterable[Body],
    *,
    conditions: Iterable[tuple[str, str]] = (),
    variables: Iterable[tuple[str, str]] = (),
    params: tuple[Body, Body] | None = None,
) -> list[Body]:
    """Build a policy and its binding. `params`: `paramKind` of the one, `paramRef` of the other."""
    # Said in full: what is left out, somebody else could fill in to make the policy look away, and it would be theirs.
    whole: Body = {
        "matchPolicy": "Equivalent",
        "namespaceSelector": {},
        "objectSelector": {},
        "excludeResourceRules": [],
    }
    spec: Body = {"failurePolicy": "Fail", "matchConstraints": {**whole, **match}}
    binding: Body = {"policyName": name, "validationActions": ["Deny"], "matchResources": whole}
    if params is not None:
        spec["paramKind"], binding["paramRef"] = params
    for key, found in (("matchConditions", conditions), ("variables", variables)):
        entries = [{"name": part, "expression": expression} for part, expression in found]
        if entries:
            spec[key] = entries
    spec["validations"] = list(validations)
    return [
        {"apiVersion": ADMISSION, "kind": f"ValidatingAdmissionPolicy{suffix}", "metadata": metadata, "spec": content}
        for suffix, metadata, content in (("", build_metadata(name), spec), ("Binding", build_metadata(name), binding))
    ]


def build_rule(group: str, version: str, resources: Sequence[str], operations: Sequence[str]) -> Body:
    """Build one rule of what a policy looks at."""
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": list(operations),
        "resources": list(resources),
        "scope": "*",
    }


def build_validation(expression: str, message: str, *, say: str = "") -> Body:
    """Build one validation; `say` is a CEL text that replaces the message where it can be computed."""
    validation: Body = {"expression": expression, "message": message, "reason": "Forbidden"}
    if say:
        validation["messageExpression"] = say
    return validation


def write_text(text: str) -> str:
    """Write a text for CEL."""
    return json.dumps(text, ensure_ascii=False)


def write_list(texts: Iterable[str]) -> str:
    """Write texts as a CEL list; JSON's quoting is CEL's, too, as long as it escapes no pairs of surrogates."""
    return json.dumps(list(texts), ensure_ascii=False)


def write_user_is(usernames: Iterable[str], groups: Iterable[str]) -> str:
    """Write that whoever asks has one of these names, or is in one of these groups."""
    return (
        f"(request.userInfo.username in {write_list(usernames)} || "
        f"request.userInfo.?groups.orValue([]).exists(group, group in {write_list(groups)}))"
    )
