"""Each example does what its README says: who lands where, and who is refused by which rule."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.home import Json, TestHome

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[3] / "examples"


@dataclass(frozen=True, kw_only=True)
class Example:
    """What a folder of manifests shall lead to. Its fleet has the name of the folder."""

    folder: str
    placed: dict[str, str]
    """Namespace → the clusters that it is on."""
    or_placed: dict[str, str] | None = None
    """What it may lead to as well, where it depends on who is there first, tenant or cluster."""
    refused: dict[str, dict[str, str]] = field(default_factory=dict)
    """Tenant of the folder `refused` → cluster → rule."""

    @property
    def fleet(self) -> str:
        """The namespace of the example."""
        return Path(self.folder).name


EVERY = (
    Example(
        folder="topologies/shared-cluster",
        placed=dict.fromkeys(["pay--dev", "pay--test", "shop--dev", "shop--test"], "one"),
        or_placed=dict.fromkeys(["pay--dev", "pay--test", "shop--dev", "shop--test"], "two"),
        refused={"large": {"apps--one": "capacity", "apps--two": "capacity"}},
    ),
    Example(
        folder="topologies/cluster-per-environment",
        placed={"pay--dev": "dev", "pay--prod": "prod", "shop--dev": "dev", "shop--prod": "prod"},
        refused={"lab": {"apps--dev": "topology", "apps--prod": "topology"}},
    ),
    Example(
        folder="topologies/cluster-per-tenant",
        placed={"pay--prod": "one", "shop--prod": "two"},
        or_placed={"pay--prod": "two", "shop--prod": "one"},
        refused={"lab": {"apps--one": "topology", "apps--two": "topology"}},
    ),
    Example(
        folder="topologies/cross-environment",
        placed={
            "pay--prod--api": "edge",
            "pay--prod--ledger": "core",
            "shop--dev--db": "core",
            "shop--dev--web": "edge",
            "shop--prod--db": "core",
            "shop--prod--web": "edge",
        },
        refused={
            "batch": {"apps--core": "workload-class", "apps--edge": "workload-class"},
            "lab": {"apps--core": "workload-class", "apps--edge": "workload-class"},
        },
    ),
    Example(
        folder="pci",
        placed={"pay--prod": "cards", "shop--prod": "web"},
        refused={
            "big": {"apps--cards": "regime-exclusive", "apps--web": "capacity"},
            "wallet": {"apps--cards": "isolation", "apps--web": "not-attested"},
        },
    ),
    Example(
        folder="gdpr",
        placed={"health--prod": "berlin paris", "news--prod": "ohio"},
        refused={"letters": {"apps--berlin": "capability", "apps--ohio": "country", "apps--paris": "capability"}},
    ),
)


def read_places(home: TestHome, fleet: str) -> dict[str, str]:
    """Return where each namespace of a fleet has arrived: the members of the set `apps`."""
    found: dict[str, list[str]] = {}
    for tenant in home.get("tenant", namespace=fleet)["items"]:
        for place in tenant["status"].get("placements", ()):
            assert place["state"] == "Placed", place
            found.setdefault(place["namespace"], []).append(place["cluster"].removeprefix("apps--"))
    return {namespace: " ".join(sorted(clusters)) for namespace, clusters in found.items()}


def explain(home: TestHome, fleet: str, tenant: str) -> Json:
    """Ask why a tenant is as it is."""
    answer: Json = json.loads(home.atoll("why", f"tenant/{tenant}", "-n", fleet, "-o", "json").stdout)
    return answer


@pytest.mark.parametrize("example", EVERY, ids=lambda example: example.folder)
def test_an_example_does_what_it_says(home: TestHome, example: Example) -> None:
    folder = EXAMPLES / example.folder
    home.atoll("up", str(folder), "--wait", "--timeout", "3m")
    places = read_places(home, example.fleet)
    assert places in (example.placed, example.or_placed)
    pack = json.loads(home.atoll("report", "-n", example.fleet, "-o", "json").stdout)
    assert [row for row in pack["exceptions"] if row["object"].startswith("Tenant/")] == []

    home.kubectl("apply", "-f", str(folder / "refused"))
    for tenant, rules in example.refused.items():
        home.wait(
            lambda tenant=tenant: home.get("tenant", tenant, namespace=example.fleet).get("status", {}),
            lambda status: bool(status.get("unplaced")),
            f"{tenant} to be refused",
            seconds=30,
        )
        answer = explain(home, example.fleet, tenant)
        assert {near["cluster"]: near["rule"] for near in answer["nearest"]} == rules
        assert all(near["message"] and near["remedy"] for near in answer["nearest"])
    assert read_places(home, example.fleet) == places, "nobody was moved for those who came later"


def test_the_regime_of_the_pci_example_is_enforced_in_its_cluster(home: TestHome) -> None:
    home.atoll("up", str(EXAMPLES / "pci"), "--wait", "--timeout", "3m")

    labels = home.get(
        "namespace", "pay--prod", namespace="", kubeconfig=home.child_kubeconfig("apps--cards", namespace="pci")
    )["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels["regime.atoll.dev/pci"] == "true"
    assert labels["governance.atoll.dev/compliance"] == "pci"
    refused = home.kubectl("delete", "regime.atoll.dev", "pci", "-n", "pci", ok=False)
    assert "Regime pci is in use" in refused.stderr

    home.patch("clusterset", "apps", {"spec": {"capabilities": ["hsm"]}}, namespace="pci")
    rollout = home.wait(
        lambda: home.get("rollout", "apps-1", namespace="pci"),
        lambda body: bool((body.get("status", {}).get("waves") or [{}])[0].get("gates")),
        "the wave to soak, as the regime wants it",
        seconds=60,
    )
    (wave,) = rollout["spec"]["waves"]
    assert (wave["soakSeconds"], wave["gates"]) == (60, ["regime-pci"])
    (gate,) = rollout["status"]["waves"][0]["gates"]
    # The change comes from the set, whose author is known and does not count.
    assert (gate["name"], gate["state"]) == ("regime-pci", "Closed")
    assert "0 of 2 approvals" in gate["message"]
    assert rollout["status"]["state"] == "Running"
