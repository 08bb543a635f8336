"""Somebody who runs clusters without Atoll: real planes, in a folder that the operator never hears of."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import yaml

from atoll.planes.planes import Planes
from atoll.planes.values import PlaneSpec
from atoll.ports import Operation, OperationType
from atoll.shell.context import SystemClock
from tests.support.binaries import Assets
from tests.support.home import Json, TestHome

EXAMPLE = Path(__file__).parents[3] / "examples" / "existing"


class Owner:
    """Runs clusters, and lets Atoll into one of them."""

    def __init__(self, home: TestHome, folder: Path) -> None:
        self.home = home
        self.folder = folder

    def planes(self) -> Planes:
        return Planes(self.folder, Assets(), clock=SystemClock())

    def run(self, cluster: str, kind: OperationType, version: str) -> None:
        """Create a cluster, or bring it to a version."""
        spec = PlaneSpec(
            id=cluster,
            name=cluster,
            version=version,
            pod_cidr="10.1.0.0/16",
            service_cidr="10.2.0.0/20",
            audit_log=True,
        )
        todo = Operation(id=f"{kind.lower()}-{version}", type=kind, to_version=version)
        asyncio.run(self.planes().run_operation(cluster, spec, todo))

    def admin(self, cluster: str) -> Path:
        """Write the owner's own kubeconfig."""
        path = self.folder / f"{cluster}.kubeconfig"
        path.write_text(self.planes().kubeconfig(cluster))
        path.chmod(0o600)
        return path

    def let_in(self, cluster: str) -> Json:
        """Give Atoll an identity with the rights of the example, and return a kubeconfig for it (secret)."""
        admin = self.admin(cluster)
        self.home.kubectl("apply", "-f", str(EXAMPLE / "owner" / "rights.yml"), kubeconfig=admin)
        secret = self.home.wait(
            lambda: self.home.get("secret", "atoll-token", namespace="atoll-access", kubeconfig=admin),
            lambda body: "token" in body.get("data", {}),
            "a token for Atoll",
        )
        server = yaml.safe_load(admin.read_text())["clusters"][0]["cluster"]["server"]
        authority = {"server": server, "certificate-authority-data": secret["data"]["ca.crt"]}
        token = base64.b64decode(secret["data"]["token"]).decode()
        return build_config(authority, {"token": token})

    def get(self, cluster: str, kind: str, name: str = "", *, namespace: str = "") -> Json:
        """Look into a cluster as its owner; an empty dict for what is not there."""
        return self.home.get(kind, name, namespace=namespace, kubeconfig=self.admin(cluster))

    def names(self, cluster: str, kind: str, *more: str) -> set[str]:
        """Name what there is of a kind."""
        done = self.home.kubectl("get", kind, *more, "-o", "json", kubeconfig=self.admin(cluster))
        return {item["metadata"]["name"] for item in json.loads(done.stdout)["items"]}

    def read_audit(self, cluster: str) -> list[Json]:
        """Return every request that a cluster has answered and still remembers."""
        logs = sorted((self.folder / "planes" / cluster / "log").glob("audit*.log"))
        entries = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
        return [entry for entry in entries if entry["stage"] == "ResponseComplete"]

    def remove(self, cluster: str) -> None:
        """Stop a cluster and remove it."""
        asyncio.run(self.planes().remove(cluster))

    def clean(self) -> None:
        """Remove all clusters."""
        for path in (self.folder / "planes").glob("[a-z]*"):
            self.remove(path.name)


def build_config(cluster: dict[str, Any], user: dict[str, Any]) -> Json:
    """Build a kubeconfig with one context."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "atoll", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "atoll"}}],
        "current-context": "it",
    }


def build_secret(name: str, config: Json, *, namespace: str) -> Json:
    """Build the Secret of a member."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": {"value": yaml.safe_dump(config)},
    }
