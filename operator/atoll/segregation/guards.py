"""Policies that keep everybody but Atoll from Atoll's objects, and from the labels that borders and governance hang on.

Let through are Atoll itself and what Kubernetes needs to work: service accounts of kube-system (garbage collector,
namespace and quota controllers, tokens), the API server (it counts quotas), controller manager, scheduler and kubelets.
Administrators of the child are not: what they want changed is changed on the management cluster.
"""

from __future__ import annotations

from typing import Final

from atoll.fleet.names import (
    ENVIRONMENT_LABEL,
    MANAGED_BY,
    MANAGED_LABELS,
    MANAGER,
    PLACEMENT_LABEL,
    PROTECTED_ANNOTATION,
    TENANT_LABEL,
)

from .cel import Body, build_policy, build_rule, build_validation, write_list, write_text, write_user_is
from .namespace import POD_SECURITY_PREFIX
from .operators import Operators

SYSTEM_USERS: Final = ("system:apiserver", "system:kube-controller-manager", "system:kube-scheduler")
SYSTEM_GROUPS: Final = ("system:serviceaccounts:kube-system", "system:nodes")
OBJECTS_GUARD: Final = "atoll-own-objects"
_ALWAYS: Final = ("CREATE", "UPDATE", "DELETE")
_GIVEN_BY_ATOLL: Final = (TENANT_LABEL, ENVIRONMENT_LABEL, PLACEMENT_LABEL)
"""Labels by which a namespace is taken for a tenant's, wherever they stand."""
_REMEDY: Final = "Change the Tenant, Environment, Regime or ClusterSet that it follows from, on the management cluster."


def build_guards(operators: Operators) -> list[Body]:
    """Build both policies with their bindings."""
    trusted = write_user_is(
        (*operators.usernames, *SYSTEM_USERS), tuple(dict.fromkeys((*operators.groups, *SYSTEM_GROUPS)))
    )
    conditions = (("not-trusted", f"!{trusted}"),)
    return [*_build_objects(conditions), *_build_namespaces(conditions)]


def _build_objects(conditions: tuple[tuple[str, str], ...]) -> list[Body]:
    # The selector is asked about the old object as well as the new one, so that giving and taking the label count.
    match: Body = {
        "objectSelector": {"matchLabels": dict(MANAGED_LABELS)},
        "resourceRules": [build_rule("*", "*", ("*/*",), _ALWAYS)],
        "excludeResourceRules": [
            build_rule("", "*", ("namespaces", "namespaces/*"), _ALWAYS),
            # On a management cluster these have policies of their own.
            build_rule("atoll.dev", "*", ("*/*",), _ALWAYS),
        ],
    }
    message = f"label {MANAGED_BY}={MANAGER} marks Atoll's own objects, and only Atoll writes them. {_REMEDY}"
    say = f"request.resource.resource + ' ' + request.name + ': ' + {write_text(message)}"
    return build_policy(OBJECTS_GUARD, match, [build_validation("false", message, say=say)], conditions=conditions)


def _build_namespaces(conditions: tuple[tuple[str, str], ...]) -> list[Body]:
    match: Body = {"resourceRules": [build_rule("", "v1", ("namespaces", "namespaces/*"), _ALWAYS)]}
    own = (
        "key.startsWith('atoll.dev/') || key.contains('.atoll.dev/') || "
        f"key.startsWith('{POD_SECURITY_PREFIX}') || key == '{MANAGED_BY}' || key in variables.copied"
    )
    given = (
        f"key in {write_list(_GIVEN_BY_ATOLL)} || key.startsWith('governance.atoll.dev/') || "
        "key.startsWith('regime.atoll.dev/')"
    )
    variables = (
        ("before", "oldObject == null ? {} : oldObject.metadata.?labels.orValue({})"),
        ("after", "object == null ? {} : object.metadata.?labels.orValue({})"),
        ("notesBefore", "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})"),
        ("notesAfter", "object == null ? {} : object.metadata.?annotations.orValue({})"),
        (
            "ours",
            f"'{TENANT_LABEL}' in variables.before || variables.before[?'{MANAGED_BY}'].orValue('') == '{MANAGER}'",
        ),
        ("copied", f"variables.notesBefore[?'{PROTECTED_ANNOTATION}'].orValue('').split(',')"),
        ("changed", _write_changed("variables.before", "variables.after")),
        ("notesChanged", _write_changed("variables.notesBefore", "variables.notesAfter")),
    )
    name = "'namespace ' + request.name + ': '"
    labels = "labels of Atoll, of governance and of pod security are not for others to set, change or remove here."
    notes = "annotations under atoll.dev are not for others to set, change or remove here."
    given_message = (
        "only Atoll makes a namespace a tenant's, or marks one as governed. Remove the labels under atoll.dev, and "
        f"{MANAGED_BY}={MANAGER}."
    )
    validations = [
        build_validation(
            "request.operation != 'DELETE' || !variables.ours",
            f"only Atoll deletes a tenant's namespace. {_REMEDY}",
            say=f"{name} + {write_text(f'only Atoll deletes it, because it is for tenants. {_REMEDY}')}",
        ),
        build_validation(
            f"request.operation == 'DELETE' || !variables.ours || !variables.changed.exists(key, {own})",
            f"{labels} {_REMEDY}",
            say=f"{name} + {write_text(f'{labels} {_REMEDY}')}",
        ),
        build_validation(
            f"request.operation == 'DELETE' || variables.ours || (!variables.changed.exists(key, {given}) && "
            f"variables.after[?'{MANAGED_BY}'].orValue('') != '{MANAGER}')",
            given_message,
            say=f"{name} + {write_text(given_message)}",
        ),
        build_validation(
            "request.operation == 'DELETE' || !variables.ours || "
            "!variables.notesChanged.exists(key, key.startsWith('atoll.dev/') || key.contains('.atoll.dev/'))",
            f"{notes} {_REMEDY}",
            say=f"{name} + {write_text(f'{notes} {_REMEDY}')}",
        ),
        build_validation(
            "request.operation != 'UPDATE' || !variables.ours || "
            "object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences",
            "a tenant's namespace has no owner in its cluster: the garbage collector would delete it with that owner.",
        ),
    ]
    return build_policy("atoll-own-namespaces", match, validations, conditions=conditions, variables=variables)


def _write_changed(before: str, after: str) -> str:
    """Write the list of keys that one of two maps lacks, or that differ."""
    return (
        f"{before}.filter(key, !(key in {after}) || {after}[key] != {before}[key]) + "
        f"{after}.filter(key, !(key in {before}))"
    )
