"""People log in to the clusters of a set by an issuer of their own: from `spec.authentication` to what they may do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.calling import calling
from tests.support.home import TestHome, condition_of
from tests.support.issuer import Issuer
from tests.support.manifests import cluster_set, environment, fleet_namespace, member, tenant

pytestmark = pytest.mark.e2e

STRANGER = "You must be logged in to the server"
WAVES = [
    {"name": "canary", "clusterSelector": {"matchLabels": {"stage": "dev"}}},
    {"name": "prod", "clusterSelector": {"matchLabels": {"stage": "prod"}}},
]


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    with Issuer(tmp_path_factory.mktemp("issuer")) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def fleet(home: TestHome) -> TestHome:
    """Two children without an issuer, and a tenant in both."""
    home.apply(fleet_namespace())
    home.apply(
        cluster_set("eu", member("dev", "dev"), member("prod", "prod"), upgrade={"waves": WAVES}),
        environment("dev"),
        environment("prod"),
        tenant("shop", "dev", "prod"),
    )
    for kind, name in (("clusterset", "eu"), ("tenant", "shop")):
        home.wait_ready(kind, name)
    return home


def log_in(fleet: TestHome, child: str, token: str) -> Path:
    """Return a kubeconfig as a person has it: the cluster's address and authority, and a token."""
    config = yaml.safe_load(fleet.child_kubeconfig(child).read_text())
    (user,) = config["users"]
    user["user"] = {"token": token}
    path = fleet.root / f"{child}.person"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def ask(fleet: TestHome, child: str, token: str, *arguments: str) -> str:
    """Run kubectl as a person; return what it could not, or nothing."""
    done = fleet.kubectl(*arguments, kubeconfig=log_in(fleet, child, token), ok=False)
    return done.stderr if done.returncode else ""


def read_revisions(fleet: TestHome) -> list[str]:
    return [fleet.get("childcluster", name)["status"]["revision"] for name in ("eu--dev", "eu--prod")]


def roll(fleet: TestHome, authentication: object) -> None:
    """Set who is trusted, and wait until both children are there."""
    before = read_revisions(fleet)
    fleet.patch("clusterset", "eu", {"spec": {"authentication": authentication}})
    fleet.wait(
        lambda: read_revisions(fleet),
        lambda now: not set(now) & set(before) and len(set(now)) == 1,
        "both children to be changed and verified",
        seconds=180,
    )
    fleet.wait_ready("clusterset", "eu")


def test_an_issuer_goes_through_the_waves_and_its_people_get_what_the_tenant_gives_them(
    fleet: TestHome, issuer: Issuer
) -> None:
    token = issuer.token("ada@shop.example", "shop-devs")
    assert STRANGER in ask(fleet, "eu--prod", token, "get", "configmaps", "-n", "shop--prod")

    with calling(fleet.child_kubeconfig("eu--dev")) as dev, calling(fleet.child_kubeconfig("eu--prod")) as prod:
        roll(fleet, issuer.authentication())

    assert (dev.failures, prod.failures) == ([], [])
    rows = fleet.get("rollout", "eu-1")["status"]["waves"]
    assert [wave["name"] for wave in rows] == ["canary", "prod"]
    for child, namespace in (("eu--dev", "shop--dev"), ("eu--prod", "shop--prod")):
        status = fleet.get("childcluster", child)["status"]
        assert (status["history"][-1]["type"], status["version"]) == ("Change", "v1.35.8")
        fleet.wait(
            lambda child=child, namespace=namespace: ask(fleet, child, token, "get", "configmaps", "-n", namespace),
            lambda refusal: refusal == "",
            "the issuer to be known",
            seconds=30,
        )
        assert ask(fleet, child, token, "create", "configmap", "mine", "-n", namespace) == ""
        assert "Forbidden" in ask(fleet, child, token, "get", "configmaps", "-n", "kube-system")
        assert "forbidden" in ask(fleet, child, token, "create", "rolebinding", "x", "--clusterrole=admin", "--user=me")
        for name, group in (("system:admin", "shop-devs"), ("atoll", "shop-devs"), ("eve", "system:masters")):
            refusal = ask(fleet, child, issuer.token(name, group), "get", "configmaps", "-n", namespace)
            assert STRANGER in refusal, (name, group)


def test_a_settled_fleet_with_an_issuer_is_left_alone(fleet: TestHome) -> None:
    before = {
        child: fleet.get("childcluster", child)["metadata"]["resourceVersion"] for child in ("eu--dev", "eu--prod")
    }
    servers = {process.pid for process in fleet.api_servers()}
    fleet.atoll("tree")
    fleet.patch("clusterset", "eu", {"metadata": {"annotations": {"note": "look again"}}})
    fleet.wait_ready("clusterset", "eu")
    assert {child: fleet.get("childcluster", child)["metadata"]["resourceVersion"] for child in before} == before
    assert {process.pid for process in fleet.api_servers()} == servers


def test_an_issuer_that_cannot_be_is_refused_with_the_field_and_harms_nobody(fleet: TestHome, issuer: Issuer) -> None:
    bad = json.dumps({"spec": {"authentication": {"oidc": {"issuerURL": "http://id.example", "clientID": "x"}}}})
    done = fleet.kubectl("patch", "clusterset", "eu", "-n", "fleet", "--type=merge", f"--patch={bad}", ok=False)
    assert done.returncode != 0
    assert "spec.authentication.oidc.issuerURL" in done.stderr

    servers = {process.pid for process in fleet.api_servers()}
    pem = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"
    fleet.patch("clusterset", "eu", {"spec": {"authentication": issuer.authentication(certificateAuthority=pem)}})
    told = fleet.wait(
        lambda: condition_of(fleet.get("clusterset", "eu"), "Ready"),
        lambda condition: condition.get("status") == "False",
        "the set to say so",
    )
    assert "spec.authentication.oidc.certificateAuthority holds no certificates" in told["message"]
    fleet.patch("clusterset", "eu", {"spec": {"authentication": issuer.authentication()}})
    fleet.wait_ready("clusterset", "eu")
    assert {process.pid for process in fleet.api_servers()} == servers, "nothing was tried on a cluster"


def test_an_issuer_that_is_taken_out_lets_nobody_in_any_more(fleet: TestHome, issuer: Issuer) -> None:
    token = issuer.token("ada@shop.example", "shop-devs")
    roll(fleet, None)
    for child, namespace in (("eu--dev", "shop--dev"), ("eu--prod", "shop--prod")):
        assert STRANGER in ask(fleet, child, token, "get", "configmaps", "-n", namespace)
