"""Namespaces that bear a name that we need, and are somebody else's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from atoll.fleet.decisions import Placement
from atoll.fleet.names import ADOPT, ENVIRONMENT_LABEL, MANAGED_BY, MANAGER, PLACEMENT_LABEL, TENANT_LABEL, TENANT_UID
from atoll.fleet.observed import MemberView
from atoll.fleet.spec import Tenant

LET_GO: Final = ("emptied", "released")
"""Marks of a namespace in which nobody is let in any more: what is left in it is its last tenant's."""


def taken_namespaces(
    placements: Iterable[Placement], view: MemberView, tenants: Mapping[str, Tenant]
) -> tuple[str, ...]:
    """Return the namespaces that stand in the child and are not labelled as this tenant's in this environment.

    They are never adopted silently: whoever made them may have bound others to them. One that was released by an
    earlier tenant of the same name (another UID), or waited for its deletion, holds that tenant's data, and is this
    one's only when annotation `atoll.dev/adopt` on the Tenant names it as `<cluster>/<namespace>`.
    """
    taken = set()
    for placement in placements:
        labels = view.namespaces.get(placement.namespace)
        if labels is None:
            continue
        ours = {TENANT_LABEL: placement.tenant, ENVIRONMENT_LABEL: placement.environment}
        if all(labels.get(key) == value for key, value in ours.items()):
            if labels.get(PLACEMENT_LABEL) in LET_GO and not _may_have(placement, view, tenants):
                taken.add(placement.namespace)
            continue
        if placement.state == "Placed" and labels.get(MANAGED_BY) == MANAGER:
            # We made it, and somebody edited its labels: that is drift, and is put right.
            continue
        taken.add(placement.namespace)
    return tuple(sorted(taken))


def _may_have(placement: Placement, view: MemberView, tenants: Mapping[str, Tenant]) -> bool:
    """Say whether a released namespace was left by this very tenant, or is named for adoption."""
    tenant = tenants.get(placement.tenant)
    if tenant is None:
        # Nothing is built for a tenant that is not there, so nothing of its own is anybody else's either.
        return True
    body = view.objects.get(("Namespace", "", placement.namespace), {})
    annotations = (body.get("metadata") or {}).get("annotations") or {}
    if annotations.get(TENANT_UID, "") == tenant.meta.uid:
        return True
    return f"{placement.cluster}/{placement.namespace}" in tenant.meta.list_named(ADOPT)
