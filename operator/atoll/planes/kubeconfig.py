"""Kubeconfigs as text. Pure."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml


def build_kubeconfig(*, name: str, endpoint: str, authority: bytes, certificate: bytes, key: bytes) -> str:
    """Return a kubeconfig that needs no other file. Secret."""
    return render_kubeconfig(
        name,
        {"server": endpoint, "certificate-authority-data": encode(authority)},
        {"client-certificate-data": encode(certificate), "client-key-data": encode(key)},
    )


def build_file_kubeconfig(*, name: str, endpoint: str, authority: Path, identity: Path) -> str:
    """Return a kubeconfig that points to files, so that the client sees renewed certificates."""
    return render_kubeconfig(
        name,
        {"server": endpoint, "certificate-authority": str(authority)},
        {"client-certificate": str(identity), "client-key": str(identity)},
    )


def render_kubeconfig(name: str, cluster: dict[str, Any], user: dict[str, Any]) -> str:
    """Return the text with one cluster, one user and one context."""
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": "atoll", "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "atoll"}}],
        "current-context": name,
    }
    return yaml.safe_dump(body, sort_keys=False)


def encode(content: bytes) -> str:
    """Return what the `…-data` fields hold."""
    return base64.b64encode(content).decode()
