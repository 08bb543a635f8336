"""What tests need beside the GKE stand-in: the SDK's client that leads there, tokens, and the smallest good cluster."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError

import pytest
from google.api_core import exceptions
from google.auth import credentials
from google.auth.transport.requests import Request
from google.cloud import container_v1
from google.cloud.container_v1 import types
from google.oauth2 import service_account

from .gke import PROJECT, Gke
from .gke_tokens import CLOUD, EMAIL

ZONE = f"projects/{PROJECT}/locations/us-central1-a"


REGION = f"projects/{PROJECT}/locations/europe-west3"


NEW, OLD, OLDER, OLDEST = "1.36.4-gke.1047000", "1.35.8-gke.1021000", "1.34.9-gke.1103000", "1.33.11-gke.1275000"


def read_key(
    info: dict[str, str], scopes: tuple[str, ...] = (CLOUD, EMAIL), universe: str = "googleapis.com"
) -> service_account.Credentials:
    """Return google-auth's own credentials of a key file."""
    full = {**info, "universe_domain": universe}
    return service_account.Credentials.from_service_account_info(full, scopes=scopes)  # type: ignore[no-untyped-call,no-any-return]


class Opaque(credentials.Credentials):
    """Tokens from the token endpoint, as clusters need them.

    Of another class than the service account's own credentials, which would sign for the API by themselves and ask
    iamcredentials.googleapis.com about regions.
    """

    def __init__(self, info: dict[str, str], scopes: tuple[str, ...] = (CLOUD, EMAIL)) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.inner = read_key(info, scopes)

    def refresh(self, request: Any) -> None:
        self.inner.refresh(request)  # type: ignore[no-untyped-call]
        self.token, self.expiry = self.inner.token, self.inner.expiry


def connect(cloud: Gke, given: credentials.Credentials | None = None) -> container_v1.ClusterManagerClient:
    """Return the SDK's client; only the endpoint is another."""
    return container_v1.ClusterManagerClient(
        credentials=given or Opaque(json.loads(cloud.key_file())),
        transport="rest",
        client_options={"api_endpoint": cloud.url},
    )


def build_pool(name: str = "main", **fields: Any) -> types.NodePool:
    return types.NodePool(
        **{
            "name": name,
            "initial_node_count": 1,
            "management": types.NodeManagement(auto_upgrade=False, auto_repair=True),
            **fields,
        }
    )


def build_cluster(name: str = "blue", **fields: Any) -> types.Cluster:
    """Return a cluster that stays at its version: no channel, no upgrades of nodes."""
    return types.Cluster(
        **{
            "name": name,
            "initial_cluster_version": OLD,
            "release_channel": types.ReleaseChannel(channel=types.ReleaseChannel.Channel.UNSPECIFIED),
            "node_pools": [build_pool()],
            "resource_labels": {"owner": "team-a"},
            **fields,
        }
    )


def make(cloud: Gke, client: container_v1.ClusterManagerClient, name: str = "blue", **fields: Any) -> str:
    """Make a cluster, let its time pass, and return its path."""
    client.create_cluster(parent=ZONE, cluster=build_cluster(name, **fields))
    cloud.advance(1)
    return f"{ZONE}/clusters/{name}"


def follow(cloud: Gke, client: container_v1.ClusterManagerClient, operation: types.Operation) -> types.Operation:
    """Let an operation's time pass and return it as it is then."""
    cloud.advance(1)
    return client.get_operation(name=f"{ZONE}/operations/{operation.name}")


def message_of(error: pytest.ExceptionInfo[exceptions.GoogleAPICallError]) -> str:
    """Return the service's own words: the SDK puts method and URL before them."""
    return str(error.value.message.split(": ", 1)[1])


def call_raw(cloud: Gke, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
    """Send what the SDK itself would not."""
    request = urllib.request.Request(cloud.url + path, method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    content = json.dumps(body).encode() if body is not None else None
    try:
        with urllib.request.urlopen(request, content, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def fetch_token(cloud: Gke, scopes: tuple[str, ...] = (CLOUD, EMAIL)) -> str:
    own = Opaque(json.loads(cloud.key_file()), scopes)
    own.refresh(Request())
    return str(own.token)
