"""The calls on agent pools."""

from __future__ import annotations

from typing import Any

from azure.mgmt.containerservice import models

from .aks_errors import invalid_parameter, provider_error, resource_missing
from .aks_rules import (
    FIXED_IN_POOL,
    NODE_IMAGE,
    POOLS,
    build_pool_properties,
    check_pool,
    check_system_pool,
    check_unchanged,
)
from .aks_store import Store, new_operation
from .aks_values import Cluster, Pool
from .aks_versions import choose_pool_version, list_upgrades, parse_version
from .aks_views import show_pool
from .aks_wire import accepted, read_body, show_page
from .core import Answer, Ask


class Pools:
    """Agent pools of the clusters of one cloud."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, ask: Ask) -> Answer:
        """Return one."""
        cluster, pool = self._find(ask)
        if pool is None or self._store.is_hidden(pool):
            raise self._missing(ask)
        return Answer(body=show_pool(cluster, pool), headers={"ETag": f'"{pool.etag}"'})

    def list_all(self, ask: Ask) -> Answer:
        """Return those of a cluster."""
        cluster = self._store.get_parent(ask, "agentPools")
        found = [(p.name, show_pool(cluster, p)) for p in cluster.pools.values() if not self._store.is_hidden(p)]
        return show_page(self._store.cloud, ask, found)

    def put(self, ask: Ask) -> Answer:
        """Create one, or make it so: what the body does not name goes back to its default."""
        body = read_body(self._store.cloud, ask, models.AgentPool)
        cluster, pool = self._find(ask)
        self._store.check_match(ask, pool)
        self._store.check_idle(cluster)
        given = body.get("properties") or {}
        if not cluster.version:
            raise provider_error(409, "OperationNotAllowed", f"The cluster {cluster.name} was never made.")
        old = pool.version if pool else ""
        asked = given.get("orchestratorVersion") or (
            pool.properties["orchestratorVersion"] if pool else cluster.version
        )
        version = choose_pool_version(self._store.versions, asked, old, cluster.version)
        modes = {name: other.properties["mode"] for name, other in cluster.pools.items()}
        check_system_pool((modes | {ask.parts["pool"]: given.get("mode", "User")}).values())
        made = self.put_into(cluster, ask.parts["pool"], {**given, "orchestratorVersion": asked}, old or version)
        kind = "Creating" if not old else ("Upgrading" if version != old else "Updating")
        running = new_operation(self._store, cluster, kind=kind, broken=ask.broken, pool=made.name)
        running.pool_versions = {made.name: version}
        self._store.begin(running, cluster, [made], whole=False)
        return accepted(self._store.cloud, running, 200 if old else 201, show_pool(cluster, made))

    def delete(self, ask: Ask) -> Answer:
        """Delete one, if a system pool is left."""
        cluster, pool = self._find(ask)
        if pool is None:
            return Answer(status=204)
        self._store.check_match(ask, pool)
        running = pool.operation
        if running is None or running.kind != "Deleting" or running.status != "InProgress":
            self._store.check_idle(cluster)
            check_system_pool(other.properties["mode"] for other in cluster.pools.values() if other is not pool)
            running = new_operation(self._store, cluster, kind="Deleting", broken=ask.broken, pool=pool.name)
            self._store.begin(running, cluster, [pool], whole=False)
        return accepted(self._store.cloud, running, 202, None)

    def get_upgrade_profile(self, ask: Ask) -> Answer:
        """Return where one can go."""
        cluster, pool = self._find(ask)
        if pool is None:
            raise self._missing(ask)
        reach = [
            version
            for version in list_upgrades(self._store.versions, pool.version)
            if parse_version(version) <= parse_version(cluster.version or "0.0.0")
        ]
        return Answer(
            body={
                "id": f"{cluster.id}/agentPools/{pool.name}/upgradeProfiles/default",
                "name": "default",
                "type": "Microsoft.ContainerService/managedClusters/agentPools/upgradeProfiles",
                "properties": {
                    "kubernetesVersion": pool.version,
                    "osType": pool.properties["osType"],
                    "upgrades": [{"kubernetesVersion": version, "isPreview": None} for version in reach] or None,
                    "latestNodeImageVersion": NODE_IMAGE,
                },
            }
        )

    def put_into(self, cluster: Cluster, name: str, given: dict[str, Any], version: str) -> Pool:
        """Make or change a pool of a cluster, checked; a new one runs `version`. Raises Refused."""
        pool = cluster.pools.get(name)
        merged = dict(given)
        if pool is not None:
            for field in (*FIXED_IN_POOL, "orchestratorVersion", "count"):
                if pool.properties.get(field) is not None:
                    merged.setdefault(field, pool.properties[field])
        elif len(cluster.pools) >= POOLS:
            raise invalid_parameter("agentPoolProfiles", f"A cluster has at most {POOLS} agent pools.")
        if given.get("nodeImageVersion", NODE_IMAGE) != NODE_IMAGE:
            raise invalid_parameter("agentPoolProfile.nodeImageVersion", "The node image was not used recently.")
        wanted = build_pool_properties(merged)
        wanted.setdefault("orchestratorVersion", cluster.properties.get("kubernetesVersion") or version)
        check_pool(name, wanted)
        if pool is None:
            choose_pool_version(self._store.versions, wanted["orchestratorVersion"], "", cluster.version or version)
            pool = Pool(name=name, properties=wanted, version=version, born=self._store.cloud.now())
            cluster.pools[name] = pool
            return pool
        check_unchanged(pool.properties, wanted, FIXED_IN_POOL, "properties")
        pool.properties = wanted
        return pool

    def _find(self, ask: Ask) -> tuple[Cluster, Pool | None]:
        cluster = self._store.get_parent(ask, "agentPools")
        return cluster, cluster.pools.get(ask.parts["pool"])

    def _missing(self, ask: Ask) -> Exception:
        kind = f"managedClusters/{ask.parts['name']}/agentPools"
        return resource_missing(kind, ask.parts["pool"], ask.parts["group"])
