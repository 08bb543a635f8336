"""cluster.json and operation.json as actions. Pure."""

from __future__ import annotations

from dataclasses import replace

from atoll.hosts.command import WriteFile

from . import paths
from .documents import render
from .values import ClusterRecord, OperationRecord


def write_cluster(record: ClusterRecord) -> WriteFile:
    """Write down what the cluster is."""
    return WriteFile(path=paths.CLUSTER, content=render(record), why="write down what the cluster is", mode=0o600)


def write_operation(record: OperationRecord) -> WriteFile:
    """Write down how far the operation has come."""
    return WriteFile(
        path=paths.OPERATION, content=render(record), why="write down how far the operation has come", mode=0o600
    )


def write_orphaned(record: ClusterRecord) -> WriteFile:
    """Write down that Atoll has let go of the cluster; it goes on."""
    return write_cluster(replace(record, orphaned=True))
