"""Calls on node pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from google.cloud.container_v1.types import cluster_service as api
from google.rpc import code_pb2

from .gke_checks import check_autoscaling, check_management, check_name, check_upgrade_settings
from .gke_errors import already_exists, impossible, invalid, not_found, stale
from .gke_model import new
from .gke_places import Place
from .gke_state import Book, Cluster, ClusterStatus, Kind, PoolStatus
from .gke_versions import check_nodes


@dataclass(frozen=True, kw_only=True)
class Order:
    """One call that was understood."""

    place: Place
    request: Any
    broken: bool = False


Perform = Callable[[Book, Order], Any]

CHANGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "image_type": "config",
        "machine_type": "config",
        "disk_type": "config",
        "disk_size_gb": "config",
        "tags": "config",
        "taints": "config",
        "labels": "config",
        "resource_labels": "config",
        "kubelet_config": "config",
        "linux_node_config": "config",
        "workload_metadata_config": "config",
        "gvnic": "config",
        "locations": "",
        "upgrade_settings": "",
    }
)
"""What UpdateNodePool may change besides the version, and in which part of the pool it is."""


def prepare_pool(book: Book, place: Place, pool: Any, master: str, channel: int, zones: tuple[str, ...]) -> Any:
    """Return a pool as the cloud fills it in. Raises Refusal for what it does not make."""
    check_name(pool.name, "node_pool.name")
    ready = new(api.NodePool)
    ready.CopyFrom(pool)
    ready.version = book.catalogue.resolve(pool.version, default=master, what="Node")
    check_nodes(master, ready.version)
    ready.config.machine_type = pool.config.machine_type or "e2-medium"
    ready.config.disk_size_gb = pool.config.disk_size_gb or 100
    ready.config.disk_type = pool.config.disk_type or "pd-balanced"
    ready.config.image_type = pool.config.image_type or "COS_CONTAINERD"
    ready.config.service_account = pool.config.service_account or "default"
    if not pool.HasField("management"):
        ready.management.auto_upgrade = ready.management.auto_repair = True
    check_management(ready.management, channel)
    if not pool.HasField("upgrade_settings"):
        ready.upgrade_settings.max_surge = 1
    check_upgrade_settings(ready.upgrade_settings)
    check_autoscaling(ready.autoscaling)
    if not ready.locations:
        ready.locations.extend(zones)
    for zone in ready.locations:
        if not zone.startswith(f"{place.region}-"):
            raise invalid(f'Zone "{zone}" is not in region "{place.region}".', wrong=True)
    ready.status = PoolStatus.PROVISIONING
    return ready


def create_pool(book: Book, order: Order) -> Any:
    """Make a node pool."""
    cluster = book.find(order.place)
    book.check_usable(cluster)
    pool = order.request.node_pool
    path = order.place.with_pool(pool.name)
    if any(known.name == pool.name for known in cluster.message.node_pools):
        raise already_exists(path.path)
    channel, master = cluster.message.release_channel.channel, cluster.message.current_master_version
    ready = prepare_pool(book, order.place, pool, master, channel, tuple(cluster.message.locations))
    cluster.message.node_pools.append(ready)
    cluster.pools_born[pool.name] = book.cloud.now()
    cluster.message.status = ClusterStatus.RECONCILING
    return book.begin(
        cluster,
        Kind.CREATE_NODE_POOL,
        pool=pool.name,
        finish=lambda: set_pool(cluster, pool.name, status=PoolStatus.RUNNING),
        fail=lambda why: set_pool(cluster, pool.name, status=PoolStatus.ERROR, why=why),
        broken=order.broken,
    )


def set_pool(cluster: Cluster, name: str, *, status: int, why: str = "", **fields: Any) -> None:
    """Write what an operation made of a pool."""
    pool = cluster.pool(name)
    pool.status = status
    pool.status_message = why
    del pool.conditions[:]
    if why:
        condition = pool.conditions.add()
        condition.message, condition.canonical_code = why, code_pb2.INTERNAL
        condition.code = api.StatusCondition.Code.GCE_STOCKOUT
    for field, value in fields.items():
        setattr(pool, field, value)


def get_pool(book: Book, order: Order) -> Any:
    """Show a node pool."""
    cluster = book.find(order.place)
    shown = new(api.NodePool)
    if book.hides(cluster, order.place.pool):
        raise not_found(order.place.path)
    shown.CopyFrom(cluster.pool(order.place.pool))
    book.complete_pool(cluster, shown)
    return shown


def list_pools(book: Book, order: Order) -> Any:
    """Show all node pools."""
    found = new(api.ListNodePoolsResponse)
    found.node_pools.extend(book.show(book.find(order.place)).node_pools)
    return found


def delete_pool(book: Book, order: Order) -> Any:
    """Remove a node pool, unless something outside uses its nodes."""
    cluster = book.find(order.place)
    name = order.place.pool
    pool = cluster.pool(name)
    book.check_idle(cluster)
    pool.status = PoolStatus.STOPPING
    cluster.message.status = ClusterStatus.RECONCILING

    def finish() -> None:
        cluster.message.node_pools.remove(cluster.pool(name))
        cluster.pools_born.pop(name, None)

    def fail(why: str) -> None:
        set_pool(cluster, name, status=PoolStatus.ERROR, why=why)

    work = book.begin(cluster, Kind.DELETE_NODE_POOL, pool=name, finish=finish, fail=fail, broken=order.broken)
    hold_up(book, cluster)
    return work


def hold_up(book: Book, cluster: Cluster) -> None:
    """Let the operation that deletes nodes fail when something outside uses them, naming it."""
    if cluster.holders and (work := book.running(cluster)):
        project, key = cluster.place.project, cluster.key[-8:]
        template = f"projects/{project}/global/instanceTemplates/gke-{cluster.place.cluster}-{key}"
        reasons = [
            f"({number}) Google Compute Engine: The instance_template resource '{template}' is already being used by "
            f"'{holder}'"
            for number, holder in enumerate(cluster.holders, 1)
        ]
        work.failure = (code_pb2.FAILED_PRECONDITION, "\n".join(reasons))


def update_pool(book: Book, order: Order) -> Any:
    """Change version or settings of a node pool."""
    cluster = book.find(order.place)
    request, name = order.request, order.place.pool
    pool = cluster.pool(name)
    changes = {field.name for field, _ in request.ListFields()} - {"name", "etag", "project_id", "zone", "cluster_id"}
    if not changes - {"node_pool_id"}:
        raise invalid(
            "At least one of ['node_version', 'image_type', 'updated_node_pool', 'locations', "
            "'workload_metadata_config', 'upgrade_settings'] must be specified."
        )
    if strange := changes - set(CHANGES) - {"node_version", "node_pool_id"}:
        raise invalid(f"This stand-in cannot change {', '.join(sorted(strange))} of a node pool.", wrong=True)
    shown = get_pool(book, order)
    if request.etag and request.etag != shown.etag:
        raise stale(order.place.path)
    book.check_usable(cluster)
    version = pool.version
    if request.node_version:
        master = cluster.message.current_master_version
        version = book.catalogue.resolve(request.node_version, default=master, what="Node")
        check_nodes(master, version)
    if request.HasField("upgrade_settings"):
        check_upgrade_settings(request.upgrade_settings)
    return begin_upgrade(book, cluster, name, version, request=request, broken=order.broken)


def begin_upgrade(
    book: Book, cluster: Cluster, name: str, version: str, *, request: Any = None, broken: bool = False
) -> Any:
    """Begin to replace the nodes of a pool."""
    pool = cluster.pool(name)
    pool.status = PoolStatus.RECONCILING
    cluster.message.status = ClusterStatus.RECONCILING

    def finish() -> None:
        set_pool(cluster, name, status=PoolStatus.RUNNING, version=version)
        if request is not None:
            apply_changes(cluster.pool(name), request)

    def fail(why: str) -> None:
        set_pool(cluster, name, status=PoolStatus.RUNNING_WITH_ERROR, why=why)

    return book.begin(cluster, Kind.UPGRADE_NODES, pool=name, finish=finish, fail=fail, broken=broken)


def apply_changes(pool: Any, request: Any) -> None:
    """Write the fields that a request changes."""
    for field, value in request.ListFields():
        part = CHANGES.get(field.name)
        if part is None:
            continue
        target = getattr(pool, part) if part else pool
        if field.is_repeated:
            del getattr(target, field.name)[:]
            getattr(target, field.name).extend(value)
        elif field.name in ("tags", "taints", "labels", "resource_labels"):
            # The request wraps in a message what the pool holds as a list or a map of its own.
            target.ClearField(field.name)
            getattr(target, field.name).MergeFrom(
                getattr(value, field.name if field.name != "resource_labels" else "labels")
            )
        elif field.type == field.TYPE_MESSAGE:
            getattr(target, field.name).CopyFrom(value)
        else:
            setattr(target, field.name, value)


def roll_back(book: Book, order: Order) -> Any:
    """Bring back the nodes that a failed or cancelled upgrade replaced."""
    cluster = book.find(order.place)
    pool = cluster.pool(order.place.pool)
    if pool.status != PoolStatus.RUNNING_WITH_ERROR:
        # Our words: only failed and cancelled upgrades are documented as going back.
        raise impossible(f"Node pool {order.place.pool} has no upgrade that could be rolled back.")
    book.check_usable(cluster)
    return begin_upgrade(book, cluster, pool.name, pool.version, broken=order.broken)


def set_size(book: Book, order: Order) -> Any:
    """Resize a node pool."""
    if order.request.node_count < 0:
        raise invalid("Node count must not be negative.", wrong=True)
    count = order.request.node_count
    return _change(book, order, Kind.SET_NODE_POOL_SIZE, lambda pool: setattr(pool, "initial_node_count", count))


def set_autoscaling(book: Book, order: Order) -> Any:
    """Change the bounds between which a pool grows."""
    check_autoscaling(order.request.autoscaling)
    scaling = order.request.autoscaling
    return _change(book, order, Kind.UPDATE_CLUSTER, lambda pool: pool.autoscaling.CopyFrom(scaling))


def set_management(book: Book, order: Order) -> Any:
    """Change whether the cloud repairs and upgrades nodes by itself."""
    cluster = book.find(order.place)
    management = order.request.management
    check_management(management, cluster.message.release_channel.channel)
    change = Kind.SET_NODE_POOL_MANAGEMENT
    return _change(book, order, change, lambda pool: pool.management.CopyFrom(management))


def _change(book: Book, order: Order, kind: int, write: Callable[[Any], None]) -> Any:
    """Begin an operation that writes one thing into a pool."""
    cluster = book.find(order.place)
    name = order.place.pool
    pool = cluster.pool(name)
    book.check_usable(cluster)
    if pool.status == PoolStatus.STOPPING:
        raise impossible(f"Node pool {name} is being deleted.")
    pool.status = PoolStatus.RECONCILING
    cluster.message.status = ClusterStatus.RECONCILING

    def finish() -> None:
        set_pool(cluster, name, status=PoolStatus.RUNNING)
        write(cluster.pool(name))

    def fail(why: str) -> None:
        set_pool(cluster, name, status=PoolStatus.RUNNING_WITH_ERROR, why=why)

    return book.begin(cluster, kind, pool=name, finish=finish, fail=fail, broken=order.broken)


CALLS: Final[Mapping[str, Perform]] = MappingProxyType(
    {
        "CreateNodePool": create_pool,
        "GetNodePool": get_pool,
        "ListNodePools": list_pools,
        "DeleteNodePool": delete_pool,
        "UpdateNodePool": update_pool,
        "RollbackNodePoolUpgrade": roll_back,
        "SetNodePoolSize": set_size,
        "SetNodePoolAutoscaling": set_autoscaling,
        "SetNodePoolManagement": set_management,
    }
)
