"""Calls that make, show, relabel and remove clusters."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from google.cloud.container_v1.types import cluster_service as api
from google.rpc import code_pb2

from .gke_checks import check_labels, check_maintenance, check_name
from .gke_errors import already_exists, impossible, invalid, stale
from .gke_model import new
from .gke_places import Place
from .gke_pools import Order, Perform, hold_up, prepare_pool
from .gke_state import Book, Cluster, ClusterStatus, Kind, PoolStatus, fingerprint, stamp
from .gke_versions import minor_name


def create_cluster(book: Book, order: Order) -> Any:
    """Make a cluster. There is no idempotency token: the name alone keeps it from being made twice."""
    asked = order.request.cluster
    check_name(asked.name, "cluster.name")
    at = order.place
    place = Place(project=at.project, location=at.location, cluster=asked.name)
    if place in book.clusters:
        raise already_exists(place.path)
    now = book.cloud.now()
    message = prepare_cluster(book, place, asked)
    message.create_time = stamp(now)
    cluster = Cluster(place=place, message=message, key=book.new_key(place), born=now, quiet_since=now)
    book.clusters[place] = cluster
    if not order.broken:
        book.cloud.backing.begin(cluster.key, minor_name(message.current_master_version))

    def finish() -> None:
        for pool in message.node_pools:
            pool.status = PoolStatus.RUNNING

    def fail(why: str) -> None:
        spoil(cluster, why)
        for pool in message.node_pools:
            pool.status = PoolStatus.ERROR

    return book.begin(
        cluster, Kind.CREATE_CLUSTER, finish=finish, fail=fail, broken=order.broken, waits_for_backing=True
    )


def spoil(cluster: Cluster, why: str, code: int = code_pb2.INTERNAL) -> None:
    """Leave a cluster in ERROR, saying why."""
    message = cluster.message
    message.status, message.status_message = ClusterStatus.ERROR, why
    del message.conditions[:]
    condition = message.conditions.add()
    condition.code = api.StatusCondition.Code.UNKNOWN
    condition.message, condition.canonical_code = why, code


def prepare_cluster(book: Book, place: Place, asked: Any) -> Any:
    """Return a cluster as the cloud fills it in. Raises Refusal for what it does not make."""
    message = new(api.Cluster)
    message.CopyFrom(asked)
    check_labels(asked.resource_labels)
    if not asked.node_pools and not asked.initial_node_count and not asked.autopilot.enabled:
        raise invalid("Cluster.initial_node_count must be greater than zero.")
    if asked.node_pools and (asked.initial_node_count or asked.HasField("node_config")):
        raise invalid("Cluster.node_config and Cluster.node_pools cannot both be set.", wrong=True)
    version = book.catalogue.resolve(asked.initial_cluster_version)
    # An empty message is a decision, "no channel"; no message leaves the decision to the cloud.
    if not asked.HasField("release_channel"):
        message.release_channel.channel = book.catalogue.choose_channel(asked.initial_cluster_version)
    channel = message.release_channel.channel
    if not channel and book.catalogue.channels_only:
        # Our words; the rule is documented.
        raise invalid("Clusters must be enrolled in a release channel: RAPID, REGULAR, STABLE or EXTENDED.")
    if channel and version not in book.catalogue.in_channel(channel):
        name = api.ReleaseChannel.Channel(channel).name
        raise invalid(f'Master version "{version}" is not available in channel {name}.')
    check_maintenance(asked.maintenance_policy, channel)
    if not message.locations:
        message.locations.extend(place.zones)
    message.initial_cluster_version = message.current_master_version = version
    message.status = ClusterStatus.PROVISIONING
    message.location = message.zone = place.location
    message.self_link = place.link
    message.id = hashlib.sha256(uuid.uuid4().bytes).hexdigest()
    message.network = asked.network or "default"
    message.subnetwork = asked.subnetwork or "default"
    message.services_ipv4_cidr = asked.ip_allocation_policy.services_ipv4_cidr_block or "34.118.224.0/20"
    message.cluster_ipv4_cidr = (
        asked.cluster_ipv4_cidr or asked.ip_allocation_policy.cluster_ipv4_cidr_block or "10.4.0.0/14"
    )
    _open_endpoints(message)
    message.maintenance_policy.resource_version = _version_policy(message.maintenance_policy)
    pools = list(asked.node_pools) or [_default_pool(asked)]
    del message.node_pools[:]
    names: set[str] = set()
    for pool in pools:
        if pool.name in names:
            raise invalid(f'Two node pools have the name "{pool.name}".', wrong=True)
        names.add(pool.name)
        message.node_pools.append(prepare_pool(book, place, pool, version, channel, tuple(message.locations)))
    return message


def _default_pool(asked: Any) -> Any:
    """Return the pool of a cluster that names none."""
    pool = new(api.NodePool)
    pool.name = "default-pool"
    pool.initial_node_count = asked.initial_node_count
    pool.config.CopyFrom(asked.node_config)
    return pool


def _open_endpoints(message: Any) -> None:
    """Bring the older and the newer way to say who may reach the API server together."""
    ends = message.control_plane_endpoints_config.ip_endpoints_config
    if not ends.HasField("enable_public_endpoint"):
        ends.enable_public_endpoint = not message.private_cluster_config.enable_private_endpoint
    if not ends.HasField("enabled"):
        ends.enabled = True
    if not ends.HasField("authorized_networks_config"):
        ends.authorized_networks_config.CopyFrom(message.master_authorized_networks_config)
    message.private_cluster_config.enable_private_endpoint = not ends.enable_public_endpoint
    message.master_authorized_networks_config.CopyFrom(ends.authorized_networks_config)


def align_endpoints(message: Any) -> None:
    """Bring both ways together again after a change of the newer one."""
    ends = message.control_plane_endpoints_config.ip_endpoints_config
    message.private_cluster_config.enable_private_endpoint = not ends.enable_public_endpoint
    message.master_authorized_networks_config.CopyFrom(ends.authorized_networks_config)


def get_cluster(book: Book, order: Order) -> Any:
    """Show a cluster."""
    return book.show(book.find(order.place))


def list_clusters(book: Book, order: Order) -> Any:
    """Show the clusters of a location, or of all; what cannot be reached is named in `missing_zones`."""
    found = new(api.ListClustersResponse)
    for cluster in book.list_visible(order.place.project, order.place.location):
        found.clusters.append(book.show(cluster))
    missing = book.unreachable if order.place.location == "-" else book.unreachable & {order.place.location}
    found.missing_zones.extend(sorted(missing))
    return found


def delete_cluster(book: Book, order: Order) -> Any:
    """Remove a cluster, unless something outside uses its nodes."""
    cluster = book.find(order.place)
    book.check_idle(cluster)
    cluster.message.status = ClusterStatus.STOPPING
    for pool in cluster.message.node_pools:
        pool.status = PoolStatus.STOPPING

    def finish() -> None:
        book.clusters.pop(cluster.place, None)
        if cluster.left:
            book.left_behind[cluster.place.path] = list(cluster.left)

    if not order.broken and not cluster.holders:
        book.cloud.backing.end(cluster.key)
    work = book.begin(
        cluster,
        Kind.DELETE_CLUSTER,
        finish=finish,
        fail=lambda why: spoil(cluster, why, code_pb2.FAILED_PRECONDITION),
        broken=order.broken,
        waits_for_backing=True,
    )
    hold_up(book, cluster)
    return work


def set_labels(book: Book, order: Order) -> Any:
    """Replace all labels, if the caller knows the present ones."""
    cluster = book.find(order.place)
    labels = dict(order.request.resource_labels)
    check_labels(labels)
    book.check_usable(cluster)
    expected = fingerprint(dict(cluster.message.resource_labels))
    if order.request.label_fingerprint != expected:
        raise impossible(
            "Labels could not be set due to fingerprint mismatch; try again with the proper fingerprint: incorrect "
            f'fingerprint supplied was "{order.request.label_fingerprint}", the expected one is "{expected}".'
        )

    def finish() -> None:
        cluster.message.resource_labels.clear()
        cluster.message.resource_labels.update(labels)

    return book.begin(cluster, Kind.UPDATE_CLUSTER, finish=finish, broken=order.broken)


def set_maintenance_policy(book: Book, order: Order) -> Any:
    """Replace windows and exclusions, if the caller knows the present ones."""
    cluster = book.find(order.place)
    policy = order.request.maintenance_policy
    check_maintenance(policy, cluster.message.release_channel.channel)
    book.check_usable(cluster)
    present = cluster.message.maintenance_policy.resource_version
    if policy.resource_version and policy.resource_version != present:
        raise stale(f"the maintenance policy of {order.place.path}")

    def finish() -> None:
        cluster.message.maintenance_policy.CopyFrom(policy)
        cluster.message.maintenance_policy.resource_version = _version_policy(policy)

    return book.begin(cluster, Kind.UPDATE_CLUSTER, finish=finish, broken=order.broken)


def _version_policy(policy: Any) -> str:
    """Return the hash of a maintenance policy."""
    own = type(policy)()
    own.CopyFrom(policy)
    own.ClearField("resource_version")
    return hashlib.sha256(own.SerializeToString(deterministic=True)).hexdigest()[:8]


CALLS: Final[Mapping[str, Perform]] = MappingProxyType(
    {
        "CreateCluster": create_cluster,
        "GetCluster": get_cluster,
        "ListClusters": list_clusters,
        "DeleteCluster": delete_cluster,
        "SetLabels": set_labels,
        "SetMaintenancePolicy": set_maintenance_policy,
    }
)
