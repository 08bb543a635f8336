"""The provider of EKS against moto's server, which others have written: made, seen, changed, deleted.

moto has no add-ons and no updates of versions. What the provider asks about those is answered here, empty; every other
call is moto's own.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import pytest
import yaml
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from atoll.ports import OperationType, Presence

from .eks_provider_kit import CREDENTIALS, REF, SETTINGS, World, open_provider, succeed, todo

EMPTY: Final[Mapping[re.Pattern[str], Mapping[str, list[str]]]] = {
    re.compile(r"/clusters/[^/]+/addons"): {"addons": []},
    re.compile(r"/clusters/[^/]+/updates"): {"updateIds": []},
}
"""What moto does not know, and what a cluster without any of it answers."""
ROLE: Final = "arn:aws:iam::123456789012:role/cluster"
GROUP: Final = {"name": "small", "instanceTypes": ("t3.large",), "minSize": 1, "maxSize": 3}

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def with_empty_answers(app: Wsgi) -> Wsgi:
    """Answer reads of what moto does not have."""

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        for path, body in EMPTY.items():
            if environ["REQUEST_METHOD"] == "GET" and path.fullmatch(environ["PATH_INFO"]):
                start("200 OK", [("Content-Type", "application/json")])
                return [json.dumps(body).encode()]
        return app(environ, start)

    return answer


@contextmanager
def run_moto() -> Iterator[str]:
    """Serve moto on loopback while the block lasts."""
    app = with_empty_answers(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        # What moto holds, it holds for the whole process.
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"), timeout=10).close()
        yield url
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture
def world() -> Iterator[World]:
    with run_moto() as url:
        made = World(None, url)
        made.settings = {**SETTINGS, "roleARN": ROLE, "nodeGroups": (GROUP,), "addons": ()}
        yield made


async def test_a_cluster_is_made_seen_changed_and_deleted(world: World) -> None:
    async with open_provider(world) as provider:
        assert (await provider.observe(REF)).presence is Presence.ABSENT
        made = await succeed(provider, world.want(), todo(OperationType.CREATE))
        assert (made.presence, made.version, made.drift) == (Presence.PRESENT, "v1.35", ())
        assert made.endpoint.startswith("https://")
        world.settings = {**world.settings, "nodeGroups": ({**GROUP, "maxSize": 7},)}
        changed = await succeed(provider, world.want(), todo(OperationType.CHANGE))
        assert changed.drift == ()
        gone = await succeed(provider, world.want(), todo(OperationType.DELETE))
        assert gone.presence is Presence.ABSENT
    assert world.results["CreateCluster", "ok"] == world.results["CreateNodegroup", "ok"] == 1
    assert {result for _, result in world.results} == {"ok"}


async def test_another_operator_finds_the_cluster_that_the_first_has_made(world: World) -> None:
    async with open_provider(world) as provider:
        await succeed(provider, world.want(), todo(OperationType.CREATE))
    async with open_provider(world) as provider:
        seen = await provider.observe(REF)
        assert (seen.presence, seen.drift) == (Presence.PRESENT, ())
        await succeed(provider, world.want(), todo(OperationType.CREATE))
        await succeed(provider, world.want(), todo(OperationType.DELETE))
    assert world.results["CreateCluster", "ok"] == 1


async def test_a_role_is_taken_up_with_the_keys_of_the_secret(world: World) -> None:
    world.credentials = {**CREDENTIALS, "role_arn": "arn:aws:iam::123456789012:role/atoll"}
    async with open_provider(world) as provider:
        await succeed(provider, world.want(), todo(OperationType.CREATE))
        config = yaml.safe_load(await provider.kubeconfig(REF))
        token = config["users"][0]["user"]["token"].removeprefix("k8s-aws-v1.")
        url = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
        assert "X-Amz-Security-Token=" in url, "the token is the role's, not that of the keys"
        assert CREDENTIALS["aws_access_key_id"] not in url
        await succeed(provider, world.want(), todo(OperationType.DELETE))
