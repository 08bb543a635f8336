"""A tiny Azure: takes the calls of a plan and shows what the next look would find. No I/O.

It refuses what the rules of AKS forbid, whoever asks for it: that is what the laws are checked against.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from atoll.fleet.values import Version
from atoll.ports import ClusterRef, Operation, OperationType, WantedCluster
from atoll.providers.aks.seen import SeenCluster, parse_cluster
from atoll.providers.managed.moves import Call

REF = ClusterRef(fleet="eu", name="shops--berlin", id="c-1")
NAME = "atoll-c-1"
SYSTEM = {"name": "system", "vmSize": "Standard_D4s_v5", "minSize": 1, "maxSize": 3}
WORK = {"name": "work", "vmSize": "Standard_D8s_v5", "mode": "User", "minSize": 0, "maxSize": 5}
SETTINGS: Mapping[str, Any] = {
    "subscriptionID": "00000000-1111-2222-3333-444444444444",
    "resourceGroup": "fleet",
    "location": "westeurope",
    "agentPools": (SYSTEM, WORK),
}
NEWEST = {"1.34": "1.34.9", "1.35": "1.35.8", "1.36": "1.36.4", "1.37": "1.37.0"}


def wanted(version: str = "v1.35", labels: Mapping[str, str] | None = None, **settings: Any) -> WantedCluster:
    return WantedCluster(
        ref=REF,
        version=version,
        pod_cidr="10.128.0.0/16",
        service_cidr="10.250.0.0/20",
        settings={**SETTINGS, **settings},
        labels=labels if labels is not None else {"team": "blue"},
    )


def operation(kind: OperationType, number: int = 1) -> Operation:
    return Operation(id=f"{kind.lower()}-{number}", type=kind, to_version="v1.35")


class Forbidden(AssertionError):
    """A call that no plan may make."""


@dataclass
class Azure:
    """One resource group. A call's effect is under way until `settle`."""

    body: dict[str, Any] | None = None
    failures: list[str] = field(default_factory=list)
    """The next operations end so, with these words; empty words are success."""
    calls: list[str] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _goal: dict[str, Any] = field(default_factory=dict)

    def look(self) -> SeenCluster | None:
        if self.body is None:
            return None
        return parse_cluster(copy.deepcopy(self.body), server="https://x:443", authority="PEM")

    def apply(self, call: Call) -> None:
        """Begin what a call asks for."""
        arguments = copy.deepcopy(dict(call.arguments))
        assert (arguments.pop("resource_group_name"), arguments.pop("resource_name")) == ("fleet", NAME)
        pool = arguments.get("agent_pool_name", "")
        self.calls.append(f"{call.name} {pool}".strip())
        if self.body is not None:
            self._check_idle()
        self._check_match(arguments, pool)
        getattr(self, "_" + call.name.replace(".", "_"))(arguments)

    def settle(self) -> None:
        """Let what is under way end."""
        if self.body is None:
            return
        for thing in (self.body["properties"], *self._pools()):
            state = thing["provisioningState"]
            if state in ("Succeeded", "Failed", "Canceled"):
                continue
            error = self.failures.pop(0) if self.failures else ""
            thing.pop("status", None)
            if error:
                thing["provisioningState"] = "Failed"
                code, _, message = error.partition(": ")
                thing["status"] = {"provisioningError": {"code": code, "message": message}}
                continue
            thing["provisioningState"] = "Succeeded"
            if state == "Deleting" and thing is self.body["properties"]:
                self.body = None
                return
            if state == "Deleting":
                self.body["properties"]["agentPoolProfiles"].remove(thing)
            elif "orchestratorVersion" in thing:
                thing["currentOrchestratorVersion"] = _resolve(thing["orchestratorVersion"], self._version())
            else:
                thing["currentKubernetesVersion"] = _resolve(thing["kubernetesVersion"], self._version())

    def _managed_clusters_begin_create_or_update(self, arguments: dict[str, Any]) -> None:
        given = arguments["parameters"]
        for name in ("id", "name", "type", "eTag", "systemData"):
            assert name not in given
        properties = given["properties"]
        for name in ("provisioningState", "currentKubernetesVersion", "status", "powerState", "fqdn", "privateFQDN"):
            assert name not in properties
        version = _resolve(properties["kubernetesVersion"], self._version() if self.body else "")
        if self.body is None:
            pools = [
                {**pool, "currentOrchestratorVersion": version, "provisioningState": "Succeeded", "eTag": self._tag()}
                for pool in properties["agentPoolProfiles"]
            ]
            state = "Creating"
        else:
            served = Version.parse(self._version())
            target = Version.parse(version)
            if target < served or target.minor > served.minor + 1:
                raise Forbidden(f"from {served} to {target}")
            pools = self._pools()
            sent = {pool["name"]: pool for pool in properties["agentPoolProfiles"]}
            if {name: pool["orchestratorVersion"] for name, pool in sent.items()} != {
                pool["name"]: pool["orchestratorVersion"] for pool in pools
            }:
                raise Forbidden("pools that change with the cluster")
            for pool in pools:
                if target.minor - Version.parse(pool["currentOrchestratorVersion"]).minor > 2:
                    raise Forbidden("a pool too old for its control plane")
            state = "Upgrading" if version != self._version() else "Updating"
        self.body = {
            **given,
            "id": "/x",
            "name": NAME,
            "eTag": self._tag(),
            "properties": {
                **properties,
                "currentKubernetesVersion": self._version() if self.body else version,
                "provisioningState": state,
                "agentPoolProfiles": pools,
            },
        }

    def _managed_clusters_begin_update_tags(self, arguments: dict[str, Any]) -> None:
        assert self.body is not None
        self.body |= {"tags": arguments["parameters"]["tags"], "eTag": self._tag()}
        self.body["properties"]["provisioningState"] = "Updating"

    def _managed_clusters_begin_delete(self, _: dict[str, Any]) -> None:
        assert self.body is not None
        self.body["properties"]["provisioningState"] = "Deleting"

    def _agent_pools_begin_create_or_update(self, arguments: dict[str, Any]) -> None:
        assert self.body is not None
        name, given = arguments["agent_pool_name"], arguments["parameters"]["properties"]
        for unwritable in ("eTag", "provisioningState", "currentOrchestratorVersion", "nodeImageVersion", "status"):
            assert unwritable not in given
        own, served = _resolve(given["orchestratorVersion"], self._version()), self._version()
        if Version.parse(served) < Version.parse(own):
            raise Forbidden(f"pool {name} at {own} above its control plane at {served}")
        old = next((pool for pool in self._pools() if pool["name"] == name), None)
        rest = [pool for pool in self._pools() if pool["name"] != name]
        if all(pool["mode"] != "System" for pool in (*rest, given)):
            raise Forbidden("no System pool left")
        if old is not None and old["vmSize"] != given["vmSize"]:
            raise Forbidden("another size of machine")
        if not given["minCount"] <= given["count"] <= given["maxCount"]:
            raise Forbidden("a count out of bounds")
        current = old["currentOrchestratorVersion"] if old is not None else own
        made = {"name": name, **given, "eTag": self._tag(), "currentOrchestratorVersion": current}
        made["provisioningState"] = "Updating" if old is not None else "Creating"
        self.body["properties"]["agentPoolProfiles"] = [*rest, made]

    def _agent_pools_begin_delete(self, arguments: dict[str, Any]) -> None:
        rest = [pool for pool in self._pools() if pool["name"] != arguments["agent_pool_name"]]
        if all(pool["mode"] != "System" for pool in rest):
            raise Forbidden("no System pool left")
        next(pool for pool in self._pools() if pool not in rest)["provisioningState"] = "Deleting"

    def _pools(self) -> list[dict[str, Any]]:
        assert self.body is not None
        pools: list[dict[str, Any]] = self.body["properties"]["agentPoolProfiles"]
        return pools[:]

    def _version(self) -> str:
        assert self.body is not None
        return str(self.body["properties"]["currentKubernetesVersion"])

    def _tag(self) -> str:
        return f"tag-{next(self._numbers)}"

    def _check_idle(self) -> None:
        seen = self.look()
        assert seen is not None
        if seen.is_busy:
            raise Forbidden(f"a call while {seen.busy_with}")

    def _check_match(self, arguments: Mapping[str, Any], pool: str) -> None:
        there: Any = self.body
        if pool and self.body is not None:
            there = next((one for one in self._pools() if one["name"] == pool), None)
        if arguments.get("match") == "IfMissing" and there is not None:
            raise Forbidden("a create of what is there")
        if arguments.get("match") == "IfNotModified" and (there is None or there["eTag"] != arguments["etag"]):
            raise Forbidden("a change of what somebody else has changed")


def _resolve(asked: str, served: str) -> str:
    return served if served.startswith(f"{asked}.") else NEWEST.get(asked, asked)
