"""A tiny EKS as a pure model: calls go in, what is seen comes out; it refuses what the real one refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from atoll.ports import ClusterRef, Operation, OperationType, WantedCluster
from atoll.providers.eks.plan import plan
from atoll.providers.eks.seen import Offer, SeenAddon, SeenCluster, SeenGroup, SeenUpdate
from atoll.providers.eks.versions import number
from atoll.providers.managed.marks import is_finished
from atoll.providers.managed.moves import Call, Done, Fail, Move, Wait

REF = ClusterRef(fleet="shops", name="shops--berlin", id="c1")
ROLE = "arn:aws:iam::111122223333:role/cluster"
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
SETTINGS: Mapping[str, Any] = {
    "region": "eu-west-1",
    "roleARN": ROLE,
    "subnetIDs": ("subnet-a", "subnet-b"),
    "nodeGroups": ({"name": "small", "instanceTypes": ("m7g.large",), "minSize": 1, "maxSize": 3},),
    "addons": ({"name": "coredns"}, {"name": "kube-proxy"}, {"name": "vpc-cni"}),
}
OFFERS = {
    ("vpc-cni", "1.35"): Offer(versions=("v1.22.1-eksbuild.1", "v1.21.1-eksbuild.3"), default="v1.21.1-eksbuild.3"),
    ("vpc-cni", "1.36"): Offer(versions=("v1.22.1-eksbuild.1",), default="v1.22.1-eksbuild.1"),
    ("kube-proxy", "1.35"): Offer(versions=("v1.35.8-eksbuild.2",), default="v1.35.8-eksbuild.2"),
    ("kube-proxy", "1.36"): Offer(versions=("v1.36.4-eksbuild.2", "v1.35.8-eksbuild.2"), default="v1.36.4-eksbuild.2"),
    ("coredns", "1.35"): Offer(versions=("v1.13.1-eksbuild.1",), default="v1.13.1-eksbuild.1"),
    ("coredns", "1.36"): Offer(versions=("v1.14.1-eksbuild.2", "v1.13.1-eksbuild.1"), default="v1.14.1-eksbuild.2"),
}


def want(version: str = "v1.36", **changes: Any) -> WantedCluster:
    """Return what is wanted, with some of the block's fields changed."""
    labels = changes.pop("labels", {"stage": "prod"})
    cidr = changes.pop("service_cidr", "10.96.0.0/16")
    return WantedCluster(
        ref=REF,
        version=version,
        pod_cidr="",
        service_cidr=cidr,
        settings={**SETTINGS, **changes},
        labels=labels,
    )


def todo(kind: OperationType, version: str = "v1.36", number: int = 1) -> Operation:
    """Return an operation."""
    return Operation(id=f"{kind.lower()}-{number}", type=kind, to_version=version)


class Refused(AssertionError):
    """The model does not do that: a plan that asks for it is wrong."""


