"""Real control planes behind the clusters of the stand-in for Azure."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.identity import ClientSecretCredential
from azure.mgmt.containerservice import ContainerServiceClient

from atoll.errors import Refused
from atoll.kube.member import MemberClient

from .aks import AksStandIn
from .aks_login import AKS_SERVER
from .aks_values import CLUSTER_ADMIN
from .core import run_cloud
from .planes import PlaneBacking


async def look_into(kubeconfig: str) -> tuple[str, tuple[str, ...]]:
    async with MemberClient(kubeconfig) as member:
        assert await member.identity()
        version = await member.version()
        user, groups = await member.user()
        return f"{version.major}.{version.minor} {user}", groups


def build_body(version: str, pool_version: str) -> dict[str, Any]:
    pool = {"name": "system", "mode": "System", "count": 1, "orchestratorVersion": pool_version}
    return {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "dnsPrefix": "shop",
            "kubernetesVersion": version,
            "agentPoolProfiles": [pool],
            "aadProfile": {"managed": True, "enableAzureRBAC": True},
            "disableLocalAccounts": True,
        },
    }


def wait_for(look: Callable[[], Any], wanted: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (found := look()) != wanted:
        assert time.monotonic() < end, found
        time.sleep(0.2)


@pytest.mark.e2e
def test_a_real_control_plane_takes_the_tokens_of_entra_and_goes_through_an_upgrade(tmp_path: Path) -> None:
    with run_cloud(AksStandIn(PlaneBacking(tmp_path / "planes"))) as cloud:
        authority = tmp_path / "azure.pem"
        authority.write_text(cloud.ca_pem)
        app = cloud.application
        with (
            ClientSecretCredential(
                cloud.tenant,
                app.client_id,
                app.secret,
                authority=cloud.url,
                disable_instance_discovery=True,
                connection_verify=str(authority),
            ) as credential,
            ContainerServiceClient(
                credential, cloud.subscription, base_url=cloud.url, connection_verify=str(authority)
            ) as client,
        ):
            calls: Any = client.managed_clusters

            def look() -> tuple[str, str]:
                found = calls.get("fleet", "shop").properties
                return found.provisioning_state, found.current_kubernetes_version

            def enter(token: str) -> tuple[str, tuple[str, ...]]:
                listed = calls.list_cluster_user_credentials("fleet", "shop").kubeconfigs
                config = json.loads(bytes(listed[0].value))
                config["users"][0]["user"] = {"token": token}
                return asyncio.run(look_into(json.dumps(config)))

            def get_token() -> str:
                return credential.get_token(f"{AKS_SERVER}/.default").token

            calls.begin_create_or_update("fleet", "shop", build_body("1.35", "1.35"), polling=False)
            assert look()[0] == "Creating"
            wait_for(look, ("Succeeded", "1.35.8"), 120)
            who = app.object_id
            assert enter(get_token()) == (f"1.35 {who}", ("system:masters", "system:authenticated"))
            stranger = cloud.add_application("33333333-aaaa-bbbb-cccc-222222222222", "other", frozenset())
            for bad in (
                credential.get_token("https://management.azure.com/.default").token,
                get_token()[:-8] + "AAAAAAAA",
                cloud.login.issue_token(app, AKS_SERVER, seconds=-1),
                # Known, but it may do nothing.
                cloud.login.issue_token(stranger, AKS_SERVER),
            ):
                with pytest.raises(Refused):
                    enter(bad)
            calls.begin_create_or_update("fleet", "shop", build_body("1.36", "1.35"), polling=False)
            assert look() == ("Upgrading", "1.35.8")
            wait_for(look, ("Succeeded", "1.36.4"), 180)
            assert enter(get_token())[0] == f"1.36 {who}"
            app.roles.discard(CLUSTER_ADMIN)
            with pytest.raises(Refused):
                # A new token: an API server believes for ten seconds what it was told of an old one.
                enter(cloud.login.issue_token(app, AKS_SERVER))
            calls.begin_delete("fleet", "shop", polling=False)
            wait_for(cloud.names, [], 60)
        assert cloud.protests == []
    assert list(tmp_path.glob("planes/planes/*/plane.json")) == []
