"""Calls on operations, and what may be had in a place."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from google.cloud.container_v1.types import cluster_service as api
from google.protobuf import empty_pb2
from google.rpc import code_pb2

from .core import page
from .gke_errors import impossible, invalid, not_found
from .gke_model import new
from .gke_pools import Order, Perform
from .gke_state import Book, Kind, OperationStatus


def get_operation(book: Book, order: Order) -> Any:
    """Show an operation."""
    work = book.works.get(order.place)
    if work is None:
        raise not_found(order.place.path)
    return work.message


def list_operations(book: Book, order: Order) -> Any:
    """Show the operations of a location, or of all; what cannot be reached is named in `missing_zones`."""
    at = order.place
    found = new(api.ListOperationsResponse)
    for place, work in sorted(book.works.items(), key=lambda item: item[1].start):
        asked = place.project == at.project and at.location in ("-", place.location)
        if asked and place.location not in book.unreachable:
            found.operations.append(work.message)
    missing = book.unreachable if at.location == "-" else book.unreachable & {at.location}
    found.missing_zones.extend(sorted(missing))
    return found


def cancel_operation(book: Book, order: Order) -> Any:
    """Stop an upgrade of nodes; other operations run to their end."""
    work = book.works.get(order.place)
    if work is None:
        raise not_found(order.place.path)
    if work.message.operation_type != Kind.UPGRADE_NODES or work.message.status == OperationStatus.DONE:
        # Our words: only upgrades of nodes are documented as cancellable.
        raise impossible(f"Operation {work.message.name} cannot be cancelled.")
    work.message.status = OperationStatus.ABORTING
    work.failure = (code_pb2.CANCELLED, "The operation was cancelled.")
    work.due = book.cloud.now() + book.cloud.faults.seconds / 2
    return empty_pb2.Empty()


def get_server_config(book: Book, _: Order) -> Any:
    """Show the versions of a location."""
    return book.catalogue.describe()


def list_usable_subnetworks(book: Book, order: Order) -> Any:
    """Show the subnetworks of the project: the one list of this API that comes in pages."""
    project = order.place.project
    regions = sorted({place.region for place in book.clusters} | {"us-central1", "europe-west1", "europe-west3"})
    names = [(f"projects/{project}/regions/{region}/subnetworks/default", region) for region in regions]
    asked = order.request.page_size
    most = min(asked, book.cloud.faults.page_size) if asked else book.cloud.faults.page_size
    try:
        shown, following = page([(name, name) for name, _ in names], order.request.page_token, most)
    except ValueError as error:
        raise invalid(f"Invalid page token: {error}", wrong=True) from error
    found = new(api.ListUsableSubnetworksResponse)
    for name in shown:
        entry = found.subnetworks.add()
        entry.subnetwork = name
        entry.network = f"projects/{project}/global/networks/default"
        entry.ip_cidr_range = "10.128.0.0/20"
    found.next_page_token = following
    return found


CALLS: Final[Mapping[str, Perform]] = MappingProxyType(
    {
        "GetOperation": get_operation,
        "ListOperations": list_operations,
        "CancelOperation": cancel_operation,
        "GetServerConfig": get_server_config,
        "ListUsableSubnetworks": list_usable_subnetworks,
    }
)
