"""Manifests that tests build on: one small fleet, in parts."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
API_VERSION = "atoll.dev/v1alpha1"


def fleet_namespace(name: str = "fleet") -> Json:
    """The namespace of a fleet."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"atoll.dev/fleet": "true"}}}


def member(name: str, stage: str, **more: Any) -> Json:
    """A member with room for a few tenants."""
    capacity = {"cpu": "8", "memory": "16Gi", "pods": "100", "storage": "100Gi"}
    return {"name": name, "labels": {"stage": stage}, "capacity": capacity, **more}


def cluster_set(name: str, *members: Json, namespace: str = "fleet", version: str = "v1.35.8", **spec: Any) -> Json:
    """A set of local planes, destroyed with its object."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ClusterSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "version": version,
            "provider": {"local": {}},
            "clusters": list(members),
            "deletionPolicy": "Delete",
            **spec,
        },
    }


def environment(name: str, *, namespace: str = "fleet", stage: str = "", **spec: Any) -> Json:
    """An environment on the clusters of a stage."""
    selector = {"clusterSelector": {"matchLabels": {"stage": stage or name}}}
    return {
        "apiVersion": API_VERSION,
        "kind": "Environment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"topology": "SharedCluster", "placement": selector, **spec},
    }


def tenant(name: str, *environments: str, namespace: str = "fleet", cpu: str = "1", **spec: Any) -> Json:
    """A tenant with one namespace in each environment."""
    resources = {"cpu": cpu, "memory": "1Gi", "pods": "10"}
    return {
        "apiVersion": API_VERSION,
        "kind": "Tenant",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "members": [
                {"kind": "Group", "name": f"{name}-leads", "role": "admin"},
                {"kind": "Group", "name": f"{name}-devs", "role": "developer"},
            ],
            "environments": [{"name": entry, "resources": resources} for entry in environments],
            **spec,
        },
    }
