"""Taking Atoll's own machinery out of a cluster that is given back: policies, roles, and its namespace.

Namespaces of tenants stay with all that is in them: whoever gives a cluster back has named nothing that may be lost.
What gave tenants access has gone before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from atoll.errors import Conflict
from atoll.fleet.names import MANAGED_BY, MANAGER, SYSTEM_NAMESPACE
from atoll.kube.kinds import CONFIG_MAP, NAMESPACE, VALIDATING_POLICY_BINDING, Kind, kind_of
from atoll.kube.store import Store
from atoll.segregation import Operators
from atoll.segregation.owner import OWNER_NAME
from atoll.segregation.policies import FIRST_VERSION, build_policies
from atoll.segregation.roles import build_cluster_roles

SELECTOR: Final = f"{MANAGED_BY}={MANAGER}"


async def remove_machinery(store: Store, cluster_id: str, cluster_uid: str) -> None:
    """Delete what Atoll has put into the cluster for itself, if the record there says that it is `cluster_id`.

    `cluster_uid`: its identity, which the caller has proven. May be repeated at any time: the record goes last.
    """
    owner = await store.get(CONFIG_MAP, SYSTEM_NAMESPACE, OWNER_NAME)
    data = (owner or {}).get("data") or {}
    if owner is None or data.get("clusterID") != cluster_id:
        # Nothing was ever written here, all is gone already, or another fleet has taken it over.
        return
    for kind, names in list_machinery().items():
        for body in await store.list(kind, labels=SELECTOR, missing_ok=True):
            if body["metadata"]["name"] in names:
                await _delete(store, kind, body)
    if data.get("hubUID") == cluster_uid:
        # The management cluster as a member of its own fleet: the operator itself may live in that namespace.
        await _delete(store, CONFIG_MAP, owner)
        return
    namespace = await store.get(NAMESPACE, None, SYSTEM_NAMESPACE)
    if namespace is not None and not namespace["metadata"].get("deletionTimestamp"):
        await _delete(store, NAMESPACE, namespace)


def list_machinery() -> Mapping[Kind, frozenset[str]]:
    """Name what Atoll makes in a cluster that is in no namespace, by kind, in the order in which it may go."""
    names: dict[Kind, set[str]] = {
        # Bindings first: from then on the policies bind nobody, and nothing is refused on the way.
        VALIDATING_POLICY_BINDING: set(),
    }
    for body in (*build_policies(FIRST_VERSION, Operators()), *build_cluster_roles()):
        names.setdefault(kind_of(body), set()).add(body["metadata"]["name"])
    return {kind: frozenset(found) for kind, found in names.items()}


async def _delete(store: Store, kind: Kind, body: Mapping[str, Any]) -> None:
    """Delete what was seen, if it is still ours by its label."""
    metadata = body["metadata"]
    if (metadata.get("labels") or {}).get(MANAGED_BY) != MANAGER:
        raise Conflict(
            f"{kind.kind} {metadata['name']} bears no label {SELECTOR} any more: it is not Atoll's to delete"
        )
    await store.delete(kind, metadata.get("namespace"), metadata["name"], uid=metadata["uid"])
