"""A managed cluster of the stand-in for GKE, with a real control plane behind it that asks the cloud about tokens."""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from google.cloud import container_v1
from google.cloud.container_v1 import types

from .core import run_cloud
from .gke import PROJECT, Gke
from .gke_kit import NEW, OLD, ZONE, build_cluster, connect, fetch_token
from .planes import PlaneBacking

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PATH = f"{ZONE}/clusters/blue"


def wait(client: container_v1.ClusterManagerClient, operation: types.Operation) -> types.Operation:
    """Wait for a real operation to end well."""
    end = time.monotonic() + 120
    while (found := client.get_operation(name=f"{ZONE}/operations/{operation.name}")).status != 3:
        assert time.monotonic() < end, "the operation does not end"
        time.sleep(0.5)
    assert found.error.code == 0, found.error.message
    return found


def ask_plane(cluster: types.Cluster, path: str, token: str) -> tuple[int, Any]:
    """Ask the API server as a provider would: the address, the authority and a token are all that it needs."""
    authority = base64.b64decode(cluster.master_auth.cluster_ca_certificate).decode()
    request = urllib.request.Request(f"https://{cluster.endpoint}{path}", headers={"Authorization": f"Bearer {token}"})
    try:
        context = ssl.create_default_context(cadata=authority)
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def wait_for_status(ask: Callable[[], tuple[int, Any]], status: int) -> None:
    """Wait until the API server has forgotten what it was told before."""
    end = time.monotonic() + 30
    while ask()[0] != status:
        assert time.monotonic() < end, f"it never answers {status}"
        time.sleep(0.5)


def test_a_real_cluster_is_made_reached_by_token_changed_and_removed(tmp_path: Path) -> None:
    with run_cloud(Gke(PlaneBacking(tmp_path))) as cloud, connect(cloud) as client:
        wait(client, client.create_cluster(parent=ZONE, cluster=build_cluster()))
        found = client.get_cluster(name=PATH)
        assert (found.status, found.current_master_version) == (types.Cluster.Status.RUNNING, OLD)
        token = fetch_token(cloud)
        assert ask_plane(found, "/version", token)[1]["minor"] == "35"
        # What only its masters may read.
        assert ask_plane(found, "/api/v1/namespaces/kube-system/secrets", token)[0] == 200
        assert ask_plane(found, "/api/v1/namespaces", token + "x")[0] == 401
        wait(client, client.update_master(name=PATH, master_version=NEW))
        assert ask_plane(client.get_cluster(name=PATH), "/version", token)[1]["minor"] == "36"
        cloud.expire_tokens()
        wait_for_status(lambda: ask_plane(client.get_cluster(name=PATH), "/api/v1/namespaces", token), 401)
        cloud.deny("container.clusters.connect")
        weak = fetch_token(cloud)
        status, answer = ask_plane(client.get_cluster(name=PATH), "/api/v1/namespaces", weak)
        assert (status, f"atoll@{PROJECT}.iam.gserviceaccount.com" in answer["message"]) == (403, True)
        wait(client, client.delete_cluster(name=PATH))
        assert cloud.clusters() == ()
        assert cloud.protests == []
    assert list(tmp_path.glob("planes/gke-*")) == []
