"""What the provider of existing clusters asks of the management plane: members' Secrets, and identities."""

from __future__ import annotations

from typing import Any, Final

from atoll.errors import BadInput, Unreachable
from atoll.kube.kinds import SECRET
from atoll.kube.kubeconfigs import KEY, read_secret, secret_name
from atoll.kube.store import Store
from atoll.ports import Body, ClusterRef
from atoll.providers.existing.surroundings import Source

from .cache import Cache

FIELD: Final = "kubeconfigSecretRef"


class MemberKubeconfigs:
    """Reads our own objects from the cache, Secrets from the API each time: they rotate, and nobody tells."""

    def __init__(self, store: Store, cache: Cache) -> None:
        self._store = store
        self._cache = cache

    def pinned(self, ref: ClusterRef) -> str | None:
        """Return the UID that the cluster is pinned to, "" while nobody has been there; None: no such ChildCluster."""
        child = self._child(ref)
        return None if child is None else str(child["spec"].get("clusterUID") or "")

    async def kubeconfig(self, ref: ClusterRef) -> Source:
        """Read what the member's block names; who has left the list is reached as it was when it was listed."""
        child = self._child(ref)
        if child is None:
            raise Unreachable(f"there is no ChildCluster {ref.name} with id {ref.id}")
        member = child["spec"]["memberName"]
        cluster_set = self._cache.get(ref.fleet, "ClusterSet", child["spec"]["setName"])
        name = find_reference(cluster_set, member) if cluster_set is not None else ""
        if name:
            where = f"Secret {name} (existing.{FIELD} of member {member})"
            secret = await self._store.get(SECRET, ref.fleet, name)
            if secret is None:
                raise BadInput(
                    f"{where} is not there. Make it, with the kubeconfig under the key `{KEY}`.", field=FIELD
                )
            return Source(text=read_secret(secret), where=where)
        published = await self._store.get(SECRET, ref.fleet, secret_name(ref.name))
        if published is not None:
            return Source(text=read_secret(published), where=f"Secret {secret_name(ref.name)}")
        if cluster_set is None:
            raise Unreachable(f"ClusterSet {child['spec']['setName']} has not been seen yet")
        raise BadInput(
            f"nothing names a kubeconfig for {ref.name}: ClusterSet {child['spec']['setName']} does not list member "
            f"{member} any more. Add it again with existing.{FIELD}, or name it in confirmRemoval.",
            field=FIELD,
        )

    def _child(self, ref: ClusterRef) -> Body | None:
        child = self._cache.get(ref.fleet, "ChildCluster", ref.name)
        return child if child is not None and child["spec"].get("id") == ref.id else None


def find_reference(cluster_set: Body, member_name: str) -> str:
    """Return the name of a member's Secret, from the body as it stands: converting a large set costs more than that."""
    blocks = (cluster_set["spec"].get("provider") or {}).get("existing") or {}
    for member in cluster_set["spec"].get("clusters") or ():
        if member["name"] == member_name:
            block: dict[str, Any] = {**blocks, **(member.get("existing") or {})}
            return str((block.get(FIELD) or {}).get("name") or "")
    return ""
