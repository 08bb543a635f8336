"""A kubeconfig that logs in with a token."""

from __future__ import annotations

import base64

import yaml


def build_token_kubeconfig(*, server: str, ca: str, token: str, name: str = "atoll", namespace: str = "") -> str:
    """Return a self-contained kubeconfig (YAML, secret)."""
    context = {"cluster": name, "user": name} | ({"namespace": namespace} if namespace else {})
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": base64.b64encode(ca.encode()).decode(),
                    },
                }
            ],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": context}],
            "current-context": name,
        },
        sort_keys=False,
    )
