"""What the cloud remembers: clusters, and the operations that change them by the clock."""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from google.cloud.container_v1.types import cluster_service as api
from google.rpc import code_pb2

from .core import StandIn
from .gke_errors import busy, impossible, not_found
from .gke_model import new
from .gke_places import Place
from .gke_versions import Catalogue, minor_name

ClusterStatus = api.Cluster.Status
PoolStatus = api.NodePool.Status
OperationStatus = api.Operation.Status
Kind = api.Operation.Type


@dataclass(kw_only=True)
class Cluster:
    """One cluster; `message` is what the API shows, but for what `Book.show` adds."""

    place: Place
    message: Any
    key: str
    """Its name for the backing."""
    born: float
    quiet_since: float
    """When the latest operation ended."""
    pools_born: dict[str, float] = field(default_factory=dict)
    """When node pools were added to it later."""
    degraded: str = ""
    left: list[str] = field(default_factory=list)
    """What controllers inside it made and the cloud's API does not show."""
    holders: list[str] = field(default_factory=list)
    """What uses its nodes from outside, so that they cannot be deleted."""

    def pool(self, name: str) -> Any:
        """Return the message of a node pool."""
        for pool in self.message.node_pools:
            if pool.name == name:
                return pool
        raise not_found(self.place.with_pool(name).path)


@dataclass(kw_only=True)
class Work:
    """One operation."""

    place: Place
    cluster: Cluster
    message: Any
    start: float
    due: float
    finish: Callable[[], None]
    fail: Callable[[str], None]
    failure: tuple[int, str] | None = None
    waits_for_backing: bool = False


