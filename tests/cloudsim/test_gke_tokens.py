"""The unmodified google-auth and google-cloud-container show who they are to the stand-in for GKE."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.cloud import container_v1

from .core import run_cloud
from .gke import PROJECT, Gke
from .gke_kit import (
    ZONE,
    Opaque,
    build_cluster,
    call_raw,
    connect,
    fetch_token,
    make,
    message_of,
    read_key,
)
from .gke_tokens import CLOUD, EMAIL


@pytest.fixture
def cloud() -> Iterator[Gke]:
    with run_cloud(Gke()) as cloud:
        yield cloud


@pytest.fixture
def client(cloud: Gke) -> Iterator[container_v1.ClusterManagerClient]:
    with connect(cloud) as client:
        yield client


def test_an_expired_token_is_fetched_anew_by_the_sdk(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    client.list_clusters(parent=ZONE)
    cloud.expire_tokens()
    client.list_clusters(parent=ZONE)
    assert [(call.name, call.status) for call in cloud.calls] == [
        ("GetToken", 200),
        ("ListClusters", 200),
        ("ListClusters", 401),
        ("GetToken", 200),
        ("ListClusters", 200),
    ]


def test_calls_without_a_good_token_are_refused(cloud: Gke) -> None:
    path = f"/v1/{ZONE}/clusters"
    good = fetch_token(cloud)
    assert call_raw(cloud, "GET", path, token=good)[0] == 200
    refused = {"": "CREDENTIALS_MISSING", good[:-1] + "!": "ACCESS_TOKEN_TYPE_UNSUPPORTED", "a.b.c": None}
    for token, reason in refused.items():
        status, answer = call_raw(cloud, "GET", path, token=token)
        assert (status, answer["error"]["status"]) == (401, "UNAUTHENTICATED")
        assert reason in (None, answer["error"]["details"][0]["reason"])
    cloud.advance(4000)
    assert call_raw(cloud, "GET", path, token=good)[1]["error"]["details"][0]["reason"] == "ACCESS_TOKEN_EXPIRED"
    weak = fetch_token(cloud, (EMAIL,))
    assert call_raw(cloud, "GET", path, token=weak)[1]["error"]["message"].endswith("authentication scopes.")


def test_plain_service_account_credentials_sign_for_the_api_by_themselves(cloud: Gke) -> None:
    """The universe is another one, so that google-auth does not ask Google itself about the account's regions."""
    given = read_key(json.loads(cloud.key_file()), (), universe="stand-in.test")
    with connect(cloud, given) as client:
        assert list(client.list_clusters(parent=ZONE).clusters) == []
        assert cloud.count("GetToken") == 0
        header, claims, signature = str(getattr(client.transport._credentials, "token", "")).split(".")
    path = f"/v1/{ZONE}/clusters"
    assert call_raw(cloud, "GET", path, token=f"{header}.{claims}.{signature}")[0] == 200
    other = json.loads(base64.urlsafe_b64decode(claims + "=="))
    other["exp"] += 60
    forged = base64.urlsafe_b64encode(json.dumps(other).encode()).decode().rstrip("=")
    assert call_raw(cloud, "GET", path, token=f"{header}.{forged}.{signature}")[0] == 401


def test_keys_that_google_does_not_know_get_no_token(cloud: Gke) -> None:
    known = json.loads(cloud.key_file())
    with run_cloud(Gke()) as elsewhere:
        stranger = json.loads(elsewhere.key_file())
    forged = {**known, "private_key": stranger["private_key"]}
    for info, said in (
        (forged, "invalid_grant: Invalid JWT Signature."),
        ({**known, "client_email": "who@fleet-1.iam.gserviceaccount.com"}, "account not found"),
    ):
        with pytest.raises(RefreshError, match=said):
            Opaque(info).refresh(Request())
    with pytest.raises(RefreshError, match="invalid_scope"):
        Opaque(known, ()).refresh(Request())
    assert cloud.count("GetToken", good=True) == 0


ASK_METADATA = """
import google.auth
from google.auth.transport.requests import Request
found, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
found.refresh(Request())
print(project, found.service_account_email, found.token)
"""


def test_workload_identity_gets_tokens_from_the_metadata_server(cloud: Gke, tmp_path: Path) -> None:
    """In a process of its own: google-auth looks for the metadata server when it is imported."""
    cloud.give_workload_identity()
    host = cloud.url.removeprefix("http://")
    environment = {"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host, "CLOUDSDK_CONFIG": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-c", ASK_METADATA], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 0, found.stderr
    project, email, token = found.stdout.split()
    assert (project, email) == (PROJECT, f"atoll@{PROJECT}.iam.gserviceaccount.com")
    assert call_raw(cloud, "GET", f"/v1/{ZONE}/clusters", token=token)[0] == 200
    assert cloud.protests == []


def test_clusters_know_people_by_their_opaque_tokens_alone(
    cloud: Gke, client: container_v1.ClusterManagerClient
) -> None:
    make(cloud, client)
    key = cloud.cluster("blue").key
    email = f"atoll@{PROJECT}.iam.gserviceaccount.com"

    def review(token: str, which: str = key) -> dict[str, Any]:
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        return dict(call_raw(cloud, "POST", f"/_token-review/{which}", asked)[1]["status"])

    good = fetch_token(cloud)
    assert review(good)["user"]["username"] == email
    assert review(good)["user"]["groups"] == ["system:masters"]
    assert review(fetch_token(cloud, (CLOUD,)))["user"]["username"] == cloud.account().unique_id
    signed = read_key(json.loads(cloud.key_file()), universe="stand-in.test")
    signed.refresh(Request())  # type: ignore[no-untyped-call]
    for token, which in ((good, "gke-other"), (good + "x", key), (str(signed.token), key)):
        assert not review(token, which)["authenticated"]
    cloud.expire_tokens()
    assert not review(good)["authenticated"]


def test_a_missing_permission_stays_missing_until_it_is_given(
    cloud: Gke, client: container_v1.ClusterManagerClient
) -> None:
    cloud.deny("container.clusters.create")
    with pytest.raises(exceptions.Forbidden) as error:
        client.create_cluster(parent=ZONE, cluster=build_cluster())
    assert message_of(error) == f'Required "container.clusters.create" permission(s) for "projects/{PROJECT}".'
    cloud.allow("container.clusters.create")
    make(cloud, client)
    assert cloud.clusters() == ("blue",)


def test_strange_projects_and_places_are_refused(client: container_v1.ClusterManagerClient) -> None:
    with pytest.raises(exceptions.Forbidden) as error:
        client.list_clusters(parent="projects/other/locations/-")
    assert (error.value.reason, message_of(error)) == (
        "CONSUMER_INVALID",
        "Permission denied on resource project other.",
    )
    with pytest.raises(exceptions.Forbidden, match="or it may not exist"):
        client.create_cluster(parent=f"projects/{PROJECT}/locations/mars-west1", cluster=build_cluster())


def test_google_auth_asks_the_token_endpoint_again_by_itself(cloud: Gke) -> None:
    cloud.faults.fail("GetToken", "unavailable")
    assert fetch_token(cloud)
    assert [(call.name, call.status) for call in cloud.calls] == [("GetToken", 503), ("GetToken", 200)]
    cloud.faults.fail("GetToken", "denied")
    with pytest.raises(RefreshError, match="unauthorized_client"):
        fetch_token(cloud)
