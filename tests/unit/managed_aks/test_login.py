"""Logins and addresses."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from azure import identity

from atoll.errors import BadInput, Refused
from atoll.providers.aks.address import Address, read_address
from atoll.providers.aks.cloud import AksCloud
from atoll.providers.aks.login import build_credential, build_login_command, check_credentials
from atoll.providers.managed.surroundings import Declared

from .azure import SETTINGS

TENANT, CLIENT = "99999999-8888-7777-6666-555555555555", "11111111-aaaa-bbbb-cccc-222222222222"


def test_a_secret_is_a_client_secret_and_nothing_is_the_chain_of_identities_without_programs() -> None:
    full = {"tenant_id": TENANT, "client_id": CLIENT, "client_secret": "s"}
    assert isinstance(build_credential(full, {}), identity.ClientSecretCredential)
    chain = build_credential({"endpoint_ca": "x"}, {})
    kinds = {type(credential).__name__ for credential in chain.credentials}
    assert not {kind for kind in kinds if "Cli" in kind or "Shell" in kind or "Code" in kind or "Browser" in kind}
    assert "ManagedIdentityCredential" in kinds


@pytest.mark.parametrize("key", ["tenant_id", "client_id", "client_secret"])
def test_half_a_login_is_refused_by_the_name_of_what_is_missing(key: str) -> None:
    with pytest.raises(BadInput, match="has no") as caught:
        check_credentials({key: "canary"})
    assert caught.value.field == "spec.provider.aks.credentialsSecretRef"
    assert "canary" not in str(caught.value)


def test_people_log_in_with_kubelogin_as_themselves() -> None:
    command = build_login_command(TENANT)
    assert (command["command"], command["args"][-2:]) == ("kubelogin", ["--tenant-id", TENANT])
    assert "6dae42f8-4368-4678-94ff-3960e28e3630" in command["args"]
    assert "--tenant-id" not in build_login_command("")["args"]


def credentials(cluster: Any) -> Any:
    text = json.dumps({"clusters": [{"cluster": cluster}], "users": [{"user": {"exec": {"command": "evil"}}}]})
    return {"kubeconfigs": [{"name": "clusterUser", "value": base64.b64encode(text.encode()).decode()}]}


def test_of_azures_kubeconfig_only_address_and_authority_are_read() -> None:
    pem = base64.b64encode(b"PEM").decode()
    told = credentials({"server": "https://x.azmk8s.io:443", "certificate-authority-data": pem})
    assert read_address(told) == Address(server="https://x.azmk8s.io:443", authority="PEM")


@pytest.mark.parametrize("told", [{}, {"kubeconfigs": [{"value": "%"}]}, credentials({"server": "https://x"})])
def test_an_api_server_without_an_authority_is_refused(told: Any) -> None:
    with pytest.raises(Refused, match="without address or authority"):
        read_address(told)


def test_accounts_are_told_apart_by_place_and_an_invalid_block_is_still_looked_at() -> None:
    cloud = AksCloud()
    name = "aks/00000000-1111-2222-3333-444444444444/westeurope/fleet"
    assert cloud.identify(Declared(settings=SETTINGS)) == name
    assert cloud.identify(Declared(settings={**SETTINGS, "agentPools": ()})) == name
    with pytest.raises(BadInput, match="location"):
        cloud.identify(Declared(settings={**SETTINGS, "location": ""}))
