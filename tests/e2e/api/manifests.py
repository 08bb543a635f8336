"""One small manifest per kind that every API server accepts; tests change it in one place at a time."""

from __future__ import annotations

import copy
from typing import Any

UID = "0d8a3a4e-6f1e-4c7d-9a57-6d0a4fb3b2a1"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJrVwQ1u0o3mZ0yqT2mJQeGQ6m1o3eQ1p9l8b7c6d5e4"
SELECTOR = {"matchLabels": {"stage": "dev"}}

SPECS: dict[str, dict[str, Any]] = {
    "ClusterSet": {"version": "v1.36.4", "provider": {"local": {}}, "clusters": [{"name": "dev"}, {"name": "prod"}]},
    "ChildCluster": {
        "id": "k3v9x2",
        "setName": "apps",
        "memberName": "dev",
        "provider": "local",
        "version": "v1.36.4",
        "network": {"podCIDR": "10.128.0.0/16", "serviceCIDR": "10.129.0.0/20"},
    },
    "HostPool": {
        "ssh": {"keySecretRef": {"name": "key"}},
        "hosts": [{"name": "h1", "address": "10.88.0.11", "hostKey": KEY, "labels": {"zone": "a"}}],
    },
    "Host": {"poolName": "rack", "hostName": "h1"},
    "Environment": {"placement": {"clusterSelector": SELECTOR}, "labels": {"cost-center": "4711"}},
    "Tenant": {
        "members": [{"kind": "Group", "name": "devs", "role": "developer"}],
        "environments": [{"name": "prod", "resources": {"cpu": 4, "memory": "8Gi"}}],
    },
    "Regime": {"title": "PCI DSS 4.0", "countries": ["DE"], "labels": {"compliance": "pci"}},
    "Rollout": {
        "setName": "apps",
        "target": {"version": "v1.36.4", "revision": "a1"},
        "waves": [{"name": "canary", "clusters": ["dev"]}],
    },
    "Approval": {
        "rolloutRef": {"name": "apps-1", "uid": UID},
        "wave": "canary",
        "gate": "sign-off",
        "approver": {"username": "root"},
    },
}

NAMES = {"ChildCluster": "apps--dev", "Host": "rack--h1", "Rollout": "apps-1"}

EKS = {"region": "eu-west-1", "roleARN": "arn:aws:iam::1:role/x", "subnetIDs": ["subnet-1"]}
GKE = {"project": "p", "location": "europe-west1"}
AKS = {"subscriptionID": UID, "resourceGroup": "g", "location": "westeurope"}
KUBEADM = {"hostPoolRef": {"name": "rack"}}


def build(kind: str, change: dict[str, Any] | None = None, name: str = "") -> dict[str, Any]:
    """Build a manifest: the base of its kind, with `change` merged into its spec (None deletes, lists replace)."""
    return {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name or NAMES.get(kind, "one"), "namespace": "fleet"},
        "spec": merge(copy.deepcopy(SPECS[kind]), change or {}),
    }


def merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Merge `change` into `base`, as a JSON merge patch does."""
    for key, value in change.items():
        if value is None:
            base.pop(key, None)
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = copy.deepcopy(value)
    return base
