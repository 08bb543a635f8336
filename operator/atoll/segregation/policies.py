"""The admission policies of a child: what its own API server refuses, whether Atoll runs or not.

Each is one ValidatingAdmissionPolicy with one binding of the same name: no webhook, no service that can be down, and
`failurePolicy: Fail`. Kubernetes exempts these kinds themselves from policies, so whoever may delete a binding can lift
it; nobody can lock Atoll or the cluster's owner out for good, and Atoll puts it back. Tenants have no such right.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from atoll.fleet.values import Version

from .cel import Body
from .guards import build_guards
from .operators import Operators
from .pod_fences import build_pod_fences
from .service_fences import build_other_fences

FIRST_VERSION: Final = Version.parse("v1.30.0")
"""Older API servers do not serve the kind as v1."""


def build_policies(
    served: Version, operators: Operators | None, priority_classes: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """Build every policy with its binding; none where the API server is too old.

    As long as nobody knows who Atoll is there (`operators` is None), what guards its own objects is left out: it would
    keep Atoll out, too. `priority_classes`: those that tenants may use.
    """
    if served < FIRST_VERSION:
        return []
    guards: list[Body] = build_guards(operators) if operators is not None else []
    return [*guards, *build_pod_fences(tuple(sorted(priority_classes))), *build_other_fences()]
