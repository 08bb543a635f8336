"""Calls that change a cluster: its version, and any one of its settings; and what the cloud does by itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from google.cloud.container_v1.types import cluster_service as api

from .gke_clusters import align_endpoints
from .gke_errors import Refusal, invalid, misshapen, stale, unimplemented
from .gke_model import new
from .gke_pools import Order, Perform, begin_upgrade
from .gke_state import Book, Cluster, ClusterStatus, Kind, PoolStatus
from .gke_versions import check_master, check_nodes, minor

COMPANIONS: Final = frozenset({"etag", "desired_node_pool_id", "desired_image_type"})
"""Fields of an update that go with another."""
Scope = api.MaintenanceExclusionOptions.Scope
Behaviour = api.MaintenanceExclusionOptions.EndTimeBehavior
PATCH_STOPS: Final = frozenset({int(Scope.NO_UPGRADES)})
NODE_STOPS: Final = frozenset({int(Scope.NO_UPGRADES), int(Scope.NO_MINOR_OR_NODE_UPGRADES)})
MINOR_STOPS: Final = NODE_STOPS | {int(Scope.NO_MINOR_UPGRADES)}


def update_master(book: Book, order: Order) -> Any:
    """Change the version of the control plane."""
    cluster = book.find(order.place)
    return change_master(book, cluster, order.request.master_version, broken=order.broken)


def change_master(book: Book, cluster: Cluster, asked: str, *, broken: bool = False) -> Any:
    """Begin to bring the control plane to a version."""
    if not asked:
        raise misshapen([("master_version", 'Missing required field "master_version".')])
    current = cluster.message.current_master_version
    version = book.catalogue.resolve(asked)
    book.check_usable(cluster)
    check_master(current, version, {pool.name: pool.version for pool in cluster.message.node_pools})
    channel = cluster.message.release_channel.channel
    if channel and version not in book.catalogue.in_channel(channel):
        name = api.ReleaseChannel.Channel(channel).name
        raise invalid(f'Master version "{version}" is not available in channel {name}.')
    moved = not broken and book.bring_backing(cluster, version)
    cluster.message.status = ClusterStatus.RECONCILING

    def finish() -> None:
        cluster.message.current_master_version = version

    return book.begin(cluster, Kind.UPGRADE_MASTER, finish=finish, broken=broken, waits_for_backing=moved)


def update_cluster(book: Book, order: Order) -> Any:
    """Change one setting."""
    cluster = book.find(order.place)
    update = order.request.update
    fields = {field.name for field, _ in update.ListFields()}
    wanted = sorted(fields - COMPANIONS) or sorted(fields & {"desired_image_type"})
    if len(wanted) != 1:
        raise invalid(f"Exactly one update can be applied to a cluster with each request, not {wanted}.", wrong=True)
    name = wanted[0]
    if update.etag and update.etag != book.show(cluster).etag:
        raise stale(order.place.path)
    if name == "desired_master_version":
        return change_master(book, cluster, update.desired_master_version, broken=order.broken)
    if name == "desired_node_version":
        return change_nodes(book, cluster, update, broken=order.broken)
    book.check_usable(cluster)
    changed = _apply(book, cluster, name, getattr(update, name))

    def finish() -> None:
        for pool in cluster.message.node_pools:
            # What operations on pools wrote since is theirs; none can run beside this one.
            pool.status = PoolStatus.RUNNING if pool.status == PoolStatus.RECONCILING else pool.status
        status = cluster.message.status
        cluster.message.CopyFrom(changed)
        cluster.message.status = status

    cluster.message.status = ClusterStatus.RECONCILING
    return book.begin(cluster, Kind.UPDATE_CLUSTER, finish=finish, broken=order.broken)


def change_nodes(book: Book, cluster: Cluster, update: Any, *, broken: bool) -> Any:
    """Begin to bring one pool, or the only one, to a version."""
    names = [pool.name for pool in cluster.message.node_pools]
    name = update.desired_node_pool_id or (names[0] if len(names) == 1 else "")
    if not name:
        raise invalid("desired_node_pool_id is needed when a cluster has more than one node pool.", wrong=True)
    cluster.pool(name)
    book.check_usable(cluster)
    master = cluster.message.current_master_version
    version = book.catalogue.resolve(update.desired_node_version, default=master, what="Node")
    check_nodes(master, version)
    return begin_upgrade(book, cluster, name, version, broken=broken)


def _apply(book: Book, cluster: Cluster, name: str, value: Any) -> Any:
    """Return the cluster's message with one setting changed."""
    changed = type(cluster.message)()
    changed.CopyFrom(cluster.message)
    target = name.removeprefix("desired_")
    if name == "desired_release_channel":
        if not value.channel and book.catalogue.channels_only:
            raise invalid("Clusters must be enrolled in a release channel: RAPID, REGULAR, STABLE or EXTENDED.")
        for pool in changed.node_pools:
            if value.channel and not (pool.management.auto_upgrade and pool.management.auto_repair):
                channel = api.ReleaseChannel.Channel(value.channel).name
                raise invalid(f"Auto_upgrade and auto_repair cannot be false when release_channel {channel} is set.")
    if name == "desired_control_plane_endpoints_config":
        ends = changed.control_plane_endpoints_config.ip_endpoints_config
        if value.ip_endpoints_config.HasField("authorized_networks_config"):
            ends.ClearField("authorized_networks_config")
        changed.control_plane_endpoints_config.MergeFrom(value)
        align_endpoints(changed)
    elif name == "desired_enable_private_endpoint":
        changed.control_plane_endpoints_config.ip_endpoints_config.enable_public_endpoint = not value
        align_endpoints(changed)
    elif name == "desired_master_authorized_networks_config":
        ends = changed.control_plane_endpoints_config.ip_endpoints_config
        ends.authorized_networks_config.CopyFrom(value)
        align_endpoints(changed)
    elif (field := changed.DESCRIPTOR.fields_by_name.get(target)) is None:
        raise unimplemented(f"UpdateCluster with {name}")
    elif field.is_repeated:
        del getattr(changed, target)[:]
        getattr(changed, target).extend(value)
    elif field.type == field.TYPE_MESSAGE:
        getattr(changed, target).CopyFrom(value)
    else:
        setattr(changed, target, value)
    return changed


