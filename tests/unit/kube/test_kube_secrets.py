from __future__ import annotations

import pytest

from atoll.errors import BadInput, Conflict, Refused, Unreachable
from atoll.kube.kinds import ATOLL_KINDS, KINDS, NAMESPACE, SECRET, kind_of, url_path
from atoll.kube.kubeconfigs import build_secret, digest, read_secret
from atoll.kube.management import install, wait_established

from .server import answer, refuse

CHILD = {"apiVersion": "atoll.dev/v1alpha1", "kind": "ChildCluster", "metadata": {"name": "prod--eu", "uid": "u-1"}}


def test_a_kubeconfig_secret_is_shaped_as_cluster_api_shapes_it():
    secret = build_secret("prod--eu", "fleet", "canary", owner=CHILD, labels={"stage": "prod"})
    assert secret == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "prod--eu-kubeconfig",
            "namespace": "fleet",
            "labels": {
                "stage": "prod",
                "app.kubernetes.io/managed-by": "atoll",
                "cluster.x-k8s.io/cluster-name": "prod--eu",
            },
            "ownerReferences": [
                {
                    "apiVersion": "atoll.dev/v1alpha1",
                    "kind": "ChildCluster",
                    "name": "prod--eu",
                    "uid": "u-1",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "type": "cluster.x-k8s.io/secret",
        "data": {"value": "Y2FuYXJ5"},
    }
    assert read_secret(secret) == "canary"
    assert "ownerReferences" not in build_secret("prod--eu", "fleet", "canary")["metadata"]


def test_a_digest_tells_kubeconfigs_apart_without_showing_them():
    assert digest("a") != digest("b")
    assert len(digest("canary")) == 64


@pytest.mark.parametrize("data", [None, {}, {"value": ""}, {"value": "canary!"}, {"value": "/w=="}, {"other": "eA=="}])
def test_a_secret_without_a_kubeconfig_is_refused_naming_the_key(data):
    with pytest.raises(BadInput, match="value") as caught:
        read_secret({"metadata": {"name": "s"}, "data": data})
    assert caught.value.field == "data.value"
    assert "canary" not in str(caught.value)


def test_every_kind_is_found_by_what_stands_in_a_body():
    for kind in KINDS.values():
        assert kind_of({"apiVersion": kind.api_version, "kind": kind.kind}) is kind
    assert len({kind.plural for kind in ATOLL_KINDS}) == 9
    with pytest.raises(BadInput, match="ClusterSett"):
        kind_of({"apiVersion": "atoll.dev/v1alpha1", "kind": "ClusterSett"})


@pytest.mark.parametrize(
    ("args", "path"),
    [
        ((NAMESPACE, None, "a"), "/api/v1/namespaces/a"),
        ((SECRET, "a", "b"), "/api/v1/namespaces/a/secrets/b"),
        ((SECRET,), "/api/v1/secrets"),
        ((SECRET, "a"), "/api/v1/namespaces/a/secrets"),
        (
            (ATOLL_KINDS[0], "f", "a", "status"),
            "/apis/atoll.dev/v1alpha1/namespaces/f/clustersets/a/status",
        ),
    ],
)
def test_a_path_leads_to_the_object(args, path):
    assert url_path(*args) == path


def test_a_namespaced_object_needs_a_namespace():
    with pytest.raises(BadInput, match="needs a namespace"):
        url_path(SECRET, None, "a")


NAME = "tenants.atoll.dev"


async def test_a_crd_whose_names_are_taken_is_a_conflict_and_one_that_takes_long_is_given_up(store, server):
    clash = [{"type": "NamesAccepted", "status": "False", "message": "plural is in use"}]
    server.answers(answer({"metadata": {"name": NAME}, "status": {"conditions": clash}}))
    with pytest.raises(Conflict, match="plural is in use"):
        await wait_established(store, NAME)
    server.answers(refuse(404, "not there yet"))
    with pytest.raises(Unreachable, match="not established within"):
        await wait_established(store, NAME, seconds=0.2)


async def test_an_install_that_is_refused_says_so(store, server):
    server.answers(refuse(403, "no rights"))
    with pytest.raises(Refused, match="no rights"):
        await install(store, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}])
