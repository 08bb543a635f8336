"""The Secret that carries a child's kubeconfig, shaped as Cluster API shapes it, so that others can use it. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import yaml

from atoll.errors import BadInput
from atoll.fleet.names import MANAGED_LABELS
from atoll.ports import Body

from .secret_text import read_text

SECRET_TYPE: Final = "cluster.x-k8s.io/secret"  # noqa: S105 - a type, no secret
CLUSTER_NAME_LABEL: Final = "cluster.x-k8s.io/cluster-name"
KEY: Final = "value"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""For kubeconfigs of ours; those of others are read by `connect.read_entries`."""
LOGIN_COMMAND: Final = "atoll.dev/login-command"
"""Extension of a kubeconfig's user: the `exec` block with which people log in as themselves."""


def secret_name(child_name: str) -> str:
    """Return the name of the Secret that holds a child's kubeconfig."""
    return f"{child_name}-kubeconfig"


def build_secret(
    child_name: str,
    namespace: str,
    kubeconfig: str,
    *,
    owner: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Body:
    """Return the kubeconfig Secret of a child.

    `owner` is the ChildCluster as the API server returned it; without it the Secret outlives its child (Orphan).
    """
    metadata: Body = {
        "name": secret_name(child_name),
        "namespace": namespace,
        "labels": {**(labels or {}), **MANAGED_LABELS, CLUSTER_NAME_LABEL: child_name},
    }
    if owner is not None:
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": SECRET_TYPE,
        "data": {KEY: base64.b64encode(kubeconfig.encode()).decode()},
    }


def read_secret(secret: Mapping[str, Any], key: str = KEY) -> str:
    """Return the kubeconfig in a Secret; raises BadInput naming the key, never its content."""
    text = read_text(secret, key)
    if not text:
        name = (secret.get("metadata") or {}).get("name", "")
        there = bool((secret.get("data") or {}).get(key))
        problem = f"holds no text in base64 under `{key}`" if there else f"has no key `{key}`"
        raise BadInput(f"Secret {name} {problem}; put the kubeconfig there", field=f"data.{key}")
    return text


def build_public(kubeconfig: str) -> str:
    """Return a kubeconfig (secret) without its tokens: who may log in gets one with the command that stands beside it.

    The command is the extension LOGIN_COMMAND of each user; without one a user is left with no login.
    """
    config = yaml.load(kubeconfig, Loader=_LOADER)  # noqa: S506 - it is a safe one
    for entry in config["users"]:
        extensions = entry["user"].get("extensions") or ()
        command = next((item["extension"] for item in extensions if item["name"] == LOGIN_COMMAND), None)
        entry["user"] = {"exec": command} if command is not None else {}
    return dump_kubeconfig(config)


def dump_kubeconfig(config: Mapping[str, Any]) -> str:
    """Write a kubeconfig, quickly where libyaml is there: large fleets write thousands in an hour."""
    return yaml.dump(config, Dumper=_DUMPER, sort_keys=False)


def digest(kubeconfig: str) -> str:
    """Return the SHA-256 of a kubeconfig, which may be compared and logged where the kubeconfig itself may not."""
    return hashlib.sha256(kubeconfig.encode()).hexdigest()
