"""Who may ask the stand-in for Azure and its clusters, seen through the unmodified azure-identity."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity import ClientSecretCredential, WorkloadIdentityCredential
from azure.mgmt.containerservice import ContainerServiceClient

from .aks_kit import MANAGER, Azure, cluster_body, kubeconfig, refusal, review, run_azure, shown
from .aks_login import AKS_SERVER, FEDERATION_AUDIENCE
from .aks_tokens import Signer
from .aks_values import CLUSTER_ADMIN, CONTRIBUTOR


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    with run_azure(tmp_path) as found:
        yield found


def test_the_sdk_insists_on_tls_and_on_an_authority_that_it_knows(
    azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ContainerServiceClient(
        azure.credential, azure.cloud.subscription, base_url=azure.cloud.url.replace("https", "http"), retry_total=0
    )
    with pytest.raises(ServiceRequestError, match="not permitted for non-TLS"):
        azure.keep(plain).managed_clusters.get("fleet", "one")
    with pytest.raises(ValueError, match="must be a TLS protected"):
        ClientSecretCredential("t", "c", "s", authority=azure.cloud.url.replace("https", "http"))
    strange = azure.keep(azure.connect(azure.credential, connection_verify=True))
    with pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED"):
        strange.managed_clusters.get("fleet", "one")
    # The whole process can be told too.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(azure.authority))
    assert refusal(lambda: strange.managed_clusters.get("fleet", "one"))[0] == 404


def test_a_wrong_secret_and_an_unknown_tenant_get_no_token(azure: Azure) -> None:
    wrong = azure.keep(azure.log_in(secret="guessed"))
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215") as caught:
        wrong.get_token(MANAGER)
    assert "guessed" not in str(caught.value)
    lost = azure.keep(azure.log_in(tenant="12345678-0000-0000-0000-000000000000"))
    with pytest.raises(ClientAuthenticationError, match="double check your tenant name"):
        lost.get_token(MANAGER)
    with pytest.raises(ClientAuthenticationError, match="AADSTS500011"):
        azure.credential.get_token("https://vault.azure.net/.default")


def test_a_token_that_was_tampered_with_or_is_for_another_is_refused(azure: Azure) -> None:
    good = azure.credential.get_token(MANAGER).token
    head, claims, signature = good.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    said["exp"] += 999999
    forged = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    foreign = Signer().sign(said)
    other = azure.credential.get_token(f"{AKS_SERVER}/.default").token
    for token in (f"{head}.{forged}.{signature}", foreign, other, "nonsense"):
        client = azure.keep(azure.connect(shown(token)))
        with pytest.raises(ClientAuthenticationError, match="InvalidAuthenticationToken"):
            client.managed_clusters.get("fleet", "one")
    assert refusal(lambda: azure.keep(azure.connect(shown(good))).managed_clusters.get("fleet", "one"))[0] == 404


def test_a_token_ends(azure: Azure) -> None:
    client = azure.keep(azure.connect(shown(azure.credential.get_token(MANAGER).token)))
    azure.cloud.advance(3599)
    assert refusal(lambda: client.managed_clusters.get("fleet", "one"))[0] == 404
    azure.cloud.advance(2)
    with pytest.raises(ClientAuthenticationError, match="ExpiredAuthenticationToken"):
        client.managed_clusters.get("fleet", "one")


def test_a_workload_shows_its_own_token_instead_of_a_secret(azure: Azure, tmp_path: Path) -> None:
    issuer = Signer()
    trusted = ("https://issuer.example", "system:serviceaccount:atoll-system:atoll")
    azure.cloud.application.federated[trusted] = issuer.public_key

    def log_in(file: str, subject: str, audience: str) -> str:
        claims = {"iss": trusted[0], "sub": subject, "aud": [audience], "exp": azure.cloud.now() + 600}
        path = tmp_path / file
        path.write_text(issuer.sign(claims))
        credential = WorkloadIdentityCredential(
            tenant_id=azure.cloud.tenant,
            client_id=azure.cloud.application.client_id,
            token_file_path=str(path),
            authority=azure.cloud.url,
            disable_instance_discovery=True,
            connection_verify=str(azure.authority),
        )
        return str(azure.keep(credential).get_token(MANAGER).token)

    token = log_in("good", trusted[1], FEDERATION_AUDIENCE)
    assert refusal(lambda: azure.keep(azure.connect(shown(token))).managed_clusters.get("fleet", "one"))[0] == 404
    with pytest.raises(ClientAuthenticationError, match="AADSTS700213"):
        log_in("other", "system:serviceaccount:default:default", FEDERATION_AUDIENCE)
    with pytest.raises(ClientAuthenticationError, match="AADSTS700212"):
        log_in("audience", trusted[1], "https://kubernetes.default.svc")


def test_login_fails_as_entra_does(azure: Azure) -> None:
    azure.cloud.faults.fail("GetToken", "throttled")
    with pytest.raises(ClientAuthenticationError, match="AADSTS90055"):
        azure.credential.get_token(MANAGER)
    # MSAL itself waits as long as it was told before it asks again.
    assert azure.cloud.count("GetToken") == 1
    other = azure.keep(azure.log_in())
    azure.cloud.faults.fail("GetToken", "unavailable")
    with pytest.raises(ClientAuthenticationError, match="HTTP Error: 503"):
        other.get_token(MANAGER)


def test_the_kubeconfig_says_where_and_holds_no_secret(azure: Azure) -> None:
    azure.make()
    config = kubeconfig(azure)
    server = config["clusters"][0]["cluster"]
    endpoint = azure.cloud.backing.endpoint(azure.cloud.cluster("one").uid)
    assert (server["server"], base64.b64decode(server["certificate-authority-data"]).decode()) == endpoint
    user = config["users"][0]["user"]["exec"]
    assert user["command"] == "kubelogin"
    assert AKS_SERVER in user["args"]
    admin = azure.client.managed_clusters.list_cluster_admin_credentials
    assert "disable local accounts" in refusal(lambda: admin("fleet", "one"))[2]


def test_a_clusters_api_server_takes_tokens_for_the_aks_server_application(azure: Azure) -> None:
    azure.make()
    token = azure.credential.get_token(f"{AKS_SERVER}/.default").token
    who = azure.cloud.application.object_id
    assert review(azure, token) == {
        "authenticated": True,
        "user": {"username": who, "uid": who, "groups": ["system:masters"]},
    }
    for bad in (azure.credential.get_token(MANAGER).token, token[:-4] + "AAAA", Signer().sign({"aud": AKS_SERVER}), ""):
        assert not review(azure, bad)["authenticated"]
    azure.cloud.advance(3601)
    assert not review(azure, token)["authenticated"]


def test_only_who_has_the_role_rules_a_cluster(azure: Azure) -> None:
    azure.make()
    other = azure.cloud.add_application("33333333-aaaa-bbbb-cccc-222222222222", "s", frozenset({CONTRIBUTOR}))
    token = azure.cloud.login.issue_token(other, AKS_SERVER)
    assert review(azure, token)["user"]["groups"] == []
    other.roles.add(CLUSTER_ADMIN)
    assert review(azure, token)["user"]["groups"] == ["system:masters"]
    other.roles.discard(CLUSTER_ADMIN)
    other.groups = ("platform",)
    azure.make(body=cluster_body(aadProfile={"managed": True, "adminGroupObjectIDs": ["platform"]}))
    assert review(azure, token)["user"]["groups"] == ["platform", "system:masters"]


def test_without_entra_login_a_cluster_has_local_accounts(azure: Azure) -> None:
    azure.make(body=cluster_body(aadProfile=None, disableLocalAccounts=False))
    token = kubeconfig(azure)["users"][0]["user"]["token"]
    assert review(azure, token)["user"]["groups"] == ["system:masters"]
    assert not review(azure, azure.credential.get_token(f"{AKS_SERVER}/.default").token)["authenticated"]
