"""What an account of EKS holds, and how it goes on by the clock.

Nothing runs in the background: a thing remembers when the work on it will be done (`ready_at`), and `settle` brings it
to where it is now, before each look.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from .backing import Backing
from .faults import Faults
from .sts import Identity

NEEDS_NODES: Final = frozenset({"coredns", "aws-ebs-csi-driver", "metrics-server"})
"""Add-ons that are pods on nodes: without nodes they are degraded."""


class EksError(Exception):
    """An error of the EKS API; `members` are further fields of its shape."""

    def __init__(self, code: str, message: str, **members: str) -> None:
        super().__init__(message)
        self.code = code
        self.members = members


class Cloud(Protocol):
    """What the calls need of the stand-in."""

    backing: Backing
    faults: Faults
    region: str

    def now(self) -> float: ...

    def later(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """One call: its parameters, who calls, and whether what it begins shall fail."""

    operation: str
    params: Mapping[str, Any]
    caller: Identity
    broken: bool = False


@dataclass
class Update:
    """One update under way or done."""

    body: dict[str, Any]
    ready_at: float
    apply: Callable[[], None]
    fails_with: str = ""
    waits_for_plane: bool = False

    @property
    def is_open(self) -> bool:
        return bool(self.body["status"] == "InProgress")


@dataclass
class Part:
    """A node group or an add-on: `body` is what is shown of it."""

    body: dict[str, Any]
    ready_at: float
    hidden_until: float = 0
    fails_with: str = ""
    updates: dict[str, Update] = field(default_factory=dict)


@dataclass
class Cluster:
    """One cluster and all that belongs to it; `body` is what is shown of it."""

    body: dict[str, Any]
    key: str
    creator: Identity
    ready_at: float
    hidden_until: float = 0
    fails_with: str = ""
    upgraded_from: str = ""
    """The minor version before the latest upgrade; empty when there was none, or it was rolled back."""
    upgraded_at: float = 0
    nodegroups: dict[str, Part] = field(default_factory=dict)
    addons: dict[str, Part] = field(default_factory=dict)
    updates: dict[str, Update] = field(default_factory=dict)
    insights: dict[str, dict[str, Any]] = field(default_factory=dict)
    refresh_started_at: float | None = None
    refresh_ready_at: float = 0

    @property
    def name(self) -> str:
        return str(self.body["name"])

    @property
    def status(self) -> str:
        return str(self.body["status"])

    def open_update(self) -> Update | None:
        """Return the update under way."""
        return next((update for update in self.updates.values() if update.is_open), None)


@dataclass
class Account:
    """All clusters of an account in a region."""

    cloud: Cloud
    number: str
    clusters: dict[str, Cluster] = field(default_factory=dict)
    tokens: dict[tuple[str, str], tuple[str, Callable[[], dict[str, Any] | None]]] = field(default_factory=dict)
    """(operation, clientRequestToken) → digest of the parameters, and how to answer again."""
    left_behind: dict[str, dict[str, str]] = field(default_factory=dict)
    """ARN → tags of what clusters' own controllers made."""
    missing_subnets: set[str] = field(default_factory=set)

    def arn(self, path: str, service: str = "eks") -> str:
        """Name something of this account and region."""
        return f"arn:aws:{service}:{self.cloud.region}:{self.number}:{path}"

    def by_key(self, key: str) -> Cluster | None:
        """Return the cluster that a real plane stands for."""
        return next((cluster for cluster in self.clusters.values() if cluster.key == key), None)

    def find(self, name: str) -> Cluster:
        """Return a cluster as it is now; ResourceNotFoundException when it is not there, or not seen yet."""
        cluster = self.look(name)
        if cluster is None or self.cloud.now() < cluster.hidden_until:
            raise EksError("ResourceNotFoundException", f"No cluster found for name: {name}.", clusterName=name)
        return cluster

    def look(self, name: str) -> Cluster | None:
        """Return a cluster as it is now, seen or not."""
        cluster = self.clusters.get(name)
        if cluster is not None and settle_cluster(self.cloud, cluster):
            return cluster
        self.clusters.pop(name, None)
        return None

    def visible(self) -> list[Cluster]:
        """Return all clusters that are seen now."""
        found = [self.look(name) for name in sorted(self.clusters)]
        return [cluster for cluster in found if cluster is not None and self.cloud.now() >= cluster.hidden_until]

    def again(self, doing: Doing) -> dict[str, Any] | None:
        """Return the answer that was given to this token; None: it is new, or what it made is gone."""
        token = doing.params.get("clientRequestToken")
        known = self.tokens.get((doing.operation, token)) if token else None
        if known is None:
            return None
        digest, answer = known
        if digest != digest_params(doing):
            raise EksError(
                "InvalidParameterException",
                "The client request token was used before, with other parameters.",
                **({"clusterName": doing.params["name"]} if "name" in doing.params else {}),
            )
        return answer()

    def remember(self, doing: Doing, answer: Callable[[], dict[str, Any] | None]) -> None:
        """Keep what was answered to a token."""
        token = doing.params.get("clientRequestToken")
        if token:
            self.tokens[doing.operation, token] = digest_params(doing), answer


