"""How clusters, pools and operations look on the wire."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from .aks_rules import NODE_IMAGE
from .aks_store import describe_state
from .aks_values import Cluster, Operation, Pool

SECRET_FIELDS = {
    "servicePrincipalProfile": "secret",
    "windowsProfile": "adminPassword",
    "aadProfile": "serverAppSecret",
}


def show_cluster(cluster: Cluster, tenant: str) -> dict[str, Any]:
    """Return a managed cluster."""
    properties = {
        key: _without(value, SECRET_FIELDS.get(key)) for key, value in cluster.properties.items() if value is not None
    }
    fqdn = f"{properties['dnsPrefix']}-{cluster.uid[:8]}.hcp.{cluster.location}.azmk8s.io"
    identity = dict(cluster.body.get("identity") or {})
    if identity.get("type") == "SystemAssigned":
        identity |= {"principalId": cluster.principal, "tenantId": tenant}
    return {
        "id": cluster.id,
        "location": cluster.location,
        "name": cluster.name,
        "type": "Microsoft.ContainerService/ManagedClusters",
        "eTag": cluster.etag,
        **({"tags": cluster.body["tags"]} if cluster.body.get("tags") else {}),
        "properties": {
            **properties,
            **describe_state(cluster),
            "powerState": {"code": "Running"},
            "currentKubernetesVersion": cluster.version or cluster.properties["kubernetesVersion"],
            "fqdn": fqdn,
            "azurePortalFQDN": fqdn.replace(".hcp.", ".portal.hcp."),
            "agentPoolProfiles": [{"name": pool.name, **show_pool_properties(pool)} for pool in cluster.pools.values()],
            "maxAgentPools": 100,
            "resourceUID": cluster.uid,
        },
        "identity": identity or None,
        "sku": {"name": "Base", "tier": "Free", **(cluster.body.get("sku") or {})},
        "kind": cluster.body.get("kind", "Base"),
    }


def show_pool(cluster: Cluster, pool: Pool) -> dict[str, Any]:
    """Return an agent pool as a resource of its own."""
    return {
        "id": f"{cluster.id}/agentPools/{pool.name}",
        "name": pool.name,
        "type": "Microsoft.ContainerService/managedClusters/agentPools",
        "properties": show_pool_properties(pool),
    }


def show_pool_properties(pool: Pool) -> dict[str, Any]:
    """Return what a pool is, in the cluster and by itself."""
    return {
        **{key: value for key, value in pool.properties.items() if value is not None},
        **describe_state(pool),
        "currentOrchestratorVersion": pool.version,
        "nodeImageVersion": NODE_IMAGE,
        "eTag": pool.etag,
    }


def show_operation(operation: Operation) -> dict[str, Any]:
    """Return the status of an operation, as its Azure-AsyncOperation URL tells it."""
    shown: dict[str, Any] = {"name": operation.id, "status": operation.status, "startTime": _time(operation.started)}
    if operation.ended:
        shown["endTime"] = _time(operation.ended)
    if operation.error is not None:
        shown["error"] = operation.error
    return shown


def show_kubeconfig(cluster: Cluster, name: str, server: str, ca_pem: str, user: dict[str, Any]) -> dict[str, Any]:
    """Return one entry of a list of credentials."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster.name,
                "cluster": {
                    "certificate-authority-data": base64.b64encode(ca_pem.encode()).decode(),
                    "server": server,
                },
            }
        ],
        "contexts": [
            {
                "name": cluster.name,
                "context": {"cluster": cluster.name, "user": f"{name}_{cluster.group}_{cluster.name}"},
            }
        ],
        "current-context": cluster.name,
        "preferences": {},
        "users": [{"name": f"{name}_{cluster.group}_{cluster.name}", "user": user}],
    }
    # JSON is YAML, and nobody compares the text.
    return {"name": name, "value": base64.b64encode(json.dumps(config).encode()).decode()}


def build_login_plugin(server_id: str, tenant: str, version: str) -> dict[str, Any]:
    """Return the user of a cluster with managed Entra login: a plug-in to run, no secret."""
    args = ["get-token", "--environment", "AzurePublicCloud", "--server-id", server_id, "--client-id"]
    return {
        "exec": {
            "apiVersion": f"client.authentication.k8s.io/{version}",
            "command": "kubelogin",
            "args": [*args, "80faf920-1908-4b52-b5ef-a8e7bedfc67a", "--tenant-id", tenant, "--login", "devicecode"],
            "env": None,
            "provideClusterInfo": False,
        }
    }


def _without(value: Any, secret: str | None) -> Any:
    return (
        {key: inner for key, inner in value.items() if key != secret} if secret and isinstance(value, dict) else value
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
