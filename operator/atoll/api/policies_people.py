"""Admission policies about who asks: nobody approves, or asks for a change, in another person's name."""

from __future__ import annotations

from collections.abc import Sequence

from atoll.fleet.names import REQUESTED_BY
from atoll.segregation.cel import Body, build_validation, write_list

from .policy_parts import match, pair


def build_approvers() -> tuple[Body, ...]:
    """Build the policy that people approve in their own name only."""
    spec = {
        "matchConstraints": match(("approvals",), "CREATE"),
        "failurePolicy": "Fail",
        "validations": [
            build_validation(
                "object.spec.approver.username == request.userInfo.username",
                "spec.approver.username must be your own user name. `atoll approve` fills it in.",
                say=(
                    "'spec.approver.username must be your own user name, ' + request.userInfo.username + "
                    "'. `atoll approve` fills it in.'"
                ),
            ),
            build_validation(
                "object.spec.approver.?groups.orValue([]).all(group, group in request.userInfo.?groups.orValue([]))",
                "spec.approver.groups must be groups of your own. `atoll approve` fills them in.",
            ),
        ],
    }
    return pair("Validating", "approvers", spec)


def build_mutating_policies(delegates: Sequence[str] = ()) -> tuple[Body, ...]:
    """Build the MutatingAdmissionPolicy with its binding, for management clusters from 1.36 on.

    `delegates`: user names that may name somebody else as the requester, such as a GitOps controller.
    """
    claimed = f"object.metadata.?annotations[?'{REQUESTED_BY}'].orValue('')"
    before = f"oldObject.metadata.?annotations[?'{REQUESTED_BY}'].orValue('')"
    changed = "(request.operation == 'CREATE' || object.spec != oldObject.spec)"
    spec = {
        "matchConstraints": match(("clustersets", "rollouts"), "CREATE", "UPDATE"),
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "variables": [
            {
                "name": "requester",
                "expression": (
                    f"request.userInfo.username in {write_list(delegates)} && {claimed} != '' ? {claimed} : "
                    "request.userInfo.username"
                ),
            },
            {"name": "wanted", "expression": f"{changed} ? variables.requester : {before}"},
        ],
        "mutations": [
            {
                "patchType": "ApplyConfiguration",
                "applyConfiguration": {
                    "expression": (
                        f"variables.wanted == {claimed} ? Object{{}} : Object{{metadata: Object.metadata{{annotations: "
                        f"{{'{REQUESTED_BY}': variables.wanted}}}}}}"
                    )
                },
            }
        ],
    }
    return pair("Mutating", "requested-by", spec, {})


def build_requesters(delegates: Sequence[str] = ()) -> tuple[Body, ...]:
    """Build the policy that nobody names another person as the one who asks.

    Where the mutating policy is there, the annotation is right by the time this looks. On older management clusters
    nobody writes it, and a forged one would make its author an approver of their own change.
    """
    claimed = f"object.metadata.?annotations[?'{REQUESTED_BY}'].orValue('')"
    before = f"oldObject.metadata.?annotations[?'{REQUESTED_BY}'].orValue('')"
    spec = {
        "matchConstraints": match(("clustersets",), "CREATE", "UPDATE"),
        "failurePolicy": "Fail",
        "validations": [
            build_validation(
                f"{claimed} == '' || {claimed} == request.userInfo.username || "
                f"request.userInfo.username in {write_list(delegates)} || "
                f"(oldObject != null && object.spec == oldObject.spec && {claimed} == {before})",
                f"annotation {REQUESTED_BY} says who asks for the change of spec. Remove it, or name yourself in it.",
            )
        ],
    }
    return pair("Validating", "requesters", spec)
