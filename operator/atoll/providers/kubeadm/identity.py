"""Atoll's own kubeconfig, as kubeadm writes it and as we hand it out. Pure."""

from __future__ import annotations

import yaml

from atoll.planes.kubeconfig import render_kubeconfig


def rename_kubeconfig(text: str, name: str) -> str:
    """Return kubeadm's kubeconfig with the cluster's own name for its only context. Secret."""
    body = yaml.safe_load(text)
    cluster, user = body["clusters"][0]["cluster"], body["users"][0]["user"]
    return render_kubeconfig(name, cluster, user)
