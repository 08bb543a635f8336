"""What all admission policies of the management cluster are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from atoll.segregation.cel import ADMISSION, Body, build_rule

from .meta import GROUP

LABELS: Final = {"app.kubernetes.io/name": "atoll", "app.kubernetes.io/component": "policy"}


def match(resources: Sequence[str], *operations: str, group: str = GROUP, version: str = "*") -> Body:
    """Build the constraints of a policy on some of our kinds."""
    rule = build_rule(group, version, resources, operations)
    return {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [rule]}


def pair(flavour: str, name: str, spec: Body, binding: Body | None = None) -> tuple[Body, Body]:
    """Build a policy and the binding that puts it into force everywhere."""
    full = f"atoll-{name}"
    actions = {"validationActions": ["Deny"]} if flavour == "Validating" else {}
    return (
        {
            "apiVersion": ADMISSION,
            "kind": f"{flavour}AdmissionPolicy",
            "metadata": {"name": full, "labels": dict(LABELS)},
            "spec": spec,
        },
        {
            "apiVersion": ADMISSION,
            "kind": f"{flavour}AdmissionPolicyBinding",
            "metadata": {"name": full, "labels": dict(LABELS)},
            "spec": {"policyName": full, **(binding or {}), **actions},
        },
    )
