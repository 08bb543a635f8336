"""The chart, rendered by helm itself, is accepted by an API server as it is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.helm import render_chart

from .conftest import NEWEST, Server

pytestmark = pytest.mark.e2e

NAMESPACE = "atoll-system"


def render(*args: str, version: str = NEWEST) -> list[dict[str, Any]]:
    """Render the chart as `helm install rel` would."""
    return render_chart(*args, release="rel", namespace=NAMESPACE, version=version)


def of_kind(bodies: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the objects of a kind."""
    return [body for body in bodies if body["kind"] == kind]


@pytest.fixture(scope="module", autouse=True)
def restricted_namespace(server: Server) -> None:
    """Have a namespace that admits only pods of the strictest standard."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    server.must("apply", "-f", "-", body=body)


def test_an_api_server_accepts_all_of_it(server: Server) -> None:
    server.must("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", body=render())


def test_delegates_reach_the_policy(server: Server) -> None:
    bodies = render("--set", "policies.delegates={system:serviceaccount:argocd:app,bob}")
    server.must("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", body=bodies)
    (policy,) = of_kind(bodies, "MutatingAdmissionPolicy")
    assert '["system:serviceaccount:argocd:app","bob"]' in policy["spec"]["variables"][0]["expression"]


def test_policies_know_the_releases_own_user_name() -> None:
    bodies = render("--set", "serviceAccount.name=captain")
    (owned,) = [
        body for body in of_kind(bodies, "ValidatingAdmissionPolicy") if body["metadata"]["name"] == "atoll-owned"
    ]
    assert '["system:serviceaccount:atoll-system:captain"]' in owned["spec"]["variables"][0]["expression"]


def test_an_older_cluster_gets_no_mutating_policy() -> None:
    assert of_kind(render(version="v1.35.8"), "MutatingAdmissionPolicy") == []


def test_rights_end_at_the_fleets_that_are_named() -> None:
    bodies = render("--set", "fleets={a,b}")
    bound = {(body["metadata"].get("namespace"), body["roleRef"]["name"]) for body in of_kind(bodies, "RoleBinding")}
    everywhere = {body["roleRef"]["name"] for body in of_kind(bodies, "ClusterRoleBinding")}
    assert (bound, everywhere) == ({("a", "rel-atoll-fleet"), ("b", "rel-atoll-fleet")}, {"rel-atoll-cluster"})
    args = of_kind(bodies, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[-2:] == ["--namespace=a", "--namespace=b"]


def test_the_pod_is_admitted_where_only_restricted_ones_are(server: Server) -> None:
    bodies = render()
    server.must("apply", "-f", "-", body=of_kind(bodies, "ServiceAccount"))
    template = of_kind(bodies, "Deployment")[0]["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "atoll", "namespace": NAMESPACE},
        "spec": template["spec"],
    }
    server.must("create", "--dry-run=server", "--validate=strict", "-f", "-", body=pod)


def test_what_is_switched_off_is_not_rendered() -> None:
    off = [f"--set={name}=false" for name in ("crds.install", "policies.install", "rbac.create", "rbac.aggregate")]
    assert {body["kind"] for body in render(*off)} == {"ServiceAccount", "Deployment"}