@dataclass
class World:
    """One account with at most one cluster in it."""

    seen: SeenCluster | None = None
    now: datetime = BEGIN
    calls: list[str] = field(default_factory=list)
    fail: str = ""
    """The next call of this name is accepted, and what it begins fails."""
    tokens: set[str] = field(default_factory=set)

    def run(self, wanted: WantedCluster, operation: Operation, cut: Callable[[], bool] = lambda: False) -> Move:
        """Do what the plan says until it ends; `cut`: a call was made, and its answer is lost."""
        for _ in range(400):
            self.now += timedelta(seconds=1)
            if self.seen is not None and is_finished(self.seen.tags, operation):
                return Done()
            move = plan(wanted, operation, self.seen, self.now)
            match move:
                case Done() | Fail():
                    return move
                case Wait():
                    self.tick()
                case Call():
                    self.act(move)
                    if cut():
                        self.tick()
        raise AssertionError(f"no end: {self.calls[-10:]}")

    def act(self, call: Call) -> None:
        """Take one call."""
        self.calls.append(call.name)
        self.now += timedelta(seconds=1)
        broken = self.fail == call.name
        self.fail = "" if broken else self.fail
        arguments = dict(call.arguments)
        token = arguments.pop("clientRequestToken", "")
        if token in self.tokens:
            raise Refused(f"{call.name} was asked for twice")
        self.tokens |= {token} - {""}
        getattr(self, f"do_{call.name}")(arguments, broken)

    def tick(self) -> None:
        """Let all work of EKS come to its end."""
        self.now += timedelta(minutes=5)
        seen = self.seen
        if seen is None:
            return
        if seen.status == "DELETING":
            self.seen = None
            return
        updates = tuple(
            replace(one, status="Failed" if one.words else "Successful") if one.status == "InProgress" else one
            for one in seen.updates
        )
        done = [one for one in updates if one.status == "Successful" and one.version]
        groups = tuple(self.settle_group(group) for group in seen.groups if group.status != "DELETING")
        addons = tuple(
            replace(addon, status="ACTIVE", modified=self.now) if addon.status in {"CREATING", "UPDATING"} else addon
            for addon in seen.addons
            if addon.status != "DELETING"
        )
        status = {"CREATING": "FAILED" if seen.issues else "ACTIVE", "UPDATING": "ACTIVE"}.get(seen.status, seen.status)
        version = done[-1].version if done else seen.version
        self.seen = replace(seen, status=status, version=version, updates=updates, groups=groups, addons=addons)

    def settle_group(self, group: SeenGroup) -> SeenGroup:
        if group.status == "CREATING":
            return replace(group, status="CREATE_FAILED" if group.issues else "ACTIVE", modified=self.now)
        if group.status == "UPDATING":
            failure = replace(group.failure, status="Failed") if group.failure is not None else None
            version = self.pending.pop(group.name, group.version)
            return replace(
                group,
                status="ACTIVE",
                version=group.version if failure else version,
                failure=failure,
                modified=self.now,
            )
        return group

    pending: dict[str, str] = field(default_factory=dict)

    @property
    def cluster(self) -> SeenCluster:
        if self.seen is None:
            raise Refused("there is no cluster")
        return self.seen

    def ready(self) -> SeenCluster:
        if self.cluster.status != "ACTIVE":
            raise Refused(f"the cluster is {self.cluster.status}")
        return self.cluster

    def offers(self, addons: tuple[SeenAddon, ...]) -> dict[tuple[str, str], Offer]:
        names = {addon.name for addon in addons}
        return {key: offer for key, offer in OFFERS.items() if key[0] in names}

    def set_groups(self, *groups: SeenGroup) -> None:
        self.seen = replace(self.cluster, groups=tuple(groups))

    def set_addons(self, *addons: SeenAddon) -> None:
        self.seen = replace(self.cluster, addons=tuple(addons), offers=self.offers(tuple(addons)))

    def change_group(self, name: str, **changes: Any) -> None:
        self.set_groups(*(replace(one, **changes) if one.name == name else one for one in self.cluster.groups))

    def change_addon(self, name: str, **changes: Any) -> None:
        self.set_addons(*(replace(one, **changes) if one.name == name else one for one in self.cluster.addons))

    def do_create_cluster(self, said: dict[str, Any], broken: bool) -> None:
        if self.seen is not None:
            raise Refused("the cluster is there already")
        vpc = said["resourcesVpcConfig"]
        self.seen = SeenCluster(
            name=said["name"],
            arn="arn:cluster",
            status="CREATING",
            version=said["version"],
            server="https://127.0.0.1:1",
            role=said["roleArn"],
            subnets=tuple(vpc["subnetIds"]),
            public=vpc["endpointPublicAccess"],
            private=vpc["endpointPrivateAccess"],
            service_cidr=said.get("kubernetesNetworkConfig", {}).get("serviceIpv4Cidr", ""),
            created=self.now,
            tags=said["tags"],
            issues=(("InternalFailure", "InternalFailure: no room"),) if broken else (),
        )

    def do_delete_cluster(self, said: dict[str, Any], broken: bool) -> None:
        if self.cluster.groups:
            raise Refused("Cluster has nodegroups attached")
        self.seen = replace(self.cluster, status="DELETING")

    def do_update_cluster_config(self, said: dict[str, Any], broken: bool) -> None:
        vpc = said["resourcesVpcConfig"]
        if "subnetIds" in vpc and len(vpc) > 1:
            raise Refused("one kind of change at a time")
        kind = "VpcConfigUpdate" if "subnetIds" in vpc else "EndpointAccessUpdate"
        seen = self.ready()
        if not broken:
            seen = replace(
                seen,
                subnets=tuple(vpc.get("subnetIds", seen.subnets)),
                public=vpc.get("endpointPublicAccess", seen.public),
                private=vpc.get("endpointPrivateAccess", seen.private),
            )
        self.begin_update(seen, kind, "", broken)

    def do_update_cluster_version(self, said: dict[str, Any], broken: bool) -> None:
        seen, version = self.ready(), said["version"]
        if abs(number(version) - number(seen.version)) != 1:
            raise Refused(f"from {seen.version} to {version}")
        back = number(version) < number(seen.version)
        if any(number(group.version) > number(version) for group in seen.groups):
            raise Refused("node groups are newer than the control plane would be")
        if not back and any(group.version != seen.version for group in seen.groups):
            raise Refused("Nodegroups must be updated to match cluster version before updating cluster version")
        if back and any(addon.version not in OFFERS[(addon.name, version)].versions for addon in seen.addons):
            raise Refused("add-ons do not fit")
        self.begin_update(seen, "VersionRollback" if back else "VersionUpdate", version, broken)

    def begin_update(self, seen: SeenCluster, kind: str, version: str, broken: bool) -> None:
        update = SeenUpdate(
            id=f"u{len(seen.updates)}",
            kind=kind,
            status="InProgress",
            version="" if broken else version,
            created=self.now,
            words="IpNotAvailable: no address left (subnet-a)" if broken else "",
        )
        self.seen = replace(seen, status="UPDATING", updates=(*seen.updates, update))

    def do_create_nodegroup(self, said: dict[str, Any], broken: bool) -> None:
        seen, name, sizes = self.ready(), said["nodegroupName"], said["scalingConfig"]
        if seen.group(name) is not None:
            raise Refused(f"node group {name} is there already")
        group = SeenGroup(
            name=name,
            arn=f"arn:group/{name}",
            status="CREATING",
            version=seen.version,
            min_size=sizes["minSize"],
            max_size=sizes["maxSize"],
            desired_size=sizes["desiredSize"],
            instance_types=tuple(said["instanceTypes"]),
            role=said["nodeRole"],
            created=self.now,
            modified=self.now,
            tags=said["tags"],
            issues=(("NodeCreationFailure", "NodeCreationFailure: no instance joined"),) if broken else (),
        )
        self.set_groups(*seen.groups, group)

    def group_at_rest(self, name: str) -> SeenGroup:
        group = self.cluster.group(name)
        if group is None or group.status not in {"ACTIVE", "DEGRADED"}:
            raise Refused(f"node group {name} is {group.status if group else 'not there'}")
        return group

    def do_update_nodegroup_version(self, said: dict[str, Any], broken: bool) -> None:
        name, version = said["nodegroupName"], said["version"]
        self.group_at_rest(name)
        if number(version) > number(self.ready().version):
            raise Refused("a node group must not be newer than its control plane")
        if any(group.status == "UPDATING" for group in self.cluster.groups):
            raise Refused("node groups are moved one after the other")
        self.pending[name] = version
        failure = SeenUpdate(
            id="g", kind="VersionUpdate", status="InProgress", created=self.now, words="PodEvictionFailure: a budget"
        )
        self.change_group(name, status="UPDATING", failure=failure if broken else None)

    def do_update_nodegroup_config(self, said: dict[str, Any], broken: bool) -> None:
        sizes = said["scalingConfig"]
        if not sizes["minSize"] <= sizes["desiredSize"] <= sizes["maxSize"]:
            raise Refused("the sizes contradict each other")
        self.group_at_rest(said["nodegroupName"])
        self.change_group(
            said["nodegroupName"],
            status="UPDATING",
            min_size=sizes["minSize"],
            max_size=sizes["maxSize"],
            desired_size=sizes["desiredSize"],
        )

    def do_delete_nodegroup(self, said: dict[str, Any], broken: bool) -> None:
        group = self.cluster.group(said["nodegroupName"])
        if group is None or group.status in {"CREATING", "UPDATING", "DELETING"}:
            raise Refused(f"node group {said['nodegroupName']} cannot be deleted now")
        self.change_group(group.name, status="DELETING")

    def do_create_addon(self, said: dict[str, Any], broken: bool) -> None:
        seen, name = self.ready(), said["addonName"]
        if seen.addon(name) is not None:
            raise Refused(f"add-on {name} is there already")
        version = said.get("addonVersion") or OFFERS[(name, seen.version)].default
        addon = SeenAddon(
            name=name,
            arn=f"arn:addon/{name}",
            status="CREATE_FAILED" if broken else "CREATING",
            version=version,
            created=self.now,
            modified=self.now,
            tags=said["tags"],
        )
        self.set_addons(*seen.addons, addon)

    def do_update_addon(self, said: dict[str, Any], broken: bool) -> None:
        name, version = said["addonName"], said["addonVersion"]
        if version not in OFFERS[(name, self.ready().version)].versions:
            raise Refused(f"add-on {name} {version} does not fit {self.cluster.version}")
        if broken:
            self.change_addon(name, status="UPDATE_FAILED", modified=self.now)
        else:
            self.change_addon(name, status="UPDATING", version=version, modified=self.now)

    def do_delete_addon(self, said: dict[str, Any], broken: bool) -> None:
        self.change_addon(said["addonName"], status="DELETING")

    def do_tag_resource(self, said: dict[str, Any], broken: bool) -> None:
        self.retag(said["resourceArn"], lambda tags: {**tags, **said["tags"]})

    def do_untag_resource(self, said: dict[str, Any], broken: bool) -> None:
        self.retag(
            said["resourceArn"],
            lambda tags: {key: value for key, value in tags.items() if key not in said["tagKeys"]},
        )

    def retag(self, arn: str, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        seen = self.cluster
        if arn == seen.arn:
            self.seen = replace(seen, tags=change(seen.tags))
        for group in seen.groups:
            if group.arn == arn:
                self.change_group(group.name, tags=change(group.tags))
        for addon in seen.addons:
            if addon.arn == arn:
                self.change_addon(addon.name, tags=change(addon.tags))


def made(version: str = "v1.35", **changes: Any) -> World:
    """Return a world with a cluster that Atoll has made."""
    world = World()
    end = world.run(want(version, **changes), todo(OperationType.CREATE, version))
    assert isinstance(end, Done), end
    world.calls.clear()
    return world
