"""What the provider of existing clusters asks of the management plane: members' Secrets, and identities."""

from __future__ import annotations

from typing import Final

from atoll.errors import BadInput, Unreachable
from atoll.kube.kinds import SECRET
from atoll.kube.kubeconfigs import KEY, read_secret, secret_name
from atoll.kube.store import Store
from atoll.ports import ClusterRef
from atoll.providers.existing.surroundings import Source

from .cache import Cache
from .member_blocks import find_block, find_child

KIND: Final = "existing"
FIELD: Final = "kubeconfigSecretRef"


class MemberKubeconfigs:
    """Reads our own objects from the cache, Secrets from the API each time: they rotate, and nobody tells."""

    def __init__(self, store: Store, cache: Cache) -> None:
        self._store = store
        self._cache = cache

    def pinned(self, ref: ClusterRef) -> str | None:
        """Return the UID that the cluster is pinned to, "" while nobody has been there; None: no such ChildCluster."""
        child = find_child(self._cache, ref)
        return None if child is None else str(child["spec"].get("clusterUID") or "")

    async def kubeconfig(self, ref: ClusterRef) -> Source:
        """Read what the member's block names; who has left the list is reached as it was when it was listed."""
        child = find_child(self._cache, ref)
        if child is None:
            raise Unreachable(f"there is no ChildCluster {ref.name} with id {ref.id}")
        member = child["spec"]["memberName"]
        cluster_set = self._cache.get(ref.fleet, "ClusterSet", child["spec"]["setName"])
        block, listed = find_block(cluster_set, member, KIND) if cluster_set is not None else ({}, False)
        name = (block.get(FIELD) or {}).get("name") if listed else ""
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