def upgrade_by_itself(book: Book, cluster: Cluster) -> bool:
    """Do what the cloud does without being asked, and say if it began.

    It upgrades the masters of all clusters, those in no channel as if they were in the stable one, and the pools that
    let it, unless a maintenance exclusion is in force.
    """
    message = cluster.message
    if message.status != ClusterStatus.RUNNING or book.running(cluster):
        return False
    excluded, current = list_exclusions(book, cluster), message.current_master_version
    target = _find_target(book, cluster)
    if target and not excluded & (MINOR_STOPS if minor(target) > minor(current) else PATCH_STOPS):
        try:
            change_master(book, cluster, target)
        except Refusal:
            # Nodes that are too old hold the cloud up as they do a client.
            return False
        return True
    for pool in message.node_pools:
        late = pool.management.auto_upgrade and pool.version != current and pool.status == PoolStatus.RUNNING
        if late and not excluded & NODE_STOPS:
            begin_upgrade(book, cluster, pool.name, current)
            return True
    return False


def _find_target(book: Book, cluster: Cluster) -> str:
    """Return what the cloud would bring the master to; empty when nothing."""
    channel = cluster.message.release_channel.channel or api.ReleaseChannel.Channel.STABLE
    return book.catalogue.following(channel, cluster.message.current_master_version)


def list_exclusions(book: Book, cluster: Cluster) -> frozenset[int]:
    """Return the scopes of the exclusions that are in force now."""
    now = book.cloud.now()
    exclusions = cluster.message.maintenance_policy.window.maintenance_exclusions
    found = set()
    for name in exclusions:
        window, options = exclusions[name], exclusions[name].maintenance_exclusion_options
        endless = options.end_time_behavior == Behaviour.UNTIL_END_OF_SUPPORT
        if window.start_time.seconds <= now and (endless or now < window.end_time.seconds):
            found.add(int(options.scope))
    return frozenset(found)


def fetch_upgrade_info(book: Book, order: Order) -> Any:
    """Say what the cloud would upgrade by itself, and what keeps it from that."""
    cluster = book.find(order.place)
    info = new(api.ClusterUpgradeInfo)
    target = _find_target(book, cluster)
    if target and minor(target) > minor(cluster.message.current_master_version):
        info.minor_target_version = target
    elif target:
        info.patch_target_version = target
    excluded = list_exclusions(book, cluster)
    states, reasons = api.ClusterUpgradeInfo.AutoUpgradeStatus, api.ClusterUpgradeInfo.AutoUpgradePausedReason
    if excluded & PATCH_STOPS:
        info.auto_upgrade_status.append(states.UPGRADE_PAUSED)
        info.paused_reason.append(reasons.MAINTENANCE_EXCLUSION_NO_UPGRADES)
    elif excluded & MINOR_STOPS:
        info.auto_upgrade_status.append(states.MINOR_UPGRADE_PAUSED)
        info.paused_reason.append(reasons.MAINTENANCE_EXCLUSION_NO_MINOR_UPGRADES)
    else:
        info.auto_upgrade_status.append(states.ACTIVE)
    return info


CALLS: Final[Mapping[str, Perform]] = MappingProxyType(
    {
        "UpdateMaster": update_master,
        "UpdateCluster": update_cluster,
        "FetchClusterUpgradeInfo": fetch_upgrade_info,
    }
)
