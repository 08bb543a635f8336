"""People beside the one who set a plane up: client certificates that name a user and a group."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from atoll.planes import pki
from atoll.planes.layout import build_layout


def build_kubeconfig(home: Path, plane: str, kubeconfig: str, name: str, group: str) -> str:
    """Return `kubeconfig`, of a plane in `home`, with another user in it. Secret."""
    leaf = pki.Leaf(name=name, authority=pki.CLUSTER_AUTHORITY, common_name=name, organization=group, client=True)
    authority = pki.read_pair(build_layout(home, plane), pki.CLUSTER_AUTHORITY)
    pair = pki.issue_leaf(leaf, authority, datetime.now(UTC), timedelta(hours=1))
    config: dict[str, Any] = yaml.safe_load(kubeconfig)
    for user in config["users"]:
        user["user"] = {
            "client-certificate-data": base64.b64encode(pki.certificate_pem(pair.certificate)).decode(),
            "client-key-data": base64.b64encode(pki.key_pem(pair.key)).decode(),
        }
    return yaml.safe_dump(config)
