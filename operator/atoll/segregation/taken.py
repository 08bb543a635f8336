"""Namespaces that bear a name that we need, and are somebody else's."""

from __future__ import annotations

from collections.abc import Iterable

from atoll.fleet.decisions import Placement
from atoll.fleet.names import ENVIRONMENT_LABEL, MANAGED_BY, MANAGER, TENANT_LABEL
from atoll.fleet.observed import MemberView


def taken_namespaces(placements: Iterable[Placement], view: MemberView) -> tuple[str, ...]:
    """Return the namespaces that stand in the child and are not labelled as this tenant's in this environment.

    They are never adopted silently: whoever made them may have bound others to them.
    """
    taken = set()
    for placement in placements:
        labels = view.namespaces.get(placement.namespace)
        ours = {TENANT_LABEL: placement.tenant, ENVIRONMENT_LABEL: placement.environment}
        if labels is None or all(labels.get(key) == value for key, value in ours.items()):
            continue
        if placement.state == "Placed" and labels.get(MANAGED_BY) == MANAGER:
            # We made it, and somebody edited its labels: that is drift, and is put right.
            continue
        taken.add(placement.namespace)
    return tuple(sorted(taken))
