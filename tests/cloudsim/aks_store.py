"""What the stand-in for Azure holds, and how its long operations end: by the clock, looked at when somebody asks."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from .aks_errors import manager_error, not_allowed, precondition_failed, resource_missing
from .aks_values import Cluster, Operation, Pool, state_of
from .aks_versions import VERSIONS, minor_of
from .core import Ask, StandIn


class Store:
    """All clusters and operations of one cloud."""

    def __init__(self, cloud: StandIn) -> None:
        self.cloud = cloud
        self.subscriptions: set[str] = set()
        self.groups: dict[tuple[str, str], str] = {}
        """Subscription and name in lower case → the name as it was written."""
        self.versions: Mapping[str, tuple[str, ...]] = VERSIONS
        self.max_clusters = 5000
        """Per subscription and location."""
        self._clusters: dict[tuple[str, str, str], Cluster] = {}
        self.operations: dict[str, Operation] = {}

    def clusters(self) -> Iterator[Cluster]:
        """Go through all clusters, each as it is now."""
        for cluster in list(self._clusters.values()):
            self.settle(cluster)
        yield from list(self._clusters.values())

    def find(self, ask: Ask) -> Cluster | None:
        """Return the cluster that a path names, as it is now."""
        cluster = self._clusters.get(_key(ask))
        if cluster is not None:
            self.settle(cluster)
        return self._clusters.get(_key(ask))

    def get(self, ask: Ask, *, reading: bool = False) -> Cluster:
        """Return the cluster that a path names. Raises Refused."""
        cluster = self.find(ask)
        if cluster is None or (reading and self.is_hidden(cluster)):
            raise resource_missing("managedClusters", ask.parts["name"], ask.parts["group"])
        return cluster

    def get_parent(self, ask: Ask, kind: str) -> Cluster:
        """Return the cluster under which a path goes on. Raises Refused."""
        cluster = self.find(ask)
        if cluster is None:
            parent = ask.path.rsplit(f"/{kind}", 1)[0]
            raise manager_error(
                404,
                "ParentResourceNotFound",
                f"Failed to perform 'read' on resource(s) of type 'managedClusters/{kind}', because the parent "
                f"resource '{parent}' could not be found.",
            )
        return cluster

    def is_hidden(self, thing: Cluster | Pool) -> bool:
        """Say whether reads do not find it yet."""
        return self.cloud.now() < thing.born + self.cloud.faults.hidden_seconds

    def add(self, ask: Ask, cluster: Cluster) -> None:
        """Remember a new cluster."""
        self._clusters[_key(ask)] = cluster

    def check_group(self, ask: Ask) -> str:
        """Return the resource group as it was written. Raises Refused."""
        found = self.groups.get((ask.parts["subscription"].lower(), ask.parts["group"].lower()))
        if found is None:
            named = ask.parts["group"]
            raise manager_error(404, "ResourceGroupNotFound", f"Resource group '{named}' could not be found.")
        return found

    def check_idle(self, cluster: Cluster) -> None:
        """Refuse while something is under way: Azure takes one change at a time, on the cluster or on one pool."""
        running = self.running(cluster)
        if running is None:
            return
        if running.pool:
            raise not_allowed(
                f"Operation is not allowed: Another agentpool operation ({running.pool} - {running.kind}) is in "
                "progress, please wait for it to finish before starting a new operation. See "
                "https://aka.ms/aks-pending-operation for more details"
            )
        raise not_allowed(
            f"Operation is not allowed because there's an in progress {running.kind.lower()} managed cluster operation "
            f"(operation ID: {running.id}) on the managed cluster. Please wait for it to finish before starting a new "
            "operation. You can also use 'az aks operation-abort' to abort the ongoing operation."
        )

    def running(self, cluster: Cluster) -> Operation | None:
        """Return what is under way on a cluster or on one of its pools."""
        for thing in all_things(cluster):
            if thing.operation is not None and thing.operation.status == "InProgress":
                return thing.operation
        return None

    def check_match(self, ask: Ask, thing: Cluster | Pool | None) -> None:
        """Obey If-Match and If-None-Match. Raises Refused."""
        wanted, unwanted = ask.headers.get("If-Match", ""), ask.headers.get("If-None-Match", "")
        if unwanted not in ("", "*") or (wanted and unwanted):
            raise manager_error(400, "BadRequest", "If-None-Match can be '*' or empty, and stands alone.")
        if unwanted and thing is not None:
            raise precondition_failed("If-None-Match is '*', and the resource exists.")
        if wanted and thing is None and ask.method == "PUT":
            raise precondition_failed("If-Match is set, and the resource does not exist.")
        if wanted not in ("", "*") and thing is not None and wanted.strip('"') != thing.etag:
            raise precondition_failed("The value of If-Match does not match the latest etag of the resource.")

    def begin(self, operation: Operation, cluster: Cluster, pools: list[Pool], *, whole: bool = True) -> Operation:
        """Let an operation be under way on these; `whole`: on the cluster itself too."""
        self.operations[operation.id] = operation
        things: list[Cluster | Pool] = [cluster, *pools] if whole else [*pools]
        for thing in things:
            thing.operation, thing.error = operation, None
            thing.etag = str(uuid.uuid4())
        return operation

    def settle(self, cluster: Cluster) -> None:
        """Bring a cluster to where it is by now."""
        running = self.running(cluster)
        if running is None:
            return
        now = self.cloud.now()
        if running.version and self._has_new_version(cluster, running):
            cluster.version = running.version
        if now < running.due or not (running.broken or self._is_backed(cluster, running)):
            return
        failure = self._find_failure(cluster, running)
        if running.kind == "Deleting" and failure is None:
            self._remove(cluster, running)
        else:
            self._finish(cluster, running, failure)

    def _has_new_version(self, cluster: Cluster, running: Operation) -> bool:
        """Say whether the control plane runs what the operation brings it to."""
        late = self.cloud.now() >= (running.control_plane_due or running.due)
        stopped = running.broken or bool(self.cloud.backing.failure(cluster.uid))
        return late and not stopped and self._is_backed(cluster, running)

    def _is_backed(self, cluster: Cluster, running: Operation) -> bool:
        """Say whether the control plane has done its part."""
        if not running.waits_for_backing:
            return True
        backing = self.cloud.backing
        if not backing.is_settled(cluster.uid):
            return False
        gone = running.kind == "Deleting"
        return gone or bool(backing.failure(cluster.uid)) or backing.endpoint(cluster.uid) is not None

    def _find_failure(self, cluster: Cluster, running: Operation) -> dict[str, Any] | None:
        """Return what an operation failed of; None when it did not."""
        if running.broken:
            return {"code": "InternalOperationError", "message": "Internal server error. Please retry later."}
        stopped = self.cloud.backing.failure(cluster.uid) if running.waits_for_backing else ""
        if stopped:
            return {"code": "ControlPlaneAddOnsNotReady", "message": stopped}
        if running.blocked:
            return build_blocked(cluster)
        return None

    def _finish(self, cluster: Cluster, running: Operation, failure: Mapping[str, Any] | None) -> None:
        """End an operation that leaves its things there."""
        ended = "Failed" if failure else ("Canceled" if running.kind == "Canceling" else "Succeeded")
        running.status = "Failed" if failure else "Succeeded"
        running.ended, running.error = running.due, failure
        for thing in all_things(cluster):
            if thing.operation is running:
                thing.operation, thing.error = None, failure
                thing.rest = "Failed" if ended == "Failed" else ("Canceled" if ended == "Canceled" else "Succeeded")
        if failure is None:
            for name, version in running.pool_versions.items():
                cluster.pools[name].version = version

    def _remove(self, cluster: Cluster, running: Operation) -> None:
        """End a deletion."""
        running.status, running.ended = "Succeeded", running.due
        if running.pool:
            cluster.pools.pop(running.pool, None)
            return
        for key, found in list(self._clusters.items()):
            if found is cluster:
                del self._clusters[key]

    def begin_plane(self, cluster: Cluster, version: str) -> None:
        """Let the control plane begin, or go to a version."""
        if not cluster.version:
            self.cloud.backing.begin(cluster.uid, minor_of(version))
        elif minor_of(version) != minor_of(cluster.version):
            self.cloud.backing.change(cluster.uid, minor_of(version))


def all_things(cluster: Cluster) -> list[Cluster | Pool]:
    """Return a cluster and its pools."""
    return [cluster, *cluster.pools.values()]


def build_blocked(cluster: Cluster) -> dict[str, Any]:
    """Return the error of a deletion that foreign things hold up."""
    named = ",".join(sorted(cluster.left_behind))
    return {
        "code": "ResourceGroupDeletionBlocked",
        "message": f"Deletion of resource group '{cluster.node_group}' failed as resources with identifiers '{named}' "
        "could not be deleted. The provisioning state of the resource group will be rolled back. The tracking Id is "
        f"'{uuid.uuid4()}'. Please check audit logs for more details.",
        "details": [
            {"code": "Conflict", "target": resource, "message": reason}
            for resource, reason in sorted(cluster.left_behind.items())
        ],
    }


def new_operation(store: Store, cluster: Cluster, **more: Any) -> Operation:
    """Return an operation that begins now and takes as long as the cloud's changes take."""
    cloud = store.cloud
    return Operation(
        started=cloud.now(),
        due=cloud.later(),
        location=cluster.location,
        subscription=cluster.subscription,
        **more,
    )


def describe_state(thing: Cluster | Pool) -> dict[str, Any]:
    """Return provisioning state and, of what failed, why."""
    shown: dict[str, Any] = {"provisioningState": state_of(thing)}
    if thing.error is not None:
        shown["status"] = {"provisioningError": thing.error}
    return shown


def _key(ask: Ask) -> tuple[str, str, str]:
    return ask.parts["subscription"].lower(), ask.parts["group"].lower(), ask.parts["name"].lower()
