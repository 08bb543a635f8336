"""One client of the stand-in for Azure, and what its tests ask of it."""

from __future__ import annotations

import contextlib
import json
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.mgmt.containerservice import ContainerServiceClient

from .aks import AksStandIn
from .backing import WEBHOOK_PATH
from .core import run_cloud

LONG: Final = 60.0
"""More than any operation takes, and far less than a token lasts."""
MANAGER: Final = "https://management.azure.com/.default"


class Azure:
    """One cloud and one client of it."""

    def __init__(self, cloud: AksStandIn, folder: Path) -> None:
        self.cloud = cloud
        self.authority = folder / "azure.pem"
        self.authority.write_text(cloud.ca_pem)
        self.credential = self.log_in()
        self.client: Any = self.connect(self.credential)
        self._open: list[Any] = [self.client, self.credential]

    def log_in(self, *, tenant: str = "", secret: str = "") -> ClientSecretCredential:
        app = self.cloud.application
        return ClientSecretCredential(
            tenant or self.cloud.tenant,
            app.client_id,
            secret or app.secret,
            authority=self.cloud.url,
            disable_instance_discovery=True,
            connection_verify=str(self.authority),
            retry_total=0,
        )

    def connect(self, credential: Any, **more: Any) -> Any:
        settings = {"connection_verify": str(self.authority), "retry_total": 0, "polling_interval": 1, **more}
        return ContainerServiceClient(credential, self.cloud.subscription, base_url=self.cloud.url, **settings)

    def keep(self, thing: Any) -> Any:
        """Close it in the end."""
        self._open.append(thing)
        return thing

    def close(self) -> None:
        for thing in self._open:
            thing.close()

    def put(self, name: str = "one", body: dict[str, Any] | None = None, **more: Any) -> Any:
        """Create or update without waiting."""
        call = self.client.managed_clusters.begin_create_or_update
        return call("fleet", name, body or cluster_body(name), polling=False, **more).result()

    def make(self, name: str = "one", body: dict[str, Any] | None = None) -> Any:
        """Create or update, and let the time pass that it takes."""
        self.put(name, body)
        self.cloud.advance(LONG)
        return self.get(name)

    def get(self, name: str = "one") -> Any:
        return self.client.managed_clusters.get("fleet", name)

    def put_pool(self, pool: str, properties: dict[str, Any], name: str = "one", **more: Any) -> Any:
        call = self.client.agent_pools.begin_create_or_update
        return call("fleet", name, pool, {"properties": properties}, polling=False, **more).result()

    def state(self, name: str = "one") -> tuple[str, str, dict[str, tuple[str, str]]]:
        """State and version of the control plane, and of each pool."""
        found = self.get(name).properties
        pools = {p.name: (p.provisioning_state, p.current_orchestrator_version) for p in found.agent_pool_profiles}
        return found.provisioning_state, found.current_kubernetes_version, pools


@contextlib.contextmanager
def run_azure(folder: Path) -> Iterator[Azure]:
    """Serve a cloud, with one client."""
    with run_cloud(AksStandIn()) as cloud:
        found = Azure(cloud, folder)
        try:
            yield found
        finally:
            found.close()


def cluster_body(name: str = "one", version: str = "1.35", **properties: Any) -> dict[str, Any]:
    """Return a body that AKS takes."""
    return {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "sku": {"name": "Base", "tier": "Standard"},
        "tags": {"atoll.dev-id": "abc"},
        "properties": {
            "dnsPrefix": name,
            "kubernetesVersion": version,
            "agentPoolProfiles": [{"name": "system", "mode": "System", "count": 1, "vmSize": "Standard_D2s_v5"}],
            "networkProfile": {"podCidr": "10.128.0.0/16", "serviceCidr": "10.1.0.0/20", "dnsServiceIP": "10.1.0.10"},
            "aadProfile": {"managed": True, "enableAzureRBAC": True},
            "disableLocalAccounts": True,
            "autoUpgradeProfile": {"upgradeChannel": "none", "nodeOSUpgradeChannel": "None"},
            **properties,
        },
    }


def refusal(call: Callable[[], Any]) -> tuple[int | None, str, str]:
    """Return status, code and message of the error that a call ends in."""
    with pytest.raises(HttpResponseError) as caught:
        call()
    error = caught.value.error
    assert error is not None
    return caught.value.status_code, str(error.code), str(error.message)


def shown(token: str) -> Any:
    """Return a credential that always shows this token."""

    class Shown:
        def get_token(self, *_: str, **__: Any) -> AccessToken:
            return AccessToken(token, 2**40)

    return Shown()


def kubeconfig(azure: Azure, name: str = "one") -> dict[str, Any]:
    found = azure.client.managed_clusters.list_cluster_user_credentials("fleet", name).kubeconfigs[0]
    parsed: dict[str, Any] = json.loads(bytes(found.value))
    return parsed


def review(azure: Azure, token: str, name: str = "one") -> dict[str, Any]:
    """Ask about a token as an API server does."""
    key = azure.cloud.cluster(name).uid
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    url = f"{azure.cloud.url}{WEBHOOK_PATH}{key}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    context = ssl.create_default_context(cadata=azure.cloud.ca_pem)
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        status: dict[str, Any] = json.loads(answer.read())["status"]
    return status
