"""The kubeconfig of a managed cluster: a token of ours for minutes, and a command for people to get their own. Pure.

What is published must hold no login of ours: `build_public` of `atoll.kube.kubeconfigs` puts the command in its place.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from atoll.kube.kubeconfigs import LOGIN_COMMAND, dump_kubeconfig


def build_kubeconfig(name: str, *, server: str, authority: str, token: str, login_command: Mapping[str, Any]) -> str:
    """Return a kubeconfig (secret) with a token. `login_command`: the `exec` block for people, kept beside it."""
    ca = base64.b64encode(authority.encode()).decode()
    extension = {"name": LOGIN_COMMAND, "extension": dict(login_command)}
    return dump_kubeconfig(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": ca}}],
            "users": [{"name": name, "user": {"token": token, "extensions": [extension]}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
    )


def decode_authority(data: str) -> str:
    """Return the PEM that a cloud writes in base64; empty where nobody can read it, so that nobody trusts it."""
    try:
        return base64.b64decode(data).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
