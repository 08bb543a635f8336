"""The evidence pack of a real fleet: the same bytes twice, what it lists is there, and what is silent is not green."""

from __future__ import annotations

import base64
import json
import signal
from pathlib import Path

import pytest

from atoll.cli.report_model import compute_digest
from tests.support.home import Json, TestHome
from tests.support.manifests import API_VERSION, cluster_set, environment, fleet_namespace, member, tenant

pytestmark = pytest.mark.e2e


def regime(name: str, **spec: object) -> Json:
    """A governance regime."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Regime",
        "metadata": {"name": name, "namespace": "fleet"},
        "spec": {"title": name.upper(), **spec},
    }


@pytest.fixture(scope="module")
def fleet(home: TestHome) -> TestHome:
    """Two clusters and two tenants, all under one regime."""
    home.apply(fleet_namespace())
    home.apply(
        regime("gdpr", countries=["DE", "FR"], podSecurity="restricted", labels={"data": "personal"}),
        cluster_set(
            "eu",
            member("a", "dev", country="DE", regimes=["gdpr"]),
            member("b", "prod", country="FR", regimes=["gdpr"]),
        ),
        environment("dev"),
        environment("prod", regimes=["gdpr"]),
        tenant("shop", "dev", regimes=["gdpr"]),
        tenant("pay", "prod"),
    )
    home.wait_ready("clusterset", "eu")
    for name in ("shop", "pay"):
        home.wait_ready("tenant", name)
    return home


def read_pack(home: TestHome) -> Json:
    """Return the evidence pack as it is now."""
    pack: Json = json.loads(home.atoll("report", "-o", "json").stdout)
    return pack


def test_the_same_fleet_gives_the_same_bytes(fleet: TestHome, tmp_path: Path) -> None:
    for form in ("json", "html"):
        first, second = (fleet.atoll("report", "-n", "fleet", "-o", form).stdout for _ in range(2))
        assert first == second
        path = tmp_path / f"pack.{form}"
        printed = fleet.atoll("report", "-o", form, "--output-file", str(path)).stdout
        assert (printed, path.read_text()) == ("", first)

    pack = read_pack(fleet)
    assert pack["digest"] == compute_digest(pack)
    assert pack["digest"] in fleet.atoll("report", "-o", "html").stdout


def test_it_says_who_runs_where_under_which_rule_of_which_object(fleet: TestHome) -> None:
    pack = read_pack(fleet)

    assert pack["exceptions"] == []
    pay, shop = pack["placements"]
    assert (pay["tenant"], pay["cluster"], pay["state"]) == ("pay", "eu--b", "Placed")
    assert (shop["tenant"], shop["cluster"], shop["state"]) == ("shop", "eu--a", "Placed")
    demanded = [place["regimes"][0]["demandedBy"] for place in (pay, shop)]
    attested = [place["regimes"][0]["attestedBy"] for place in (pay, shop)]
    assert demanded == [["Environment/prod"], ["Tenant/shop"]]
    assert attested == [["ClusterSet/eu clusters[b]"], ["ClusterSet/eu clusters[a]"]]
    assert pay["residency"] == {"country": "FR", "allowed": ["DE", "FR"], "result": "Kept"}
    assert pay["podSecurity"] == {"demanded": "restricted", "found": "restricted"}
    assert {row["rule"]: row["from"] for row in pay["rules"]} | {"isolation": ""} == {
        "countries": "Regime/gdpr",
        "labels": "Regime/gdpr",
        "podSecurity": "Regime/gdpr",
        "isolation": "",
    }
    for cluster in pack["clusters"]:
        results = {check["result"] for check in cluster["verification"]}
        assert "Passed" in results
        assert results <= {"Passed", "Skipped"}
        assert all(check["time"] for check in cluster["verification"])


def test_every_object_that_it_lists_is_in_the_child(fleet: TestHome) -> None:
    pack = read_pack(fleet)
    listed = {place["cluster"]: list(place["enforcedBy"]["objects"]) for place in pack["placements"]}
    for cluster in pack["clusters"]:
        listed[cluster["name"]] += cluster["guards"]

    for child, objects in listed.items():
        kubeconfig = fleet.child_kubeconfig(child)
        assert {item["kind"] for item in objects} >= {"Namespace", "RoleBinding", "ResourceQuota", "NetworkPolicy"}
        missing = [
            item
            for item in objects
            if not fleet.get(item["kind"], item["name"], namespace=item["namespace"], kubeconfig=kubeconfig)
        ]
        assert missing == []


def test_no_secret_stands_in_it(fleet: TestHome) -> None:
    told = fleet.atoll("report", "-o", "json").stdout + fleet.atoll("report", "-o", "html").stdout
    for secret in fleet.get("secret")["items"]:
        for value in secret["data"].values():
            text = base64.b64decode(value).decode()
            lines = [line.partition(": ")[2].strip() for line in text.splitlines() if "-data:" in line]
            assert lines, "the kubeconfig has no credentials to look for"
            assert [line[:60] for line in lines if line[:60] in told] == []
            assert value[:60] not in told


def test_an_object_that_was_taken_away_is_told(fleet: TestHome) -> None:
    kubeconfig = fleet.child_kubeconfig("eu--a")
    operator = fleet.operator()
    operator.send_signal(signal.SIGSTOP)
    try:
        fleet.kubectl("delete", "resourcequota", "--all", "-n", "shop--dev", kubeconfig=kubeconfig)
        pack = read_pack(fleet)
    finally:
        operator.send_signal(signal.SIGCONT)

    (shop,) = [place for place in pack["placements"] if place["tenant"] == "shop"]
    assert (shop["enforcedBy"]["result"], shop["enforcedBy"]["missing"]) == ("Incomplete", ["ResourceQuota"])
    assert [row["rule"] for row in pack["exceptions"]] == ["enforcement"]
    fleet.wait(
        lambda: read_pack(fleet)["exceptions"], lambda found: found == [], "the quota to be put back", seconds=30
    )


def test_a_child_that_gives_no_answer_is_not_seen_and_never_green(fleet: TestHome) -> None:
    (server,) = fleet.api_servers("eu--a")
    server.send_signal(signal.SIGSTOP)
    try:
        pack = read_pack(fleet)
        page = fleet.atoll("report", "-o", "html").stdout
        table = fleet.atoll("report").stdout
    finally:
        server.send_signal(signal.SIGCONT)

    silent, other = pack["clusters"]
    assert (silent["name"], silent["seen"]["result"], other["seen"]["result"]) == ("eu--a", "NotSeen", "Seen")
    assert silent["seen"]["reason"]
    assert silent["guards"] == []
    pay, shop = pack["placements"]
    assert (pay["enforcedBy"]["result"], shop["enforcedBy"]["result"]) == ("Seen", "NotSeen")
    assert shop["enforcedBy"]["reason"] == silent["seen"]["reason"]
    assert ("ChildCluster/eu--a", "not-seen") in {(row["object"], row["rule"]) for row in pack["exceptions"]}
    article = page.split("<h3>eu--a ")[1].split("</article>")[0]
    assert "not seen" in article
    assert 'class="state good"' not in article
    assert "not seen" in table
    fleet.wait_ready("childcluster", "eu--a", seconds=60)
