"""What a revert loses, in words."""

from __future__ import annotations

from datetime import UTC, datetime

from atoll.planes.etcd import describe_loss, is_background
from atoll.planes.values import Snapshot

SNAPSHOT = Snapshot(
    id="op", version="v1.35.8", taken_time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), revision=100, total_keys=9
)


def test_nothing_written_means_nothing_lost() -> None:
    assert describe_loss(SNAPSHOT, 100, ()) == (
        "lost: 0 writes since the snapshot of 2026-01-02T03:04:05Z; deletions since then are undone"
    )


def test_five_objects_are_named_and_the_rest_counted() -> None:
    changed = [f"configmaps/default/c{number}" for number in range(7)]
    assert describe_loss(SNAPSHOT, 110, changed) == (
        "lost: 10 writes since the snapshot of 2026-01-02T03:04:05Z, among them to configmaps/default/c0, "
        "configmaps/default/c1, configmaps/default/c2, configmaps/default/c3, configmaps/default/c4 and 2 more; "
        "deletions since then are undone"
    )


def test_what_a_plane_writes_by_itself_is_not_named() -> None:
    assert is_background("leases/kube-system/apiserver-x")
    assert is_background("events/default/x.1")
    assert is_background("clusterroles/system:controller:job-controller")
    assert not is_background("secrets/default/mine")
