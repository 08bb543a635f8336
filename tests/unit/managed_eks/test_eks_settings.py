"""The block as it is declared: what is missing or never changes is told with its field and the remedy; tags."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.api.providers import EksSettings
from atoll.errors import BadInput
from atoll.ports import OperationType
from atoll.providers.eks.check import check
from atoll.providers.eks.insights import UPGRADE, are_stale, build_finding, find_errors
from atoll.providers.eks.seen import Offer, parse_offer
from atoll.providers.eks.session import open_clients
from atoll.providers.eks.settings import WantedGroup, check_credentials, parse_block
from atoll.providers.eks.tags import KEYS, build_tags, find_missing, find_stale
from atoll.providers.eks.versions import choose_addon_version, choose_version_before, parse_minor

from .world import REF, SETTINGS, made, todo, want

CREATE, CHANGE = OperationType.CREATE, OperationType.CHANGE


def test_a_block_is_read_as_the_api_writes_it() -> None:
    written = EksSettings.model_validate(
        {
            "region": "eu-west-1",
            "roleARN": "arn:aws:iam::1:role/a",
            "subnetIDs": ["s1", "s2"],
            "endpointAccess": {"public": True},
            "nodeGroups": [
                {
                    "name": "a",
                    "instanceTypes": ["m"],
                    "minSize": 0,
                    "maxSize": 1,
                    "nodeRoleARN": "arn:aws:role/n",
                }
            ],
            "addons": [{"name": "coredns"}],
        }
    )
    said = written.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    block = parse_block(said)
    assert (block.public, block.private, block.subnets) == (True, True, ("s1", "s2"))
    assert block.groups == (
        WantedGroup(name="a", instance_types=("m",), min_size=0, max_size=1, role="arn:aws:role/n"),
    )
    assert block.addons[0].version == ""


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"region": None}, "spec.provider.eks.region"),
        ({"roleARN": None}, "spec.provider.eks.roleARN"),
        ({"subnetIDs": ()}, "spec.provider.eks.subnetIDs"),
        ({"subnetIDs": ("subnet-a",)}, "spec.provider.eks.subnetIDs"),
        ({"endpointAccess": {"public": False, "private": False}}, "spec.provider.eks.endpointAccess"),
        ({"labels": {"aws:x": "y"}}, "spec.labels"),
        ({"labels": {"k" * 129: "y"}}, "spec.labels"),
    ],
)
def test_what_is_missing_is_found_with_its_field(changes: dict[str, Any], field: str) -> None:
    found = check(want(**changes), todo(CREATE), None)
    assert [(one.reason, one.field) for one in found] == [("InvalidSpec", field)]
    assert found[0].message


def test_a_patch_is_for_eks_to_pick() -> None:
    (found,) = check(want(), todo(CREATE, "v1.36.4"), None)
    assert found.message == ("spec.version is v1.36.4, and EKS picks the patch itself: write spec.version: v1.36")
    with pytest.raises(BadInput, match="not a Kubernetes version"):
        parse_minor("tea")


@pytest.mark.parametrize(
    ("changes", "version", "reason"),
    [
        ({}, "v1.36", None),
        ({}, "v1.37", "VersionSkipped"),
        ({}, "v1.34", "VersionSkipped"),
        ({"roleARN": "arn:aws:iam::1:role/other"}, "v1.35", "ImmutableRole"),
        ({"service_cidr": "10.97.0.0/16"}, "v1.35", "ImmutableServiceCIDR"),
        ({"service_cidr": "100.64.0.0/16"}, "v1.35", "InvalidServiceCIDR"),
        (
            {"nodeGroups": ({**SETTINGS["nodeGroups"][0], "instanceTypes": ("x1.large",)},)},
            "v1.35",
            "ImmutableNodeGroup",
        ),
        ({"nodeGroups": ({**SETTINGS["nodeGroups"][0], "nodeRoleARN": "arn:other"},)}, "v1.35", "ImmutableNodeGroup"),
    ],
)
def test_what_never_changes_is_refused_with_the_way_out(changes: dict[str, Any], version: str, reason: str) -> None:
    found = check(want(version, **changes), todo(CHANGE, version), made().cluster)
    assert reason in {one.reason for one in found} if reason else found == ()


def test_older_nodes_of_others_stand_in_the_way_of_an_upgrade() -> None:
    world = made()
    (own,) = world.cluster.groups
    world.set_groups(own, replace(own, name="guests", version="1.34", tags={}))
    (found,) = check(want("v1.36"), todo(CHANGE), world.cluster)
    assert (found.reason, "guests" in found.message) == ("NodeGroupBehind", True)


@pytest.mark.parametrize(
    "given_keys", [{"aws_access_key_id": "a"}, {"aws_secret_access_key": "s"}, {"aws_session_token": "t"}]
)
def test_half_a_login_is_told_without_its_content(given_keys: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="lacks aws_") as caught:
        check_credentials(given_keys)
    assert caught.value.field == "spec.provider.eks.credentialsSecretRef"
    check_credentials({})
    check_credentials({"role_arn": "arn:aws:iam::1:role/a"})


KEY = st.text("abcdefghij", min_size=1, max_size=6)
LABELS = st.dictionaries(KEY, st.sampled_from(["1", "2"]), max_size=8)


@given(before=LABELS, after=LABELS, others=LABELS)
def test_tags_follow_the_labels_and_others_stay(
    before: dict[str, str], after: dict[str, str], others: dict[str, str]
) -> None:
    foreign = {f"x-{key}": value for key, value in others.items()}
    seen = {**foreign, **build_tags(REF, before)}
    wanted = build_tags(REF, after)
    for key in find_stale(seen, wanted):
        del seen[key]
    seen |= find_missing(seen, wanted)
    assert seen == {**foreign, **wanted}
    assert (find_stale(seen, wanted), find_missing(seen, wanted)) == ((), {})
    assert len(seen.get(KEYS, "")) <= 256


def test_an_addon_moves_to_the_default_and_never_down_from_what_fits() -> None:
    offer = Offer(versions=("v1.3.0-eksbuild.1", "v1.2.10-eksbuild.1"), default="v1.2.10-eksbuild.1")
    assert choose_addon_version("", "v1.2.9-eksbuild.1", offer) == "v1.2.10-eksbuild.1"
    assert choose_addon_version("", "v1.3.0-eksbuild.1", offer) == ""
    assert choose_addon_version("", "v9.0.0-eksbuild.1", offer) == "v1.2.10-eksbuild.1", "it does not fit"
    assert choose_addon_version("v1.3.0-eksbuild.1", "v1.2.10-eksbuild.1", offer) == "v1.3.0-eksbuild.1"
    assert choose_addon_version("", "v1.0.0-eksbuild.1", None) == ""


def test_before_a_return_an_addon_needs_a_version_that_runs_with_both() -> None:
    now, before = Offer(versions=("3", "2"), default="3"), Offer(versions=("2", "1"), default="1")
    assert choose_version_before("", "3", now, before) == "2"
    assert choose_version_before("", "2", now, before) == ""
    assert choose_version_before("", "3", Offer(versions=("3",)), before) is None


def test_offers_are_read_for_the_version_that_is_asked_for() -> None:
    pages = (
        {
            "addonVersions": [
                {"addonVersion": "b", "compatibilities": [{"clusterVersion": "1.36", "defaultVersion": False}]},
                {"addonVersion": "a", "compatibilities": [{"clusterVersion": "1.36", "defaultVersion": True}]},
                {"addonVersion": "0", "compatibilities": [{"clusterVersion": "1.35", "defaultVersion": True}]},
            ]
        },
    )
    assert parse_offer(pages, "1.36") == Offer(versions=("b", "a"), default="a")


def test_an_insight_is_told_in_ekss_words_with_who_still_asks() -> None:
    when = datetime(2026, 11, 20, 8, tzinfo=UTC)
    insight = {
        "id": "1",
        "name": "Deprecated APIs removed in Kubernetes v1.36",
        "category": UPGRADE,
        "kubernetesVersion": "1.36",
        "insightStatus": {"status": "ERROR", "reason": "Deprecated API usage detected."},
        "recommendation": "Update manifests.",
        "resources": [{"kubernetesResourceUri": f"/apis/x/{number}"} for number in range(7)],
        "categorySpecificSummary": {
            "deprecationDetails": [
                {
                    "usage": "/apis/flowcontrol/v1beta3",
                    "replacedWith": "/apis/flowcontrol/v1",
                    "stopServingVersion": "1.36",
                    "clientStats": [
                        {"userAgent": "old-operator/1.0", "numberOfRequestsLast30Days": 12, "lastRequestTime": when}
                    ],
                }
            ],
            "addonCompatibilityDetails": [{"name": "coredns", "compatibleVersions": ["v1.14.1"]}],
        },
    }
    found = build_finding(insight, "atoll-c1")
    assert found.reason == "NotReadyToUpgrade"
    assert found.message == (
        "EKS insight `Deprecated APIs removed in Kubernetes v1.36` of atoll-c1 for 1.36: Deprecated API usage "
        "detected. /apis/flowcontrol/v1beta3 ends with 1.36, use /apis/flowcontrol/v1; still used by old-operator/1.0 "
        "(12 "
        "requests in 30 days, last at 2026-11-20 08:00). add-on coredns: v1.14.1 fits. affected: /apis/x/0, /apis/x/1, "
        "/apis/x/2, /apis/x/3, /apis/x/4 and 2 more. Update manifests"
    )
    assert find_errors([insight, {**insight, "id": "2", "insightStatus": {"status": "WARNING"}}]) == ("1",)
    skew = {**insight, "category": "ROLLBACK_READINESS", "name": "Kubelet version skew"}
    assert find_errors([skew]) == ()


def test_insights_are_stale_after_a_day_and_where_nobody_has_looked() -> None:
    now = datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert are_stale([], now)
    assert not are_stale([{"lastRefreshTime": now - timedelta(hours=23)}], now)
    assert are_stale([{"lastRefreshTime": now}, {"lastRefreshTime": now - timedelta(hours=25)}], now)


def test_the_operator_learns_how_to_reach_a_stand_in_from_boto3s_own_options() -> None:
    pem = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
    login = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "planted-canary", "endpoint_ca": pem}
    clients = open_clients("eu-west-1", login, "https://127.0.0.1:1")
    assert clients.eks.meta.endpoint_url == clients.sts_url == "https://127.0.0.1:1"
    assert Path(clients.authority.name).read_text() == pem
    assert clients.eks.meta.config.retries["total_max_attempts"] == 1
    own = open_clients("eu-west-1", {"aws_access_key_id": "AKIA", "aws_secret_access_key": "s"}, "")
    assert own.sts_url == "https://sts.eu-west-1.amazonaws.com"
    assert "planted-canary" not in repr(clients)
