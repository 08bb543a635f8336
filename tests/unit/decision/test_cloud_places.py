"""A managed cluster stays where it was made, whatever its ClusterSet says by then."""

from __future__ import annotations

from atoll.decision.settings import locate, settle_settings
from atoll.shell.member_blocks import find_settings

EKS = {"region": "eu-west-1", "roleARN": "arn:aws:iam::1:role/x", "credentialsSecretRef": {"name": "aws"}}


def test_a_new_cluster_remembers_where_it_is_made_and_how_to_get_there() -> None:
    assert locate("eks", EKS) == {"region": "eu-west-1", "credentialsSecretRef": {"name": "aws"}}
    assert locate("local", {}) == {}


def test_a_set_that_names_another_region_moves_nobody_and_may_change_the_login() -> None:
    declared = {**EKS, "region": "us-east-1", "credentialsSecretRef": {"name": "new"}}
    settled = settle_settings(declared, locate("eks", EKS), listed=True)
    assert settled == {**EKS, "credentialsSecretRef": {"name": "new"}}


def test_who_has_left_the_list_is_reached_where_it_was_with_the_login_that_it_had() -> None:
    child = {"spec": {"memberName": "gone", "cloud": locate("eks", EKS)}}
    cluster_set = {
        "spec": {
            "provider": {"eks": {"region": "us-east-1", "credentialsSecretRef": {"name": "other"}}},
            "clusters": [{"name": "here", "eks": {"region": "eu-west-2"}}],
        }
    }
    assert find_settings(cluster_set, child, "eks") == {
        "region": "eu-west-1",
        "credentialsSecretRef": {"name": "aws"},
    }
    here = {"spec": {"memberName": "here"}}
    assert find_settings(cluster_set, here, "eks") == {
        "region": "eu-west-2",
        "credentialsSecretRef": {"name": "other"},
    }
