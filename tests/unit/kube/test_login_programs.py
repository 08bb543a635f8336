"""Only the clouds' own programs log people in, with the arguments that Atoll itself publishes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from atoll.errors import BadInput, Refused
from atoll.kube.connect import Connection
from atoll.kube.kinds import NAMESPACE
from atoll.kube.kubeconfigs import build_public
from atoll.kube.login_programs import check_program
from atoll.kube.member import MemberClient
from atoll.providers.aks.login import build_login_command
from atoll.providers.eks.cloud import EksCloud
from atoll.providers.gke.cloud import GkeCloud
from atoll.providers.managed.kubeconfig import build_kubeconfig
from atoll.providers.managed.surroundings import Declared

from .server import FakeServer, answer

TENANT = "00000000-1111-2222-3333-444444444444"


class Seen:
    """What a login command has to know of a cluster."""

    name = "atoll-k7f2m9"


def eks_command() -> dict[str, Any]:
    seen: Any = Seen()
    return dict(EksCloud().login_command(Declared(settings={"region": "eu-west-1"}, labels={}, credentials={}), seen))


def gke_command() -> dict[str, Any]:
    seen: Any = Seen()
    settings = {"project": "p", "location": "europe-west1"}
    return dict(GkeCloud().login_command(Declared(settings=settings, labels={}, credentials={}), seen))


@pytest.mark.parametrize(
    "command", [eks_command(), gke_command(), build_login_command(TENANT), build_login_command("")], ids=str
)
def test_what_atoll_publishes_may_be_run(command: dict[str, Any]) -> None:
    check_program(command, "users[u].user.exec")


@pytest.mark.parametrize(
    "change",
    [
        {"command": "sh", "args": ["-c", "id"]},
        {"command": "/tmp/aws"},
        {"command": ["aws"]},
        {"env": [{"name": "AWS_CONFIG_FILE", "value": "/tmp/theirs"}]},
        {"args": ["s3", "sync", "/", "s3://theirs"]},
        {"args": ["--region", "eu-west-1", "eks", "get-token", "--cluster-name", "c", "--output", "json", "--debug"]},
        {"args": ["--region", "--debug", "eks", "get-token", "--cluster-name", "c", "--output", "json"]},
        {"args": ["--region", "a", "eks", "get-token", "--cluster-name", "--profile x", "--output", "json"]},
        {"args": "--region a eks get-token --cluster-name c --output json"},
        {"args": None},
    ],
    ids=str,
)
def test_whatever_else_a_secret_may_say_is_not_run(change: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="not one of those that Atoll publishes"):
        check_program({**eks_command(), **change}, "users[u].user.exec")


def publish(server: FakeServer) -> str:
    """Return what would be published for a cluster of EKS at this server."""
    cluster = yaml.safe_load(server.kubeconfig())["clusters"][0]["cluster"]
    connection = Connection.from_kubeconfig(server.kubeconfig())
    return build_public(
        build_kubeconfig(
            "eu--a", server=cluster["server"], authority=connection.ca, token="t", login_command=eks_command()
        )
    )


async def test_people_log_in_with_the_program_and_the_operator_never_does(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "aws"
    said = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "mine"}}
    program.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/asked\necho '{json.dumps(said)}'\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    published = publish(server)
    with pytest.raises(BadInput, match="runs a program"):
        MemberClient(published)
    server.answers(answer({"kind": "Namespace", "metadata": {"name": "a"}}))
    async with MemberClient(published, people=True) as member:
        await member.store.get(NAMESPACE, None, "a")
    assert [asked.headers["authorization"] for asked in server.asked] == ["Bearer mine"]
    assert (tmp_path / "asked").read_text().split() == eks_command()["args"]


async def test_who_has_not_the_program_is_told_how_to_get_it(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with MemberClient(publish(server), people=True) as member:
        with pytest.raises(Refused, match="Install the AWS CLI"):
            await member.store.get(NAMESPACE, None, "a")