class Book:
    """The cloud's memory. Called under the stand-in's lock."""

    def __init__(self, cloud: StandIn, catalogue: Catalogue) -> None:
        self.cloud = cloud
        self.catalogue = catalogue
        self.clusters: dict[Place, Cluster] = {}
        self.works: dict[Place, Work] = {}
        self._active: dict[str, Work] = {}
        """Key of a cluster → the one operation that works on it."""
        self.unreachable: set[str] = set()
        """Regions and zones that do not answer."""
        self.left_behind: dict[str, list[str]] = {}
        """What is still there of deleted clusters, by their path."""

    def find(self, place: Place) -> Cluster:
        """Return a cluster that may be seen by now."""
        path = Place(project=place.project, location=place.location, cluster=place.cluster)
        found = self.clusters.get(path)
        if found is None or self.cloud.now() < found.born + self.cloud.faults.hidden_seconds:
            raise not_found(path.path)
        return found

    def hides(self, cluster: Cluster, pool: str) -> bool:
        """Say whether a node pool is too young to be seen."""
        born = cluster.pools_born.get(pool)
        return born is not None and self.cloud.now() < born + self.cloud.faults.hidden_seconds

    def list_visible(self, project: str, location: str) -> Iterator[Cluster]:
        """Go through the clusters of a location, `-` for all, that may be seen and reached."""
        for place, cluster in sorted(self.clusters.items(), key=lambda item: item[0].path):
            seen = self.cloud.now() >= cluster.born + self.cloud.faults.hidden_seconds
            asked = place.project == project and location in ("-", place.location)
            if asked and seen and place.location not in self.unreachable:
                yield cluster

    def running(self, cluster: Cluster) -> Work | None:
        """Return the operation that works on a cluster."""
        return self._active.get(cluster.key)

    def check_idle(self, cluster: Cluster) -> None:
        """Refuse while an operation works on the cluster."""
        if work := self.running(cluster):
            raise busy(work.message.name)

    def check_usable(self, cluster: Cluster) -> None:
        """Refuse what would change a cluster that is busy or was never finished."""
        self.check_idle(cluster)
        if cluster.message.status == ClusterStatus.ERROR:
            # Our words.
            raise impossible(f"Cluster {cluster.place.cluster} is in state ERROR and can only be deleted.")

    def begin(
        self,
        cluster: Cluster,
        kind: int,
        *,
        finish: Callable[[], None],
        fail: Callable[[str], None] | None = None,
        broken: bool = False,
        pool: str = "",
        waits_for_backing: bool = False,
        seconds: float | None = None,
    ) -> Any:
        """Begin an operation and return its message."""
        now = self.cloud.now()
        at = cluster.place
        name = f"operation-{int(now * 1000)}-{uuid.uuid4()}"
        place = Place(project=at.project, location=at.location, operation=name)
        message = new(api.Operation)
        message.name = name
        message.operation_type = kind
        message.status = OperationStatus.PENDING
        message.zone = message.location = at.location
        message.self_link = place.link
        message.target_link = at.with_pool(pool).link if pool else at.link
        message.start_time = stamp(now)
        lasts = self.cloud.faults.seconds if seconds is None else seconds
        work = self.works[place] = self._active[cluster.key] = Work(
            place=place,
            cluster=cluster,
            message=message,
            start=now,
            due=now + lasts,
            finish=finish,
            fail=fail or (lambda _: None),
            failure=(code_pb2.INTERNAL, BROKEN) if broken else None,
            waits_for_backing=waits_for_backing,
        )
        return work.message

    def settle(self) -> None:
        """Bring everything to where it is by now."""
        now = self.cloud.now()
        for work in list(self._active.values()):
            if work.message.status == OperationStatus.PENDING and now > work.start + 0.1 * (work.due - work.start):
                work.message.status = OperationStatus.RUNNING
            if now >= work.due and self._is_backed(work):
                self._end(work)

    def _is_backed(self, work: Work) -> bool:
        """Say whether what stands behind the cluster is ready too, or has failed."""
        if not work.waits_for_backing or work.failure is not None:
            return True
        backing, key = self.cloud.backing, work.cluster.key
        if not backing.is_settled(key):
            return False
        if reason := backing.failure(key):
            work.failure = (code_pb2.INTERNAL, reason)
            return True
        return work.message.operation_type != Kind.CREATE_CLUSTER or backing.endpoint(key) is not None

    def _end(self, work: Work) -> None:
        """End an operation, well or badly."""
        message, cluster = work.message, work.cluster
        if cluster.message.status in (ClusterStatus.RECONCILING, ClusterStatus.PROVISIONING):
            cluster.message.status = ClusterStatus.RUNNING
        if work.failure is None:
            work.finish()
        else:
            code, reason = work.failure
            message.error.code, message.error.message = code, reason
            message.status_message = reason
            work.fail(reason)
        message.status = OperationStatus.DONE
        del self._active[cluster.key]
        message.end_time = stamp(self.cloud.now())
        cluster.quiet_since = self.cloud.now()

    def show(self, cluster: Cluster) -> Any:
        """Return what the API says of a cluster now."""
        shown = new(api.Cluster)
        shown.CopyFrom(cluster.message)
        if cluster.degraded and shown.status == ClusterStatus.RUNNING:
            shown.status = ClusterStatus.DEGRADED
            shown.status_message = cluster.degraded
            condition = shown.conditions.add()
            condition.message, condition.canonical_code = cluster.degraded, code_pb2.FAILED_PRECONDITION
        shown.label_fingerprint = fingerprint(dict(shown.resource_labels))
        for pool in list(shown.node_pools):
            if self.hides(cluster, pool.name):
                shown.node_pools.remove(pool)
        for pool in shown.node_pools:
            self.complete_pool(cluster, pool)
        versions = {pool.version for pool in shown.node_pools}
        shown.current_node_version = min(versions) if versions else shown.current_master_version
        shown.current_node_count = sum(pool.initial_node_count * len(pool.locations) for pool in shown.node_pools)
        found = self.cloud.backing.endpoint(cluster.key)
        if found is not None and shown.status != ClusterStatus.PROVISIONING:
            url, ca_pem = found
            # The real field holds an address without a port; `https://` before it gives the URL here as there.
            address = url.removeprefix("https://")
            shown.endpoint = address
            shown.master_auth.cluster_ca_certificate = base64.b64encode(ca_pem.encode()).decode()
            ends = shown.control_plane_endpoints_config.ip_endpoints_config
            ends.private_endpoint = shown.private_cluster_config.private_endpoint = address
            if ends.enable_public_endpoint:
                ends.public_endpoint = shown.private_cluster_config.public_endpoint = address
        shown.etag = checksum(shown)
        return shown

    def complete_pool(self, cluster: Cluster, pool: Any) -> None:
        """Add what is computed to the message of a node pool."""
        place = cluster.place.with_pool(pool.name)
        pool.self_link = place.link
        head = "https://www.googleapis.com/compute/v1/projects/" + place.project
        del pool.instance_group_urls[:]
        pool.instance_group_urls.extend(
            f"{head}/zones/{zone}/instanceGroupManagers/gke-{place.cluster}-{pool.name}-{cluster.key[-8:]}-grp"
            for zone in pool.locations
        )
        pool.etag = checksum(pool)

    def new_key(self, place: Place) -> str:
        """Make the name of a new cluster for the backing."""
        return f"gke-{place.cluster}-{secrets.token_hex(4)}"

    def bring_backing(self, cluster: Cluster, version: str) -> bool:
        """Begin to change what stands behind the cluster; a patch version changes nothing there."""
        if minor_name(version) == minor_name(cluster.message.current_master_version):
            return False
        self.cloud.backing.change(cluster.key, minor_name(version))
        return True


BROKEN = (
    "Google Compute Engine: The zone does not have enough resources available to fulfill the request. Try a different "
    "zone, or try again later."
)


def stamp(seconds: float) -> str:
    """Return a time as the API writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def fingerprint(labels: dict[str, str]) -> str:
    """Return the fingerprint of a set of labels."""
    text = "\n".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def checksum(message: Any) -> str:
    """Return the etag of what a client may have changed: states and addresses do not count."""
    own = type(message)()
    own.CopyFrom(message)
    for name in ("status", "status_message", "conditions", "etag", "endpoint", "master_auth"):
        if name in own.DESCRIPTOR.fields_by_name:
            own.ClearField(name)
    for pool in getattr(own, "node_pools", ()):
        for name in ("status", "status_message", "conditions", "etag"):
            pool.ClearField(name)
    return str(uuid.UUID(bytes=hashlib.sha256(own.SerializeToString(deterministic=True)).digest()[:16]))
