"""What a provider on hosts asks of the management plane: the hosts of a cluster, how to log in, and ConfigMaps.

Login keys are read when they are needed and kept in memory for moments only.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final

from atoll.api.convert_hosts import convert_host, convert_host_pool
from atoll.errors import LoginKeyMissing, Refused
from atoll.fleet.hosts import HostPool, Role
from atoll.hosts.access import HostAccess, Jump
from atoll.kube.kinds import CONFIG_MAP, SECRET
from atoll.kube.store import Store
from atoll.ports import ClusterRef
from atoll.providers.kubeadm.surroundings import ClaimedHost

from .cache import Cache

KEY_FIELD: Final = "ssh-privatekey"
"""As in Secrets of type kubernetes.io/ssh-auth."""


class FleetSurroundings:
    """Reads our own objects from the cache, Secrets and ConfigMaps from the API."""

    def __init__(self, store: Store, cache: Cache) -> None:
        self._store = store
        self._cache = cache

    async def hosts(self, ref: ClusterRef) -> tuple[ClaimedHost, ...]:
        """Return the hosts that `ref.id` has claimed, control plane first, then by name."""
        found = []
        keys: dict[str, str] = {}
        for body in self._cache.of_kind(ref.fleet, "Host"):
            host = convert_host(body)
            if host.claim is None or host.claim.cluster_id != ref.id:
                continue
            access = await self.access(ref.fleet, host.pool_name, host.host_name, keys)
            found.append(ClaimedHost(node_name=host.host_name, role=str(host.claim.role), access=access))
        return tuple(sorted(found, key=lambda host: (host.role != str(Role.CONTROL_PLANE), host.node_name)))

    async def access(
        self, fleet: str, pool_name: str, host_name: str, keys: dict[str, str] | None = None
    ) -> HostAccess:
        """Return how to reach one host; Refused where its pool does not list it, LoginKeyMissing for want of a key.

        `keys`: those of pools that were read a moment ago, by pool; it is filled up.
        """
        body = self._cache.get(fleet, "HostPool", pool_name)
        pool = convert_host_pool(body) if body is not None else None
        listed = pool.host(host_name) if pool is not None else None
        if pool is None or listed is None:
            raise Refused(f"HostPool {pool_name} does not list host {host_name}. List it again to reach it.")
        known = keys if keys is not None else {}
        if pool_name not in known:
            known[pool_name] = await self._read_key(fleet, pool)
        login = pool.login
        jump = login.jump
        return HostAccess(
            name=pool.host_object(host_name),
            address=listed.address,
            host_key=listed.host_key,
            private_key=known[pool_name],
            user=login.user,
            port=listed.port or login.port,
            sudo=login.sudo,
            jump=None
            if jump is None
            else Jump(address=jump.address, user=jump.user, host_key=jump.host_key, port=jump.port),
        )

    async def config_map(self, fleet: str, name: str) -> Mapping[str, str]:
        """Return the data of a ConfigMap of the fleet."""
        body = await self._store.get(CONFIG_MAP, fleet, name)
        if body is None:
            raise Refused(f"there is no ConfigMap {name} in fleet {fleet}. Make it, or take the reference out.")
        data: Mapping[str, str] = body.get("data") or {}
        return data

    async def _read_key(self, fleet: str, pool: HostPool) -> str:
        name = pool.login.key_secret
        where = f"spec.ssh.keySecretRef of HostPool {pool.meta.name}"
        secret = await self._store.get(SECRET, fleet, name)
        if secret is None:
            raise LoginKeyMissing(f"{where} names Secret {name}, which is not there. Make it, with key {KEY_FIELD}.")
        encoded = (secret.get("data") or {}).get(KEY_FIELD, "")
        try:
            key = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            key = ""
        if not key:
            raise LoginKeyMissing(f"{where} names Secret {name}, which has no key {KEY_FIELD}. Add the private key.")
        return key
