"""Hosts of a cluster, and how to log in to them, out of our own objects and the pool's Secret."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from atoll.errors import LoginKeyMissing, Refused
from atoll.ports import ClusterRef
from atoll.providers.fake import EPOCH, EpochClock
from atoll.shell.cache import Cache
from atoll.shell.surroundings import FleetSurroundings

START = datetime(2026, 11, 21, tzinfo=UTC)
REF = ClusterRef(fleet="fleet", name="racks--dev", id="c1")
CLOCK = EpochClock()
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nnone\n-----END OPENSSH PRIVATE KEY-----\n"


class Objects:
    """What the API holds beside our own kinds; counts the questions."""

    def __init__(self, *bodies: dict[str, Any]) -> None:
        self.bodies = {(body["kind"], body["metadata"]["name"]): body for body in bodies}
        self.asked: list[str] = []

    async def get(self, kind: Any, namespace: str, name: str) -> dict[str, Any] | None:
        assert namespace == "fleet"
        self.asked.append(name)
        return self.bodies.get((kind.kind, name))


def secret(**data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"kind": "Secret", "metadata": {"name": "rack-key"}, "data": encoded}


def metadata(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": "fleet", "uid": name, "resourceVersion": "1", "generation": 1}


def fill(cache: Cache, paused: dict[str, str] | None = None, **ssh: Any) -> None:
    listed = [
        {"name": name, "address": f"10.0.0.{number}", "hostKey": "ssh-ed25519 AAAA"}
        for number, name in enumerate(("h1", "h2", "h3"), 1)
    ]
    pool = {"ssh": {"keySecretRef": {"name": "rack-key"}, **ssh}, "hosts": listed, "paused": paused}
    cache.put(
        {"apiVersion": "atoll.dev/v1alpha1", "kind": "HostPool", "metadata": metadata("rack"), "spec": pool}, START
    )
    for name, role in (("h1", "Worker"), ("h2", "ControlPlane"), ("h3", "")):
        spec = {"poolName": "rack", "hostName": name}
        if role:
            spec |= {"claim": {"clusterID": "c1", "role": role}}
        body = {"apiVersion": "atoll.dev/v1alpha1", "kind": "Host", "metadata": metadata(f"rack--{name}"), "spec": spec}
        cache.put(body, START)


async def test_a_cluster_has_the_hosts_that_claim_it_control_plane_first_and_the_key_is_read_once() -> None:
    cache, objects = Cache(), Objects(secret(**{"ssh-privatekey": KEY}))
    fill(cache, user="deploy", sudo=True, port=2222)
    hosts = await FleetSurroundings(objects, cache, CLOCK).hosts(REF)
    assert [(host.node_name, host.role) for host in hosts] == [("h2", "ControlPlane"), ("h1", "Worker")]
    access = hosts[0].access
    assert (access.name, access.address, access.port, access.user, access.sudo) == (
        "rack--h2",
        "10.0.0.2",
        2222,
        "deploy",
        True,
    )
    assert access.private_key == KEY
    assert KEY not in repr(hosts)
    assert objects.asked == ["rack-key"]


async def test_hosts_are_paused_with_their_pool_and_only_for_as_long() -> None:
    for until, paused in ((EPOCH + timedelta(hours=1), True), (EPOCH - timedelta(hours=1), False)):
        cache, objects = Cache(), Objects(secret(**{"ssh-privatekey": KEY}))
        fill(cache, {"reason": "disks are swapped", "until": until.isoformat()})
        hosts = await FleetSurroundings(objects, cache, CLOCK).hosts(REF)
        assert {host.paused for host in hosts} == {paused}


@pytest.mark.parametrize("there", [(), (secret(wrong="x"),), (secret(**{"ssh-privatekey": ""}),)])
async def test_a_missing_key_is_told_with_the_field(there: tuple[dict[str, Any], ...]) -> None:
    cache = Cache()
    fill(cache)
    with pytest.raises(LoginKeyMissing, match=r"spec\.ssh\.keySecretRef of HostPool rack names Secret rack-key"):
        await FleetSurroundings(Objects(*there), cache, CLOCK).access("fleet", "rack", "h1")


async def test_what_is_not_listed_or_not_there_is_refused() -> None:
    cache = Cache()
    fill(cache)
    surroundings = FleetSurroundings(Objects(), cache, CLOCK)
    with pytest.raises(Refused, match="does not list host h9"):
        await surroundings.access("fleet", "rack", "h9")
    with pytest.raises(Refused, match="no ConfigMap rig"):
        await surroundings.config_map("fleet", "rig")
