"""What the providers of managed clusters ask of the management plane: settings from the cache, Secrets from the API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from atoll.decision.settings import CREDENTIALS
from atoll.errors import BadInput, Unreachable
from atoll.kube.kinds import SECRET
from atoll.kube.secret_text import read_text
from atoll.kube.store import Store
from atoll.ports import ClusterRef
from atoll.providers.managed.surroundings import Declared

from .cache import Cache
from .member_blocks import find_child, find_settings

ENDPOINT: Final = "endpoint"
"""Key of the Secret that names another address than the cloud's own."""
MEMORY_SECONDS: Final = 15.0
"""How long a Secret is believed: hundreds of clusters share one, and all are looked at every few seconds."""


class CloudSurroundings:
    """Reads the block of one provider."""

    def __init__(self, store: Store, cache: Cache, kind: str, *, allow_endpoints: bool) -> None:
        """`allow_endpoints`: Secrets may name another address than the cloud's own."""
        self._store = store
        self._cache = cache
        self._kind = kind
        self._allow_endpoints = allow_endpoints
        self._secrets: dict[tuple[str, str], tuple[float, Mapping[str, str]]] = {}

    async def declared(self, ref: ClusterRef) -> Declared:
        """Read what is declared of a cluster; BadInput where a Secret is missing, Unreachable where nobody can tell."""
        child = find_child(self._cache, ref)
        if child is None:
            raise Unreachable(f"there is no ChildCluster {ref.name} with id {ref.id}")
        cluster_set = self._cache.get(ref.fleet, "ClusterSet", child["spec"]["setName"])
        if cluster_set is None:
            raise Unreachable(f"ClusterSet {child['spec']['setName']} has not been seen yet")
        settings = find_settings(cluster_set, child, self._kind)
        name = str((settings.get(CREDENTIALS) or {}).get("name") or "")
        credentials = await self._read(ref.fleet, name) if name else {}
        endpoint = credentials.get(ENDPOINT, "")
        if endpoint and not self._allow_endpoints:
            raise BadInput(
                f"Secret {name} names an endpoint, and this operator asks the clouds' own addresses only. Take the key "
                f"`{ENDPOINT}` out, or start the operator with --allow-cloud-endpoints.",
                field=f"spec.provider.{self._kind}.{CREDENTIALS}",
            )
        return Declared(
            settings=settings,
            labels=child["metadata"].get("labels") or {},
            credentials={key: value for key, value in credentials.items() if key != ENDPOINT},
            endpoint=endpoint,
        )

    async def _read(self, fleet: str, name: str) -> Mapping[str, str]:
        """Return the texts of a Secret (secret)."""
        now = time.monotonic()
        self._secrets = {key: entry for key, entry in self._secrets.items() if now - entry[0] < MEMORY_SECONDS}
        if (fleet, name) not in self._secrets:
            field = f"spec.provider.{self._kind}.{CREDENTIALS}"
            secret = await self._store.get(SECRET, fleet, name)
            if secret is None:
                raise BadInput(
                    f"{field} names Secret {name}, which is not there. Make it, or name another.", field=field
                )
            texts = {key: read_text(secret, key) for key in secret.get("data") or {}}
            for key, text in texts.items():
                if secret["data"][key] and not text:
                    raise BadInput(f"Secret {name} holds no text under `{key}`: write it anew.", field=field)
            self._secrets[fleet, name] = (now, texts)
        return self._secrets[fleet, name][1]