def digest_params(doing: Doing) -> str:
    """Tell whether two calls ask for the same."""
    return hashlib.sha256(json.dumps(dict(doing.params), sort_keys=True).encode()).hexdigest()


def new_update(cloud: Cloud, kind: str, params: Mapping[str, str], apply: Callable[[], None], fails: str) -> Update:
    """Begin an update."""
    body = {
        "id": str(uuid.uuid4()),
        "status": "InProgress",
        "type": kind,
        "params": [{"type": name, "value": value} for name, value in params.items()],
        "createdAt": cloud.now(),
        "errors": [],
    }
    return Update(body=body, ready_at=cloud.later(), apply=apply, fails_with=fails)


def settle_cluster(cloud: Cloud, cluster: Cluster) -> bool:
    """Bring a cluster to where it is now; False: it is gone."""
    now, backing = cloud.now(), cloud.backing
    settled = backing.is_settled(cluster.key)
    if cluster.status == "DELETING":
        return now < cluster.ready_at or not settled
    if cluster.status == "CREATING" and now >= cluster.ready_at and settled:
        _finish_create(cloud, cluster)
    for update in [update for update in cluster.updates.values() if update.is_open]:
        if now >= update.ready_at and (settled or not update.waits_for_plane):
            failure = update.fails_with or (backing.failure(cluster.key) if update.waits_for_plane else "")
            finish_update(update, failure)
            cluster.body["status"] = "ACTIVE"
    for parts in (cluster.nodegroups, cluster.addons):
        for name, part in list(parts.items()):
            if not settle_part(now, part):
                del parts[name]
    _settle_degraded(cluster)
    return True


def _finish_create(cloud: Cloud, cluster: Cluster) -> None:
    found = cloud.backing.endpoint(cluster.key)
    failure = cluster.fails_with or cloud.backing.failure(cluster.key) or ("" if found else "no control plane answers")
    cluster.body["status"] = "FAILED" if failure else "ACTIVE"
    if failure:
        cluster.body["health"] = {"issues": [{"code": "InternalFailure", "message": failure, "resourceIds": []}]}


def finish_update(update: Update, failure: str) -> None:
    """End an update, well or badly."""
    if failure:
        update.body["status"] = "Failed"
        update.body["errors"] = [{"errorCode": "Unknown", "errorMessage": failure, "resourceIds": []}]
    else:
        update.apply()
        update.body["status"] = "Successful"


def settle_part(now: float, part: Part) -> bool:
    """Bring a node group or an add-on to where it is now; False: it is gone."""
    status = part.body["status"]
    if status in ("CREATING", "DELETING") and now >= part.ready_at:
        if not part.fails_with:
            if status == "DELETING":
                return False
            part.body["status"] = "ACTIVE"
        else:
            part.body["status"] = f"{status.removesuffix('ING')}E_FAILED"
            part.body["health"] = {"issues": [{"code": "InternalFailure", "message": part.fails_with}]}
            part.fails_with = ""
    for update in [update for update in part.updates.values() if update.is_open]:
        if now >= update.ready_at:
            finish_update(update, update.fails_with)
            failed = update.body["status"] == "Failed" and "addonName" in part.body
            part.body["status"] = "UPDATE_FAILED" if failed else "ACTIVE"
            part.body["modifiedAt"] = now
    return True


def _settle_degraded(cluster: Cluster) -> None:
    """Let add-ons that need nodes be degraded as long as there are none."""
    nodes = sum(
        part.body["scalingConfig"]["desiredSize"]
        for part in cluster.nodegroups.values()
        if part.body["status"] in ("ACTIVE", "UPDATING", "DEGRADED")
    )
    for name, addon in cluster.addons.items():
        if name in NEEDS_NODES and addon.body["status"] in ("ACTIVE", "DEGRADED"):
            addon.body["status"] = "ACTIVE" if nodes else "DEGRADED"
            message = "The add-on is unhealthy because it doesn't have the desired number of replicas."
            issue = {"code": "InsufficientNumberOfReplicas", "message": message}
            addon.body["health"] = {"issues": [] if nodes else [issue]}
