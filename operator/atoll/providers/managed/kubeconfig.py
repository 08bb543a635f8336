"""The kubeconfig of a managed cluster: a token of ours for minutes, and a command for people to get their own. Pure.

What is published must hold no login of ours: `atoll.kube.kubeconfigs.build_public` takes the user with the token out.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

import yaml

PEOPLE: Final = "you"
"""Name of the context and user with which people log in as themselves."""


def build_kubeconfig(name: str, *, server: str, authority: str, token: str, login_command: Mapping[str, Any]) -> str:
    """Return a kubeconfig (secret) of two users: `name` with the token, current, and `you` with the command."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": base64.b64encode(authority.encode()).decode(),
                    },
                }
            ],
            "users": [
                {"name": name, "user": {"token": token}},
                {"name": PEOPLE, "user": {"exec": dict(login_command)}},
            ],
            "contexts": [
                {"name": name, "context": {"cluster": name, "user": name}},
                {"name": PEOPLE, "context": {"cluster": name, "user": PEOPLE}},
            ],
            "current-context": name,
        },
        sort_keys=False,
    )
