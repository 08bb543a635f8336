"""The calls on managed clusters."""

from __future__ import annotations

from typing import Any

from azure.mgmt.containerservice import models

from .aks_errors import Refused, invalid_parameter, manager_error, provider_error
from .aks_login import AKS_SERVER
from .aks_pools import Pools
from .aks_rules import (
    CLUSTER_NAME,
    FIXED_IN_CLUSTER,
    FIXED_IN_NETWORK,
    build_cluster_properties,
    check_cluster,
    check_system_pool,
    check_tags,
    check_unchanged,
    fixed,
    missing,
)
from .aks_store import Store, new_operation
from .aks_values import Cluster, Operation, Pool
from .aks_versions import (
    DEFAULT_MINOR,
    build_upgrade_profile,
    check_skew,
    choose_version,
)
from .aks_views import build_login_plugin, show_cluster, show_kubeconfig
from .aks_wire import accepted, read_body, show_page
from .core import Answer, Ask


class Clusters:
    """Managed clusters of one cloud."""

    def __init__(self, store: Store, pools: Pools, tenant: str) -> None:
        self._store = store
        self._pools = pools
        self._tenant = tenant

    def get(self, ask: Ask) -> Answer:
        """Return one."""
        cluster = self._store.get(ask, reading=True)
        return Answer(body=show_cluster(cluster, self._tenant), headers={"ETag": f'"{cluster.etag}"'})

    def list_all(self, ask: Ask) -> Answer:
        """Return those of a subscription, or of one of its resource groups."""
        group = ask.parts.get("group")
        found = [
            (cluster.id.lower(), show_cluster(cluster, self._tenant))
            for cluster in self._store.clusters()
            if cluster.subscription.lower() == ask.parts["subscription"].lower()
            and (group is None or cluster.group.lower() == group.lower())
            and not self._store.is_hidden(cluster)
        ]
        return show_page(self._store.cloud, ask, found)

    def put(self, ask: Ask, creator: str) -> Answer:
        """Create one, or make it so: what the body does not name goes back to its default."""
        body = read_body(self._store.cloud, ask, models.ManagedCluster)
        cluster = self._store.find(ask)
        self._store.check_match(ask, cluster)
        if cluster is None:
            return self._create(ask, body, creator)
        self._store.check_idle(cluster)
        return self._update(ask, cluster, body)

    def patch(self, ask: Ask) -> Answer:
        """Replace the tags."""
        body = read_body(self._store.cloud, ask, models.TagsObject)
        cluster = self._store.get(ask)
        self._store.check_match(ask, cluster)
        self._store.check_idle(cluster)
        check_tags(body.get("tags") or {}, "tags")
        cluster.body["tags"] = body.get("tags") or {}
        running = new_operation(self._store, cluster, kind="Updating", broken=ask.broken)
        self._store.begin(running, cluster, [])
        return accepted(self._store.cloud, running, 200, show_cluster(cluster, self._tenant))

    def delete(self, ask: Ask) -> Answer:
        """Delete one with its node resource group, unless something foreign in there holds that up."""
        cluster = self._store.find(ask)
        if cluster is None:
            return Answer(status=204)
        self._store.check_match(ask, cluster)
        running = cluster.operation
        if running is None or running.kind != "Deleting":
            self._store.check_idle(cluster)
            blocked = bool(cluster.left_behind)
            ends = not blocked and not ask.broken
            running = new_operation(
                self._store, cluster, kind="Deleting", broken=ask.broken, blocked=blocked, waits_for_backing=ends
            )
            self._store.begin(running, cluster, list(cluster.pools.values()))
            if ends:
                self._store.cloud.backing.end(cluster.uid)
        return accepted(self._store.cloud, running, 202, None)

    def abort(self, ask: Ask) -> Answer:
        """Stop what is under way."""
        cluster = self._store.get(ask)
        running = self._store.running(cluster)
        if running is None or running.kind == "Deleting":
            raise provider_error(400, "AbortOperationNotAllowed", "There is no operation that can be aborted.")
        touched = [pool for pool in cluster.pools.values() if pool.operation is running]
        running.status, running.ended = "Canceled", self._store.cloud.now()
        stop = new_operation(self._store, cluster, kind="Canceling", pool=running.pool)
        self._store.begin(stop, cluster, touched, whole=not running.pool)
        return accepted(self._store.cloud, stop, 202, None)

    def get_upgrade_profile(self, ask: Ask) -> Answer:
        """Return where the cluster and its pools can go."""
        cluster = self._store.get(ask, reading=True)
        pools = [(pool.name, pool.version) for pool in cluster.pools.values()]
        version = cluster.version or cluster.properties["kubernetesVersion"]
        return Answer(
            body={
                "id": f"{cluster.id}/upgradeprofiles/default",
                "name": "default",
                "type": "Microsoft.ContainerService/managedClusters/upgradeprofiles",
                "properties": build_upgrade_profile(self._store.versions, version, pools),
            }
        )

    def list_user_credentials(self, ask: Ask) -> Answer:
        """Return a kubeconfig that says where the cluster is; with managed Entra login it holds no secret."""
        cluster = self._store.get(ask, reading=True)
        login = cluster.properties.get("aadProfile")
        asked = dict(ask.query).get("format", "exec")
        if asked not in ("azure", "exec"):
            raise invalid_parameter("format", f"The value of parameter format is invalid: {asked}.")
        if login is None:
            return self._show_credentials(cluster, "clusterUser", {"token": cluster.local_token})
        if asked == "azure":
            raise provider_error(400, "BadRequest", "The azure auth plugin is not supported by this version.")
        return self._show_credentials(
            cluster, "clusterUser", build_login_plugin(AKS_SERVER, login["tenantID"], "v1beta1")
        )

    def list_admin_credentials(self, ask: Ask) -> Answer:
        """Return a kubeconfig of the local administrator."""
        cluster = self._store.get(ask, reading=True)
        if cluster.properties["disableLocalAccounts"]:
            raise provider_error(
                400,
                "BadRequest",
                "Getting static credential is not allowed because this cluster is set to disable local accounts.",
            )
        return self._show_credentials(cluster, "clusterAdmin", {"token": cluster.local_token})

    def _show_credentials(self, cluster: Cluster, name: str, user: dict[str, Any]) -> Answer:
        endpoint = self._store.cloud.backing.endpoint(cluster.uid)
        if endpoint is None:
            raise provider_error(404, "NotFound", f"The control plane of {cluster.name} is not there yet.")
        return Answer(body={"kubeconfigs": [show_kubeconfig(cluster, name, *endpoint, user)]})

    def _create(self, ask: Ask, body: dict[str, Any], creator: str) -> Answer:
        """Begin a new cluster."""
        name, group = ask.parts["name"], self._store.check_group(ask)
        if not CLUSTER_NAME.fullmatch(name):
            raise invalid_parameter("resourceName", f"The value of parameter resourceName is invalid: {name}.")
        location = str(body["location"]).replace(" ", "").lower()
        self._check_quota(ask.parts["subscription"], location)
        given = body.get("properties") or {}
        if not given.get("agentPoolProfiles"):
            raise missing("agentPoolProfiles")
        wanted = build_cluster_properties(given, group, name, location, self._tenant)
        check_cluster(wanted, body)
        wanted.setdefault("kubernetesVersion", DEFAULT_MINOR)
        version = choose_version(self._store.versions, wanted["kubernetesVersion"], "", name)
        cluster = Cluster(
            subscription=ask.parts["subscription"],
            group=group,
            name=name,
            location=location,
            creator=creator,
            born=self._store.cloud.now(),
            body={key: value for key, value in body.items() if key not in ("properties", "location")},
            properties=wanted,
        )
        for profile in given["agentPoolProfiles"]:
            self._pools.put_into(cluster, profile["name"], profile, version)
        check_system_pool(pool.properties["mode"] for pool in cluster.pools.values())
        self._store.add(ask, cluster)
        return self._begin(ask, cluster, "Creating", version, list(cluster.pools.values()), {}, 201)

    def _update(self, ask: Ask, cluster: Cluster, body: dict[str, Any]) -> Answer:
        """Begin to make a cluster so."""
        if str(body["location"]).replace(" ", "").lower() != cluster.location:
            raise manager_error(
                409,
                "InvalidResourceLocation",
                f"The resource '{cluster.name}' already exists in location '{cluster.location}' in resource group "
                f"'{cluster.group}'. A resource with the same name cannot be created in location '{body['location']}'.",
            )
        given = dict(body.get("properties") or {})
        wanted = self._merge(cluster, given)
        check_cluster(wanted, body)
        version = choose_version(self._store.versions, wanted["kubernetesVersion"], cluster.version, cluster.name)
        profiles = {profile["name"]: profile for profile in given.get("agentPoolProfiles") or []}
        versions = self._plan_pool_versions(cluster, profiles, version)
        touched = self._put_pools(cluster, profiles, version)
        touched += [cluster.pools[name] for name in versions if name not in profiles]
        cluster.properties = wanted
        cluster.body = {key: value for key, value in body.items() if key not in ("properties", "location")}
        kind = (
            "Creating"
            if not cluster.version
            else ("Upgrading" if version != cluster.version or versions else "Updating")
        )
        for name in versions:
            cluster.pools[name].properties["orchestratorVersion"] = wanted["kubernetesVersion"]
        return self._begin(ask, cluster, kind, version, touched, dict.fromkeys(versions, version), 200)

    def _put_pools(self, cluster: Cluster, profiles: dict[str, Any], version: str) -> list[Pool]:
        """Make the pools so: all of them, or none when one is refused."""
        before = {name: pool.properties for name, pool in cluster.pools.items()}
        try:
            touched = [
                self._pools.put_into(
                    cluster, name, {k: v for k, v in profile.items() if k != "orchestratorVersion"}, version
                )
                for name, profile in profiles.items()
            ]
            check_system_pool(pool.properties["mode"] for pool in cluster.pools.values())
        except Refused:
            cluster.pools = {name: pool for name, pool in cluster.pools.items() if name in before}
            for name, properties in before.items():
                cluster.pools[name].properties = properties
            raise
        return touched

    def _merge(self, cluster: Cluster, given: dict[str, Any]) -> dict[str, Any]:
        """Return the wanted properties: as given, what cannot change as it is, the rest by default."""
        old, network = cluster.properties, dict(given.get("networkProfile") or {})
        for field in (*FIXED_IN_CLUSTER, "kubernetesVersion"):
            if old.get(field) is not None:
                given.setdefault(field, old[field])
        for field in FIXED_IN_NETWORK:
            if old["networkProfile"].get(field) is not None:
                network.setdefault(field, old["networkProfile"][field])
        given["networkProfile"] = network
        wanted = build_cluster_properties(given, cluster.group, cluster.name, cluster.location, self._tenant)
        check_unchanged(old, wanted, FIXED_IN_CLUSTER, "properties")
        check_unchanged(old["networkProfile"], wanted["networkProfile"], FIXED_IN_NETWORK, "properties.networkProfile")
        if old["disableLocalAccounts"] is False and old.get("aadProfile") and not wanted.get("aadProfile"):
            raise fixed("properties.aadProfile")
        return wanted

    def _plan_pool_versions(self, cluster: Cluster, profiles: dict[str, Any], version: str) -> list[str]:
        """Return the pools that go along to a version: all, or none. Raises Refused.

        All pools name a version or none does. Unnamed they follow the control plane; named they stay, or name its own.
        """
        named = {name: p.get("orchestratorVersion") for name, p in profiles.items() if name in cluster.pools}
        new = {version, ".".join(version.split(".")[:2])}
        follow = [name for name, asked in named.items() if asked in new and cluster.pools[name].version != version]
        stay = [
            name
            for name, asked in named.items()
            if asked in (cluster.pools[name].version, cluster.pools[name].properties.get("orchestratorVersion"))
        ]
        unnamed = [name for name, asked in named.items() if asked is None]
        if (unnamed and len(unnamed) < len(named)) or set(named) - {*follow, *stay, *unnamed}:
            raise provider_error(
                400,
                "NotAllAgentPoolOrchestratorVersionSpecifiedAndUnchanged",
                "Using managed cluster api, all Agent pools' OrchestratorVersion must be all specified or all "
                "unspecified. If all specified, they must be stay unchanged or the same with control plane. For agent "
                "pool specific change, please use per agent pool operations: https://aka.ms/agent-pool-rest-api",
            )
        if version != cluster.version and len(unnamed) == len(named):
            follow = [name for name, pool in cluster.pools.items() if pool.version != version]
        follow = [name for name in follow if name not in stay or name in unnamed]
        for name, pool in cluster.pools.items():
            if name not in follow:
                check_skew(pool.version, version)
        return follow

    def _begin(
        self,
        ask: Ask,
        cluster: Cluster,
        kind: Any,
        version: str,
        pools: list[Pool],
        pool_versions: dict[str, str],
        status: int,
    ) -> Answer:
        """Let a create or an update be under way, and answer. Pools come after the control plane."""
        cloud = self._store.cloud
        moves = version != cluster.version and not ask.broken
        running: Operation = new_operation(
            self._store,
            cluster,
            kind=kind,
            broken=ask.broken,
            version=version,
            pool_versions=pool_versions,
            waits_for_backing=moves,
        )
        running.control_plane_due = running.due
        if pool_versions and version != cluster.version:
            running.due += cloud.faults.seconds
        if moves:
            self._store.begin_plane(cluster, version)
        self._store.begin(running, cluster, pools)
        return accepted(cloud, running, status, show_cluster(cluster, self._tenant))

    def _check_quota(self, subscription: str, location: str) -> None:
        here = [c for c in self._store.clusters() if (c.subscription, c.location) == (subscription, location)]
        if len(here) >= self._store.max_clusters:
            raise provider_error(
                400,
                "QuotaExceeded",
                f"Operation could not be completed as it results in exceeding the approved quota of managed clusters "
                f"in {location}: current limit {self._store.max_clusters}, current usage {len(here)}, additional "
                "required 1.",
            )
