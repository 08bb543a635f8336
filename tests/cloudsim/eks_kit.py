"""What tests need beside the EKS stand-in: SDK clients that lead there, tokens, and the smallest good parameters."""

from __future__ import annotations

import base64
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.error import HTTPError

import boto3
import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.signers import RequestSigner

from .eks import ACCOUNT, ATOLL, EksStandIn
from .sts import CLUSTER_HEADER, TOKEN_PREFIX, Identity

ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/cluster"
NODE_ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/nodes"
VPC: Final[Mapping[str, Any]] = {"subnetIds": ["subnet-0a", "subnet-0b"]}
NO_RETRIES: Final = {"total_max_attempts": 1}


def build_session(cloud: EksStandIn, identity: Identity = ATOLL) -> boto3.Session:
    """Return an SDK session that knows nothing but these keys."""
    return boto3.Session(
        aws_access_key_id=identity.access_key,
        aws_secret_access_key=identity.secret_key,
        aws_session_token=identity.session_token or None,
        region_name=cloud.region,
    )


def connect(cloud: EksStandIn, service: str = "eks", identity: Identity = ATOLL, **config: Any) -> Any:
    """Return an unmodified client whose endpoint is the stand-in; it is closed with it."""
    settings = Config(**{"retries": NO_RETRIES, "connect_timeout": 5, "read_timeout": 10, **config})
    client = build_session(cloud, identity).client(service, endpoint_url=cloud.url, config=settings)
    cloud.at_end.callback(client.close)
    return client


def make_token(cloud: EksStandIn, cluster: str, identity: Identity = ATOLL, *, seconds: int = 60) -> str:
    """Return a token as `aws eks get-token` makes it."""
    session = build_session(cloud, identity)
    signer = RequestSigner(
        session.client("sts", endpoint_url=cloud.url).meta.service_model.service_id,
        cloud.region,
        "sts",
        "v4",
        session.get_credentials(),
        session.events,
    )
    request = {
        "method": "GET",
        "url": f"{cloud.url}/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {CLUSTER_HEADER: cluster},
        "context": {},
    }
    url = signer.generate_presigned_url(request, region_name=cloud.region, expires_in=seconds, operation_name="")
    return pack_token(url)


def pack_token(url: str) -> str:
    """Return a presigned URL as a token."""
    return TOKEN_PREFIX + base64.urlsafe_b64encode(url.encode()).rstrip(b"=").decode()


def unpack_token(token: str) -> str:
    """Return the presigned URL of a token."""
    raw = token.removeprefix(TOKEN_PREFIX)
    return base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)).decode()


def build_kubeconfig(cluster: Mapping[str, Any], token: str) -> str:
    """Return a kubeconfig for a cluster as DescribeCluster shows it. Secret."""
    where = {"server": cluster["endpoint"], "certificate-authority-data": cluster["certificateAuthority"]["data"]}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "eks", "cluster": where}],
            "users": [{"name": "eks", "user": {"token": token}}],
            "contexts": [{"name": "eks", "context": {"cluster": "eks", "user": "eks"}}],
            "current-context": "eks",
        }
    )


def wait_for(look: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = 20) -> Any:
    """Look until it is as wanted; fails with what was seen last."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if wanted(seen):
            return seen
        assert time.monotonic() < end, f"after {seconds:g} s still {seen}"
        time.sleep(0.05)


def make_cluster(eks: Any, name: str, version: str = "1.35", **more: Any) -> dict[str, Any]:
    """Create a cluster and wait until it is active."""
    eks.create_cluster(name=name, version=version, roleArn=ROLE, resourcesVpcConfig=dict(VPC), **more)
    return wait_cluster(eks, name)


def wait_cluster(eks: Any, name: str, status: str = "ACTIVE", seconds: float = 20) -> dict[str, Any]:
    """Wait until a cluster has a status."""

    def look() -> dict[str, Any]:
        try:
            return dict(eks.describe_cluster(name=name)["cluster"])
        except eks.exceptions.ResourceNotFoundException:
            return {"status": "ABSENT"}

    return dict(wait_for(look, lambda seen: seen["status"] == status, seconds))


def make_nodegroup(eks: Any, cluster: str, name: str, **more: Any) -> dict[str, Any]:
    """Create a node group and wait until it is active."""
    eks.create_nodegroup(clusterName=cluster, nodegroupName=name, nodeRole=NODE_ROLE, subnets=VPC["subnetIds"], **more)
    return wait_nodegroup(eks, cluster, name)


def wait_nodegroup(eks: Any, cluster: str, name: str, status: str = "ACTIVE") -> dict[str, Any]:
    """Wait until a node group has a status."""

    def look() -> dict[str, Any]:
        try:
            return dict(eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"])
        except eks.exceptions.ResourceNotFoundException:
            return {"status": "ABSENT"}

    return dict(wait_for(look, lambda seen: seen["status"] == status))


def wait_update(eks: Any, name: str, update: Mapping[str, Any], seconds: float = 20, **part: str) -> dict[str, Any]:
    """Wait until an update has ended."""

    def look() -> Any:
        return eks.describe_update(name=name, updateId=update["id"], **part)["update"]

    return dict(wait_for(look, lambda seen: seen["status"] != "InProgress", seconds))


def find_addon(eks: Any, cluster: str, name: str) -> dict[str, Any]:
    """Return an add-on as it is shown now."""
    return dict(eks.describe_addon(clusterName=cluster, addonName=name)["addon"])


def error_of(call: Callable[..., Any], **params: Any) -> Mapping[str, Any]:
    """Return the error that a call ends in, as its code and message."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    return dict(caught.value.response["Error"])


def code_of(call: Callable[..., Any], **params: Any) -> str:
    """Return the code of the error that a call ends in."""
    return str(error_of(call, **params)["Code"])


def message_of(call: Callable[..., Any], **params: Any) -> str:
    """Return the words of the error that a call ends in."""
    return str(error_of(call, **params)["Message"])


def every_page(call: Callable[..., Any], key: str, **params: Any) -> list[list[Any]]:
    """Return the pages of a list, following its tokens."""
    pages: list[list[Any]] = []
    token: dict[str, str] = {}
    while True:
        answer = call(**params, **token)
        pages.append(answer[key])
        if not answer.get("nextToken"):
            return pages
        token = {"nextToken": answer["nextToken"]}


def fetch(asked: urllib.request.Request | str) -> tuple[int, str]:
    """Make a plain call."""
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
