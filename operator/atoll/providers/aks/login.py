"""How Atoll logs in to Azure, and how people log in to a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from atoll.errors import BadInput

SERVER_APPLICATION: Final = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""The application in Entra that all AKS clusters are: tokens are asked for it."""
SCOPE: Final = f"{SERVER_APPLICATION}/.default"
_REFERENCE: Final = "spec.provider.aks.credentialsSecretRef"


def check_credentials(credentials: Mapping[str, str]) -> None:
    """Raise BadInput where the Secret holds a part of a login."""
    there = {key for key in ("tenant_id", "client_id", "client_secret") if credentials.get(key)}
    if there in (set(), {"tenant_id", "client_id"}, {"tenant_id", "client_id", "client_secret"}):
        return
    missing = sorted({"tenant_id", "client_id", "client_secret"} - there)
    raise BadInput(
        f"the Secret of {_REFERENCE} has no {' and no '.join(missing)}: add it (without client_secret, the operator's "
        "workload identity speaks for the client_id)",
        field=_REFERENCE,
    )


def build_credential(credentials: Mapping[str, str], options: Mapping[str, Any]) -> Any:
    """Return the credential of azure-identity for a Secret; an empty one is workload or managed identity.

    The chain leaves out what is for developers' machines: those credentials run programs.
    """
    from azure import identity

    if credentials.get("client_secret"):
        return identity.ClientSecretCredential(
            credentials["tenant_id"], credentials["client_id"], credentials["client_secret"], **options
        )
    if credentials.get("client_id"):
        try:
            return identity.WorkloadIdentityCredential(
                tenant_id=credentials["tenant_id"], client_id=credentials["client_id"], **options
            )
        except ValueError as error:
            raise BadInput(
                f"the Secret of {_REFERENCE} has no client_secret, and the operator has no workload identity: add "
                "client_secret, or give the operator's ServiceAccount a workload identity",
                field=_REFERENCE,
            ) from error
    return identity.DefaultAzureCredential(
        exclude_developer_cli_credential=True,
        exclude_cli_credential=True,
        exclude_powershell_credential=True,
        exclude_visual_studio_code_credential=True,
        exclude_shared_token_cache_credential=True,
        exclude_interactive_browser_credential=True,
        exclude_broker_credential=True,
        **options,
    )


def build_login_command(tenant: str) -> dict[str, Any]:
    """Return the `exec` block with which people log in with the identity that `az login` gave them."""
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "kubelogin",
        "args": [
            "get-token",
            "--login",
            "azurecli",
            "--server-id",
            SERVER_APPLICATION,
            *(("--tenant-id", tenant) if tenant else ()),
        ],
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": False,
        "installHint": "Install kubelogin and log in: az aks install-cli && az login",
    }
