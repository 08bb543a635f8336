"""What a provider on hosts asks of the management plane: the hosts of a cluster, how to log in, and ConfigMaps.

Login keys are read when they are needed and kept in memory for moments only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from atoll.api.convert_hosts import convert_host, convert_host_pool
from atoll.errors import LoginKeyMissing, Refused
from atoll.fleet.hosts import HostPool, Role
from atoll.hosts.access import HostAccess, Jump
from atoll.kube.kinds import CONFIG_MAP, SECRET
from atoll.kube.secret_text import read_text
from atoll.kube.store import Store
from atoll.ports import Clock, ClusterRef
from atoll.providers.kubeadm.surroundings import ClaimedHost

from .cache import Cache

KEY_FIELD: Final = "ssh-privatekey"
"""As in Secrets of type kubernetes.io/ssh-auth."""


class FleetSurroundings:
    """Reads our own objects from the cache, Secrets and ConfigMaps from the API."""

    def __init__(self, store: Store, cache: Cache, clock: Clock) -> None:
        self._store = store
        self._cache = cache
        self._clock = clock

    async def hosts(self, ref: ClusterRef) -> tuple[ClaimedHost, ...]:
        """Return the hosts that `ref.id` has claimed, control plane first, then by name."""
        found = []
        opened: dict[str, tuple[HostPool, str]] = {}
        for body in self._cache.of_kind(ref.fleet, "Host"):
            # Most hosts are somebody else's, and converting one costs more than looking.
            if (body["spec"].get("claim") or {}).get("clusterID") != ref.id:
                continue
            host = convert_host(body)
            assert host.claim is not None
            if host.pool_name not in opened:
                opened[host.pool_name] = await self._open(ref.fleet, host.pool_name, host.host_name)
            access = build_access(*opened[host.pool_name], host.host_name)
            found.append(
                ClaimedHost(
                    node_name=host.host_name,
                    role=str(host.claim.role),
                    access=access,
                    paused=self._is_paused(opened[host.pool_name][0]),
                )
            )
        return tuple(sorted(found, key=lambda host: (host.role != str(Role.CONTROL_PLANE), host.node_name)))

    async def access(self, fleet: str, pool_name: str, host_name: str) -> HostAccess:
        """Return how to reach one host; Refused where its pool does not list it, LoginKeyMissing for want of a key."""
        return build_access(*await self._open(fleet, pool_name, host_name), host_name)

    async def config_map(self, fleet: str, name: str) -> Mapping[str, str]:
        """Return the data of a ConfigMap of the fleet."""
        body = await self._store.get(CONFIG_MAP, fleet, name)
        if body is None:
            raise Refused(f"there is no ConfigMap {name} in fleet {fleet}. Make it, or take the reference out.")
        data: Mapping[str, str] = body.get("data") or {}
        return data

    def _is_paused(self, pool: HostPool) -> bool:
        return pool.paused is not None and pool.paused.holds(self._clock.now())

    async def _open(self, fleet: str, pool_name: str, host_name: str) -> tuple[HostPool, str]:
        """Return a pool that lists the host, and its login key (secret)."""
        body = self._cache.get(fleet, "HostPool", pool_name)
        pool = convert_host_pool(body) if body is not None else None
        if pool is None or pool.host(host_name) is None:
            raise _refuse_unlisted(pool_name, host_name)
        return pool, await self._read_key(fleet, pool)

    async def _read_key(self, fleet: str, pool: HostPool) -> str:
        name = pool.login.key_secret
        where = f"spec.ssh.keySecretRef of HostPool {pool.meta.name}"
        secret = await self._store.get(SECRET, fleet, name)
        if secret is None:
            raise LoginKeyMissing(f"{where} names Secret {name}, which is not there. Make it, with key {KEY_FIELD}.")
        key = read_text(secret, KEY_FIELD)
        if not key:
            raise LoginKeyMissing(f"{where} names Secret {name}, which has no key {KEY_FIELD}. Add the private key.")
        return key


def build_access(pool: HostPool, key: str, host_name: str) -> HostAccess:
    """Build how to reach one host of a pool; Refused where the pool does not list it."""
    listed = pool.host(host_name)
    if listed is None:
        raise _refuse_unlisted(pool.meta.name, host_name)
    login = pool.login
    jump = login.jump
    return HostAccess(
        name=pool.host_object(host_name),
        address=listed.address,
        host_key=listed.host_key,
        private_key=key,
        user=login.user,
        port=listed.port or login.port,
        sudo=login.sudo,
        jump=None
        if jump is None
        else Jump(address=jump.address, user=jump.user, host_key=jump.host_key, port=jump.port),
    )


def _refuse_unlisted(pool_name: str, host_name: str) -> Refused:
    return Refused(f"HostPool {pool_name} does not list host {host_name}. List it again to reach it.")
