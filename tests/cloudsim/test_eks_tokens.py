"""Who calls: signatures, keys of workloads, and tokens of clusters."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.issuer import Issuer

from .core import run_cloud
from .eks import ATOLL, STRANGER, EksStandIn
from .eks_kit import (
    code_of,
    connect,
    fetch,
    make_cluster,
    make_token,
    pack_token,
    unpack_token,
)
from .sts import Identity
from .sts_web import Trust


@pytest.fixture
def cloud() -> Iterator[EksStandIn]:
    with run_cloud(EksStandIn()) as cloud:
        cloud.faults.seconds = 0.05
        yield cloud


@pytest.fixture
def eks(cloud: EksStandIn) -> Any:
    return connect(cloud)


def test_identity_is_told_to_signed_and_presigned_calls(cloud: EksStandIn) -> None:
    sts = connect(cloud, "sts")
    assert sts.get_caller_identity()["Arn"] == ATOLL.arn
    url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    status, text = fetch(url)
    assert (status, ATOLL.arn in text) == (200, True)
    assert fetch(url[:-1] + ("0" if url[-1] != "0" else "1"))[0] == 403
    assert cloud.protests == []


def test_a_workload_gets_keys_for_its_token(cloud: EksStandIn, tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "issuer")
    role = "arn:aws:iam::111122223333:role/atoll-operator"
    subject = "system:serviceaccount:atoll-system:atoll"
    cloud.trusts[role] = Trust(role_arn=role, issuer=issuer.url, subject=subject, key=issuer.key.public_key())
    sts = connect(cloud, "sts")
    good = issuer.token(subject, aud="sts.amazonaws.com")
    asked = {"RoleArn": role, "RoleSessionName": "operator"}
    given = sts.assume_role_with_web_identity(**asked, WebIdentityToken=good)["Credentials"]
    identity = next(one for one in cloud.identities if one.access_key == given["AccessKeyId"])
    eks = connect(cloud, identity=identity)
    cluster = make_cluster(eks, "shop")
    key = cloud.account.clusters["shop"].key
    person = cloud.authenticate(key, make_token(cloud, cluster["name"], identity))
    assert person is not None
    assert person.name == "arn:aws:sts::111122223333:assumed-role/atoll-operator/operator"
    for bad in (
        issuer.token(subject, aud="somebody-else"),
        issuer.token("system:serviceaccount:atoll-system:other", aud="sts.amazonaws.com"),
        issuer.token(subject, aud="sts.amazonaws.com", exp=int(time.time()) - 5),
        good[:-8] + "AAAAAAAA",
        "no token",
    ):
        assert code_of(sts.assume_role_with_web_identity, **asked, WebIdentityToken=bad) in (
            "AccessDenied",
            "ExpiredToken",
            "InvalidIdentityToken",
        )
    assert cloud.protests == []


def test_a_token_opens_the_cluster_that_it_was_made_for_to_its_creator_alone(cloud: EksStandIn, eks: Any) -> None:
    for name in ("shop", "other"):
        make_cluster(eks, name)
    shop, other = (cloud.account.clusters[name].key for name in ("shop", "other"))
    token = make_token(cloud, "shop")
    person = cloud.authenticate(shop, token)
    assert person is not None
    assert (person.name, person.groups) == (ATOLL.arn, ("system:masters",))
    url = unpack_token(token)
    signature = url[-64:]
    refused = {
        "of another cluster": (other, token),
        "of somebody else": (shop, make_token(cloud, "shop", STRANGER)),
        "not there": (shop, ""),
        "no token": (shop, "k8s-aws-v1.!!!"),
        "another signature": (shop, pack_token(url[:-64] + signature[::-1])),
        "another action": (shop, pack_token(url.replace("GetCallerIdentity", "ListUsers"))),
        "another host": (shop, pack_token(url.replace("127.0.0.1", "localhost"))),
        "another key": (shop, pack_token(url.replace(ATOLL.access_key, STRANGER.access_key))),
        "a longer life": (shop, pack_token(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"))),
        "a strange parameter": (shop, pack_token(url + "&x=1")),
        "a repeated parameter": (shop, pack_token(url + "&Action=GetCallerIdentity")),
        "no cluster signed": (shop, pack_token(url.replace("%3Bx-k8s-aws-id", ""))),
        "too long a life": (shop, make_token(cloud, "shop", seconds=901)),
    }
    assert [why for why, (key, bad) in refused.items() if cloud.authenticate(key, bad) is not None] == []
    assert len(cloud.refused_tokens) == len(refused)
    assert signature not in str(cloud.refused_tokens)


def test_a_token_is_over_after_a_while(cloud: EksStandIn, eks: Any) -> None:
    make_cluster(eks, "shop")
    key, token = cloud.account.clusters["shop"].key, make_token(cloud, "shop")
    assert cloud.authenticate(key, token) is not None
    cloud.token_life_seconds = 0
    assert cloud.authenticate(key, token) is None
    assert "ExpiredToken" in cloud.refused_tokens[-1]


def test_unsigned_and_wrongly_signed_calls_are_refused(cloud: EksStandIn) -> None:
    forged = Identity(access_key=ATOLL.access_key, secret_key="guessed", arn=ATOLL.arn, user_id=ATOLL.user_id)
    unknown = Identity(access_key="AKIA0000000000000000", secret_key="x", arn=ATOLL.arn, user_id=ATOLL.user_id)
    assert code_of(connect(cloud, identity=forged).list_clusters) == "InvalidSignatureException"
    assert code_of(connect(cloud, identity=unknown).list_clusters) == "UnrecognizedClientException"
    assert code_of(connect(cloud, "sts", forged).get_caller_identity) == "SignatureDoesNotMatch"
    assert code_of(connect(cloud, "sts", unknown).get_caller_identity) == "InvalidClientTokenId"
    assert fetch(f"{cloud.url}/clusters")[0] == 403
    assert cloud.protests == []
