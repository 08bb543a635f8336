"""The Rollout object, as it shall be created: the same inputs give the same bytes."""

from __future__ import annotations

from typing import Any

from atoll.fleet.decisions import NewRollout
from atoll.fleet.names import API_VERSION, MANAGED_LABELS, SET_LABEL
from atoll.fleet.spec import ClusterSet


def build_rollout(new: NewRollout, cluster_set: ClusterSet) -> dict[str, Any]:
    """Build the body of a rollout that begins."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Rollout",
        "metadata": {
            "name": new.name,
            "namespace": cluster_set.meta.namespace,
            "labels": {**MANAGED_LABELS, SET_LABEL: new.set_name},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "ClusterSet",
                    "name": cluster_set.meta.name,
                    "uid": cluster_set.meta.uid,
                    "controller": True,
                }
            ],
        },
        "spec": {
            "setName": new.set_name,
            "target": {"version": str(new.target_version), "revision": new.target_revision, "retry": new.retry},
            "requestedBy": new.requested_by,
            "action": "Run",
            "waves": [
                {
                    "name": wave.name,
                    "clusters": list(wave.clusters),
                    "maxConcurrent": wave.max_concurrent,
                    "soakSeconds": wave.soak_seconds,
                    **({} if wave.min_soak_seconds is None else {"minSoakSeconds": wave.min_soak_seconds}),
                    "gates": list(wave.gates),
                }
                for wave in new.waves
            ],
        },
    }
