"""Workers join, with a token that lives for minutes and is deleted after its use. Pure."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Final

from atoll.hosts.command import Command, Operation, RemovePath, Secret, WriteFile

from . import paths
from .configuration import build_join_configuration, render_documents
from .facts import ANY_CODE
from .starting import TOKEN_SECRET, mark_node, reset_node, validate
from .values import Cluster, Node

JOIN_SECONDS: Final = 600.0
TOKEN_MINUTES: Final = 15
TOKEN_LABEL: Final = "atoll.dev/bootstrap"  # noqa: S105 - a label


def make_token(token: str, now: datetime) -> Operation:
    """Make a bootstrap token; what is secret of it goes in by standard input."""
    token_id, _, token_secret = token.partition(".")
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": TOKEN_SECRET + token_id,
            "namespace": "kube-system",
            "labels": {TOKEN_LABEL: "true"},
        },
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "description": "made by Atoll for one join",
            "token-id": token_id,
            "token-secret": token_secret,
            "expiration": (now + timedelta(minutes=TOKEN_MINUTES)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "true",
            "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
        },
    }
    yield Command(
        argv=(*paths.KUBECTL, "create", "--filename=-"),
        stdin=Secret(json.dumps(body)),
        why=f"make a token for joining that lives for {TOKEN_MINUTES} minutes",
        seconds=60,
    )


def delete_our_tokens() -> Operation:
    """Delete all tokens that we have made for joining."""
    yield Command(
        argv=(
            *paths.KUBECTL,
            "--namespace=kube-system",
            "delete",
            "secret",
            f"--selector={TOKEN_LABEL}=true",
            "--ignore-not-found",
        ),
        why="delete the token after its use",
        seconds=60,
    )


def join_worker(cluster: Cluster, node: Node, token: str, ca_hash: str, *, reset_first: bool) -> Operation:
    """Let a worker join."""
    if reset_first:
        yield from reset_node(cluster.settings.ignored, why="an earlier join was not finished")
    yield WriteFile(
        path=paths.JOIN_CONFIGURATION,
        content=Secret(render_documents(build_join_configuration(cluster, node, token, ca_hash))),
        why="write what join is given",
        mode=0o600,
    )
    yield validate(paths.JOIN_CONFIGURATION)
    yield Command(
        argv=("kubeadm", "join", "--config", paths.JOIN_CONFIGURATION),
        why=f"let {node.name} join {cluster.ref.name}",
        seconds=JOIN_SECONDS,
    )
    yield RemovePath(path=paths.JOIN_CONFIGURATION, why="it holds a token")
    yield mark_node(node.name, node.role)


def forget_node(name: str) -> Operation:
    """Delete a node that is to join anew: its old object would keep the old machine's name and share."""
    yield Command(
        argv=(*paths.KUBECTL, "delete", "node", name, "--ignore-not-found"),
        why=f"forget the half-joined node {name}",
        seconds=60,
        ok=ANY_CODE,
    )
