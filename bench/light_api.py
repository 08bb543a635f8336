"""Light API servers: what a management plane asks of a cluster, answered from memory, many clusters in one process.

Each cluster has a port, an authority and a certificate of its own, because that is what it costs whoever connects. A
server-side apply replaces what is there, as it does when nobody else writes; namespaces are gone at once.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from atoll.planes import pki

TOKEN: Final = "Bearer k8s-aws-v1."
"""How a token of EKS begins."""
LIFE: Final = timedelta(days=1)
BACKLOG: Final = 16
BIRTH: Final = "2026-11-01T00:00:00Z"
PATCH: Final = 7
"""What a cluster serves is a patch of its minor version."""
KINDS: Final = {
    "namespaces": "Namespace",
    "serviceaccounts": "ServiceAccount",
    "nodes": "Node",
}
"""Kinds of what is here from the beginning; others come with their objects."""

Key = tuple[str, str, str, str]
"""Group and version, plural, namespace, name."""


@dataclass
class LightCluster:
    """One cluster in memory."""

    port: int
    authority: str
    version: str = ""
    """Minor version that it serves; empty as long as there is no such cluster."""
    following: tuple[float, str] | None = None
    """When it will serve another, and which."""
    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    number: int = 0

    def served(self) -> str:
        """Return the version that it serves now."""
        if self.following is not None and time.monotonic() >= self.following[0]:
            self.version, self.following = self.following[1], None
        return f"v{self.version}.{PATCH}"

    def begin(self, version: str) -> None:
        """Let it be there."""
        self.version = version
        for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
            self.put(("v1", "namespaces", "", name), {"metadata": {"name": name}})

    def put(self, key: Key, body: Mapping[str, Any]) -> dict[str, Any]:
        """Store an object as an API server completes it."""
        self.number += 1
        before = self.objects.get(key, {}).get("metadata", {})
        metadata = {
            **body.get("metadata", {}),
            "uid": before.get("uid") or str(uuid.uuid4()),
            "creationTimestamp": before.get("creationTimestamp") or f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "resourceVersion": str(self.number),
            "generation": 1,
        }
        group_version, plural, _, name = key
        if plural == "namespaces":
            metadata["labels"] = {**metadata.get("labels", {}), "kubernetes.io/metadata.name": name}
            account = ("v1", "serviceaccounts", name, "default")
            if account not in self.objects:
                self.put(account, {"metadata": {"name": "default", "namespace": name}})
        kind = body.get("kind") or KINDS[plural]
        stored = {**body, "apiVersion": group_version, "kind": kind, "metadata": metadata}
        self.objects[key] = stored
        return stored

    def remove(self, key: Key) -> None:
        """Remove an object, and all that is in it."""
        del self.objects[key]
        if key[1] == "namespaces":
            for inner in [other for other in self.objects if other[2] == key[3]]:
                del self.objects[inner]

    def build_node(self) -> dict[str, Any]:
        """Return the one node, with what it can take."""
        version = self.served()
        return {
            "metadata": {"name": "node-0", "uid": f"node-{self.port}", "resourceVersion": "1", "labels": {}},
            "spec": {},
            "status": {
                "allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"},
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "conditions": [{"type": "Ready", "status": "True"}],
                "nodeInfo": {"kubeletVersion": version},
            },
        }


class LightApi:
    """Answers for all clusters, told apart by port."""

    def __init__(self) -> None:
        self.clusters: dict[int, LightCluster] = {}
        self.requests = 0
        self.unknown: set[str] = set()
        """What was asked for and is not here."""

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        self.requests += 1
        transport = request.transport
        # Who has hung up meanwhile has no address any more.
        address = transport.get_extra_info("sockname") if transport is not None else None
        cluster = self.clusters[address[1]] if address else None
        if cluster is None or not cluster.version:
            return web.Response(status=503)
        path = request.path
        if path == "/version":
            return _json(200, {"gitVersion": f"{cluster.served()}-eks-1"})
        if path in {"/readyz", "/livez"}:
            return web.Response(text="[+]ping ok\n[+]etcd ok\nreadyz check passed\n")
        if not request.headers.get("Authorization", "").startswith(TOKEN):
            return _refuse(401, "Unauthorized")
        if path == "/metrics":
            return web.Response(text="# light\napiserver_light 1\n")
        if path.endswith("/selfsubjectreviews"):
            user = {"username": "arn:aws:iam::111122223333:user/atoll", "groups": ["system:masters"]}
            return _json(201, {"metadata": {}, "status": {"userInfo": user}})
        key = _read_path(path)
        if key is None:
            self.unknown.add(f"{request.method} {path}")
            return _refuse(404, "NotFound")
        body = await request.read()
        return self._serve(cluster, request, key, json.loads(body) if body else {})

    def _serve(self, cluster: LightCluster, request: web.Request, key: Key, body: dict[str, Any]) -> web.Response:
        group_version, plural, namespace, name = key
        if request.method == "GET" and not name:
            return _json(200, _list(cluster, key, request.query.get("labelSelector", "")))
        if request.method == "POST":
            key = (group_version, plural, namespace, str(body["metadata"]["name"]))
            if key in cluster.objects:
                return _refuse(409, "AlreadyExists")
            return _json(201, cluster.put(key, body))
        if request.method == "PATCH":
            return _json(200, cluster.put(key, body))
        found = cluster.objects.get(key)
        if found is None:
            return _refuse(404, "NotFound")
        if request.method == "DELETE":
            cluster.remove(key)
        return _json(200, found)


def _read_path(path: str) -> Key | None:
    parts = path.strip("/").split("/")
    if parts[:2] == ["api", "v1"]:
        group_version, rest = "v1", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group_version, rest = "/".join(parts[1:3]), parts[3:]
    else:
        return None
    namespace = ""
    if rest and rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    if not 1 <= len(rest) <= 2:
        return None
    return group_version, rest[0], namespace, rest[1] if len(rest) == 2 else ""


def _list(cluster: LightCluster, key: Key, selector: str) -> dict[str, Any]:
    group_version, plural, namespace, _ = key
    terms = [term for term in selector.split(",") if term]
    items = [
        body
        for (other_version, other, inside, _), body in cluster.objects.items()
        if (other_version, other) == (group_version, plural)
        and (not namespace or inside == namespace)
        and all(_is_selected(body["metadata"].get("labels") or {}, term) for term in terms)
    ]
    if plural == "nodes":
        items = [cluster.build_node()]
    return {"kind": "List", "metadata": {"resourceVersion": str(cluster.number)}, "items": items}


def _is_selected(labels: Mapping[str, str], term: str) -> bool:
    name, equal, value = term.partition("=")
    if name.endswith("!"):
        return labels.get(name[:-1]) != value
    return labels.get(name) == value if equal else name in labels


def _json(status: int, body: Any) -> web.Response:
    return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json")


def _refuse(status: int, reason: str) -> web.Response:
    return _json(status, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status})


def _build_tls(index: int) -> tuple[ssl.SSLContext, str]:
    """Make an authority and a certificate of loopback; the key leaves no file behind."""
    now = datetime.now(UTC)
    authority = pki.issue_authority(f"light cluster {index}", now)
    leaf = pki.Leaf(name="", authority="", common_name="127.0.0.1", hosts=("127.0.0.1",), server=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "server.pem"
        path.touch(mode=0o600)
        path.write_bytes(pki.issue_leaf(leaf, authority, now, LIFE).pem)
        context.load_cert_chain(path)
    return context, pki.certificate_pem(authority.certificate).decode()


def serve(count: int, control: Connection, orders: Connection) -> None:
    """Serve clusters in this process until told to end.

    `control` gets a tuple of (URL, authority) when all listen, and answers each question with what was counted; None
    ends it. `orders` brings (port, minor version, seconds from now).
    """
    asyncio.run(_serve(count, control, orders))


async def _serve(count: int, control: Connection, orders: Connection) -> None:
    api = LightApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    for index in range(count):
        context, authority = _build_tls(index)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context, backlog=BACKLOG)
        await site.start()
        port = runner.addresses[-1][1]
        api.clusters[port] = LightCluster(port=port, authority=authority)
    loop = asyncio.get_running_loop()
    threading.Thread(target=_obey, args=(api, orders, loop), daemon=True).start()
    control.send(tuple((f"https://127.0.0.1:{one.port}", one.authority) for one in api.clusters.values()))
    while await asyncio.to_thread(control.recv) is not None:
        control.send((api.requests, sorted(api.unknown)))
    await runner.cleanup()


def _obey(api: LightApi, orders: Connection, loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            port, version, seconds = orders.recv()
        except EOFError:
            return
        loop.call_soon_threadsafe(_order, api.clusters[port], version, seconds)


def _order(cluster: LightCluster, version: str, seconds: float) -> None:
    if cluster.version:
        cluster.following = (time.monotonic() + seconds, version)
    else:
        cluster.begin(version)
