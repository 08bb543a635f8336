"""A cluster of GKE as plain values, and what each call does to it: enough to walk a plan to its end."""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from atoll.ports import ClusterRef, Operation, OperationType, WantedCluster
from atoll.providers.gke.plan import plan_operation
from atoll.providers.gke.seen import SeenCluster, parse_cluster
from atoll.providers.managed.moves import Call, Done, Fail, Move, Wait

NOW = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
REF = ClusterRef(fleet="fleet", name="shops--berlin", id="k7f2m9")
BUILDS = {minor: f"1.{minor}.{patch}-gke.100" for minor, patch in ((33, 11), (34, 9), (35, 8), (36, 4), (37, 1))}
FRONT = {"name": "front", "machineType": "e2-standard-4", "minSize": 1, "maxSize": 3}
BATCH = {"name": "batch", "machineType": "c3-standard-8", "maxSize": 10}
SETTINGS: dict[str, Any] = {"project": "fleet-1", "location": "europe-west1", "nodePools": (FRONT, BATCH)}


def build_wanted(version: str = "v1.35", **fields: Any) -> WantedCluster:
    return WantedCluster(
        ref=REF,
        version=version,
        pod_cidr="10.128.0.0/16",
        service_cidr="10.129.0.0/20",
        settings=fields.pop("settings", SETTINGS),
        labels=fields.pop("labels", {"cost-centre": "42"}),
    )


def build_operation(kind: OperationType, version: str = "v1.35", number: int = 1) -> Operation:
    return Operation(id=f"op-{number}", type=kind, to_version=version)


@dataclass
class World:
    """One cluster, as the REST API shows it; calls are done at once."""

    said: dict[str, Any] | None = None
    calls: list[str] = field(default_factory=list)

    def see(self) -> SeenCluster | None:
        return parse_cluster(self.said) if self.said is not None else None

    def apply(self, call: Call) -> None:
        """Do what GKE does; a call that it would refuse fails the test."""
        self.calls.append(call.name)
        getattr(self, f"_{call.name}")(copy.deepcopy(dict(call.arguments)))

    def run(
        self, wanted: WantedCluster, operation: Operation, *, now: datetime = NOW, limit: int = 40
    ) -> Done | Fail | Wait:
        """Walk a plan to its end, or to where it waits."""
        for _ in range(limit):
            move = self.decide(wanted, operation, now)
            if not isinstance(move, Call):
                return move
            self.apply(move)
        raise AssertionError(f"no end after {limit} calls: {self.calls}")

    def decide(self, wanted: WantedCluster, operation: Operation, now: datetime = NOW) -> Move:
        return plan_operation(wanted, operation, self.see(), now)

    @property
    def cluster(self) -> dict[str, Any]:
        assert self.said is not None
        return self.said

    def pool(self, name: str) -> dict[str, Any]:
        """Return a pool by its own name, or by its name in the API."""
        return next(pool for pool in self.cluster["nodePools"] if pool["name"] == name.rsplit("/", 1)[-1])

    def _create_cluster(self, arguments: dict[str, Any]) -> None:
        assert self.said is None
        made = arguments["cluster"]
        build = find_build(made.pop("initialClusterVersion"))
        pools = [{**pool, "version": build, "status": "RUNNING"} for pool in made["nodePools"]]
        authority = base64.b64encode(b"authority").decode()
        self.said = {
            **made,
            "nodePools": pools,
            "currentMasterVersion": build,
            "status": "RUNNING",
            "endpoint": "34.0.0.1",
            "labelFingerprint": "first",
            "masterAuth": {"clusterCaCertificate": authority},
        }

    def _delete_cluster(self, _: dict[str, Any]) -> None:
        self.said = None

    def _update_master(self, arguments: dict[str, Any]) -> None:
        build = find_build(arguments["masterVersion"])
        before, after = minor_of(self.cluster["currentMasterVersion"]), minor_of(build)
        assert after in (before, before + 1), "GKE moves one minor version at a time"
        assert all(minor_of(pool["version"]) >= after - 2 for pool in self.cluster["nodePools"])
        self.cluster["currentMasterVersion"] = build

    def _update_node_pool(self, arguments: dict[str, Any]) -> None:
        pool = self.pool(arguments["name"])
        if version := arguments.get("nodeVersion"):
            assert minor_of(version) <= minor_of(self.cluster["currentMasterVersion"])
            pool["version"] = version
        if machine := arguments.get("machineType"):
            pool["config"]["machineType"] = machine
        if settings := arguments.get("upgradeSettings"):
            pool["upgradeSettings"] = settings
        pool["status"] = "RUNNING"

    def _create_node_pool(self, arguments: dict[str, Any]) -> None:
        pool = arguments["nodePool"]
        assert pool["name"] not in {known["name"] for known in self.cluster["nodePools"]}
        version = self.cluster["currentMasterVersion"]
        self.cluster["nodePools"].append({**pool, "version": version, "status": "RUNNING"})

    def _delete_node_pool(self, arguments: dict[str, Any]) -> None:
        self.cluster["nodePools"].remove(self.pool(arguments["name"]))

    def _set_node_pool_autoscaling(self, arguments: dict[str, Any]) -> None:
        self.pool(arguments["name"])["autoscaling"] = arguments["autoscaling"]

    def _set_node_pool_management(self, arguments: dict[str, Any]) -> None:
        management = arguments["management"]
        channel = self.cluster["releaseChannel"]["channel"]
        assert channel == "UNSPECIFIED" or management["autoUpgrade"], "channels need auto-upgrade"
        self.pool(arguments["name"])["management"] = management

    def _set_maintenance_policy(self, arguments: dict[str, Any]) -> None:
        policy = arguments["maintenancePolicy"]
        scope = policy["window"]["maintenanceExclusions"]["atoll"]["maintenanceExclusionOptions"]["scope"]
        channel = self.cluster["releaseChannel"]["channel"]
        assert scope == "NO_UPGRADES" or channel != "UNSPECIFIED", "scopes need a channel"
        self.cluster["maintenancePolicy"] = policy

    def _update_cluster(self, arguments: dict[str, Any]) -> None:
        ((name, value),) = arguments["update"].items()
        if name == "desiredReleaseChannel":
            off = value["channel"] == "UNSPECIFIED"
            assert off or all(pool["management"]["autoUpgrade"] for pool in self.cluster["nodePools"])
        self.cluster[name.removeprefix("desired")[0].lower() + name.removeprefix("desired")[1:]] = value

    def _set_labels(self, arguments: dict[str, Any]) -> None:
        assert arguments["labelFingerprint"] == self.cluster["labelFingerprint"]
        self.cluster["resourceLabels"] = arguments["resourceLabels"]
        self.cluster["labelFingerprint"] = f"after {len(self.calls)}"


def find_build(alias: str) -> str:
    """Choose the build of a minor version, as the connection does."""
    return next(build for build in BUILDS.values() if build == alias or build.startswith((f"{alias}.", f"{alias}-")))


def minor_of(build: str) -> int:
    return int(build.split(".")[1])


def make(version: str = "v1.35", **fields: Any) -> World:
    """Return a world with a finished cluster."""
    world = World()
    ended = world.run(build_wanted(version, **fields), build_operation(OperationType.CREATE, version, 0))
    assert isinstance(ended, Done)
    world.calls.clear()
    return world
