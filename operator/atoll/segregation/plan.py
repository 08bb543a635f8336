"""From what is in a child to what belongs there, in steps.

Rights go first: whatever grants access and is no longer wanted is deleted before anything is applied. What bounds a
namespace (quota, limits, network policies) is only taken back where a quota is still wanted; a namespace that was
orphaned, or that nobody asks for any more, keeps its bounds; flows into and out of it are rights, and go. A namespace
goes only when it is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from atoll.fleet.names import ENVIRONMENT_LABEL, MANAGED_BY, MANAGER, SYSTEM_NAMESPACE, TENANT_LABEL
from atoll.fleet.observed import MemberView, ObjectKey
from atoll.fleet.plan import ApplyMemberObject, ChildStep, DeleteMemberObject

from .flows import FLOWS
from .guards import OBJECTS_GUARD
from .metadata import find_key
from .wanted import LAST, ORDER

_RIGHTS: Final = ("RoleBinding", "ServiceAccount")
_BOUNDS: Final = ("LimitRange", "NetworkPolicy", "ResourceQuota")
_POLICIES: Final = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
_Covers = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]


def plan_member_objects(
    child_name: str,
    wanted: tuple[Mapping[str, Any], ...],
    view: MemberView,
    *,
    covers: _Covers,
    taken: frozenset[str] = frozenset(),
    frozen_tenants: frozenset[str] = frozenset(),
    release_namespaces: frozenset[str] = frozenset(),
) -> tuple[ChildStep, ...]:
    """Apply what is missing or drifted, delete what bears our label and is no longer wanted.

    `covers(wanted, observed)` says whether what was seen already has all that is wanted. Nothing is done in `taken`
    namespaces, nor to objects of `frozen_tenants` (their spec cannot be read, or they are paused). `release_namespaces`
    names the namespaces that may be deleted.
    """
    by_key = {find_key(body): body for body in wanted}
    # Whoever still has access to a namespace lives in it: naming it for release is then a contradiction, and it stays.
    lived_in = {key[1] for key in by_key if key[0] == "RoleBinding"}
    released = release_namespaces - lived_in - {SYSTEM_NAMESPACE}
    by_key = {key: body for key, body in by_key.items() if _place_of(key) not in released}
    mine = {
        key: body
        for key, body in by_key.items()
        if _place_of(key) not in taken and _label(body, TENANT_LABEL) not in frozen_tenants
    }
    bounded = {key[1] for key in mine if key[0] == "ResourceQuota"}
    # Without it nobody knows who we are there, and the policies that stand, stay.
    guarded = ("ValidatingAdmissionPolicy", "", OBJECTS_GUARD) in by_key
    deletes: list[tuple[tuple[int, ObjectKey], ChildStep]] = []
    applies: list[tuple[tuple[int, ObjectKey], ChildStep]] = []
    for key, body in view.objects.items():
        if key in by_key or _place_of(key) in taken or _label(body, TENANT_LABEL) in frozen_tenants:
            continue
        reason = _why_delete(key, body, bounded, released, guarded=guarded)
        uid = (body.get("metadata") or {}).get("uid", "")
        if reason and uid:
            deletes.append(((0 if key[0] in _RIGHTS else 1, key), _delete(child_name, key, uid, reason)))
    for key, body in mine.items():
        observed = view.objects.get(key)
        stuck = _why_make_anew(key[0], body, observed) if observed is not None else ""
        if observed is not None and not stuck and covers(body, observed):
            continue
        reason = f"{_name(key)} is missing{_for(body)}"
        if observed is not None:
            reason = f"{_name(key)} differs from what is wanted{_for(body)}"
            uid = (observed.get("metadata") or {}).get("uid", "")
            if stuck and uid:
                deletes.append(((0, key), _delete(child_name, key, uid, f"{_name(key)} {stuck}{_for(body)}")))
        fresh = key[0] == "Namespace" and key[2] not in view.namespaces and bool(_label(body, TENANT_LABEL))
        step = ApplyMemberObject(child=child_name, body=body, reason=reason, must_be_new=fresh)
        applies.append(((ORDER.get(key[0], LAST), key), step))
    return tuple(step for steps in (deletes, applies) for _, step in sorted(steps, key=lambda item: item[0]))


def _why_delete(
    key: ObjectKey, body: Mapping[str, Any], bounded: set[str], released: frozenset[str], *, guarded: bool
) -> str:
    """Say why an object that is not wanted goes; empty when it stays."""
    kind, namespace, name = key
    if _label(body, MANAGED_BY) != MANAGER:
        return ""
    if kind == "Namespace":
        goes = name in released and bool(_label(body, TENANT_LABEL))
        return f"Namespace {name} was released{_for(body)}" if goes else ""
    if kind in _POLICIES:
        return f"{_name(key)} is no longer wanted" if guarded and name.startswith("atoll-") else ""
    ours = bool(_label(body, TENANT_LABEL)) or (kind == "ClusterRole" and name.startswith("atoll:"))
    if not ours:
        return ""
    if kind == "RoleBinding" or (kind == "ServiceAccount" and namespace == SYSTEM_NAMESPACE) or kind == "ClusterRole":
        return f"{_name(key)} grants access that is no longer wanted{_for(body)}"
    if kind == "NetworkPolicy" and name == FLOWS:
        return f"{_name(key)} lets in or out what is no longer agreed on{_for(body)}"
    if kind in _BOUNDS and namespace in bounded:
        return f"{_name(key)} is no longer wanted{_for(body)}"
    return ""


def _why_make_anew(kind: str, body: Mapping[str, Any], observed: Mapping[str, Any]) -> str:
    """Say what no apply can put right; empty when one can."""
    if kind == "RoleBinding" and observed.get("roleRef") != body["roleRef"]:
        # An API server never changes roleRef.
        return "binds another role"
    if kind in _POLICIES:
        # Into these lists everybody puts entries of their own, which an apply leaves where they are.
        spec = observed.get("spec") or {}
        actions = set(spec.get("validationActions") or ()) - set(body["spec"].get("validationActions", ()))
        wanted = {entry["name"] for entry in body["spec"].get("matchConditions", ())}
        conditions = {entry.get("name") for entry in spec.get("matchConditions") or ()} - wanted
        if actions or conditions:
            return "was made to look away"
    return ""


def _delete(child_name: str, key: ObjectKey, uid: str, reason: str) -> DeleteMemberObject:
    kind, namespace, name = key
    return DeleteMemberObject(child=child_name, kind=kind, namespace=namespace, name=name, uid=uid, reason=reason)


def _place_of(key: ObjectKey) -> str:
    kind, namespace, name = key
    return name if kind == "Namespace" else namespace


def _label(body: Mapping[str, Any], key: str) -> str:
    labels = (body.get("metadata") or {}).get("labels") or {}
    return str(labels.get(key, ""))


def _name(key: ObjectKey) -> str:
    kind, namespace, name = key
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _for(body: Mapping[str, Any]) -> str:
    tenant, environment = _label(body, TENANT_LABEL), _label(body, ENVIRONMENT_LABEL)
    if not tenant:
        return ""
    return f" (tenant {tenant}, environment {environment})" if environment else f" (tenant {tenant})"
