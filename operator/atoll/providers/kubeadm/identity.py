"""Atoll's own kubeconfig, as kubeadm writes it and as we hand it out. Pure."""

from __future__ import annotations

import yaml


def rename_kubeconfig(text: str, name: str) -> str:
    """Return kubeadm's kubeconfig with the cluster's own name for its only context. Secret."""
    body = yaml.safe_load(text)
    cluster, user = body["clusters"][0]["cluster"], body["users"][0]["user"]
    named = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": "atoll", "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "atoll"}}],
        "current-context": name,
    }
    return yaml.safe_dump(named, sort_keys=False)
