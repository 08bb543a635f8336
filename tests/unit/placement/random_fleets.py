"""Random fleets as manifests, converted by the product itself, and what it would write back after deciding."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from atoll.api import convert
from atoll.fleet.cluster import ObservedCluster, Presence
from atoll.fleet.decisions import Placement, PlacementDecision
from atoll.fleet.observed import CheckResult, ChildView, MemberView, Verification
from atoll.fleet.snapshot import Fleet
from atoll.fleet.values import Version
from atoll.placement import build_candidates, place

from .checker import Json, Seen, Stand, World

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
CLASSES = ("public", "internal")
COUNTRIES = ("DE", "FR", "US")
REGIONS = ("eu", "us")
REGIMES = ("gdpr", "pci", "ghost")
"""The last one is never made: a missing Regime fails closed."""
CAPABILITIES = ("mesh", "gpu")
ENVIRONMENTS = ("dev", "prod", "lab")
TOPOLOGIES = ("ClusterPerEnvironment", "ClusterPerTenant", "CrossEnvironment")


@dataclass
class Scene:
    """A fleet as it stands in the API, with what was seen of its clusters."""

    bodies: dict[tuple[str, str], Json]
    seen: dict[str, Seen] = field(default_factory=dict)
    now: datetime = NOW

    @classmethod
    def of(cls, bodies: Iterable[Json], seen: Mapping[str, Seen] | None = None) -> Scene:
        return cls({(body["kind"], body["metadata"]["name"]): body for body in bodies}, dict(seen or {}))

    def copy(self) -> Scene:
        return Scene(copy.deepcopy(self.bodies), dict(self.seen), self.now)

    def of_kind(self, kind: str) -> list[Json]:
        return [body for (found, _), body in sorted(self.bodies.items()) if found == kind]

    def clusters(self) -> list[str]:
        return [
            f"{body['metadata']['name']}--{member['name']}"
            for body in self.of_kind("ClusterSet")
            for member in body["spec"]["clusters"]
        ]

    def world(self) -> World:
        """What the checker reads."""
        return World(list(self.bodies.values()), self.seen)

    def fleet(self, shuffle: random.Random | None = None) -> Fleet:
        """What the product reads; all in another order if `shuffle` is given."""
        bodies = list(self.bodies.values())
        clusters = sorted({*self.clusters(), *self.seen})
        if shuffle is not None:
            shuffle.shuffle(bodies)
            shuffle.shuffle(clusters)

        def pick(kind: str) -> tuple[Any, ...]:
            return tuple(convert.CONVERTERS[kind](body) for body in bodies if body["kind"] == kind)

        versions = {
            f"{body['metadata']['name']}--{member['name']}": body["spec"]["version"]
            for body in self.of_kind("ClusterSet")
            for member in body["spec"]["clusters"]
        }
        return Fleet(
            name="fleet",
            hub_uid="hub",
            cluster_sets=pick("ClusterSet"),
            environments=pick("Environment"),
            tenants=pick("Tenant"),
            regimes=pick("Regime"),
            children=tuple(convert.convert_child_cluster(self._child(name, versions)) for name in clusters),
            views={name: self._view(name, versions) for name in clusters},
        )

    def _child(self, name: str, versions: Mapping[str, str]) -> Json:
        of_set, member = name.split("--")
        metadata = {"name": name, "namespace": "fleet", "uid": f"child-{name}"}
        if self.seen.get(name, Seen()).leaving:
            metadata["deletionTimestamp"] = "2026-11-20T09:00:00Z"
        spec = {
            "id": f"id-{name}",
            "setName": of_set,
            "memberName": member,
            "provider": "local",
            "version": versions.get(name, "v1.36.4"),
            "revision": "one",
            "clusterUID": f"uid-{name}",
        }
        return build_body("ChildCluster", name, spec, metadata=metadata, status={"revision": "one"})

    def _view(self, name: str, versions: Mapping[str, str]) -> ChildView:
        seen = self.seen.get(name, Seen())
        version = Version.parse(seen.version or versions.get(name, "v1.36.4"))
        check = CheckResult(
            check="network-policy-enforced",
            result="Passed" if seen.walls else "Failed",
            message="it lets all through",
            time=NOW,
        )
        return ChildView(
            time=NOW,
            cluster=ObservedCluster(presence=Presence.PRESENT, version=str(version)),
            member=MemberView(version=version, cluster_uid=f"uid-{name}", ready=True) if seen.available else None,
            unreachable_since=None if seen.available else NOW,
            verification=Verification(revision="one", version=version, attempt=1, checks=(check,), time=NOW),
        )

    def stands(self) -> list[Stand]:
        """What stands according to the tenants' status."""
        return [
            Stand(
                tenant=body["metadata"]["name"],
                environment=entry["environment"],
                namespace=entry["namespace"],
                cluster=entry["cluster"],
                state=entry["state"],
                isolation=entry["isolation"],
            )
            for body in self.of_kind("Tenant")
            for entry in body.get("status", {}).get("placements", [])
        ]

    def write(self, decision: PlacementDecision) -> None:
        """Write a decision into the statuses, as the product does."""
        for tenant in self.of_kind("Tenant"):
            mine = [item for item in decision.placements if item.tenant == tenant["metadata"]["name"]]
            tenant["status"] = {"placements": [write_placement(item, self.now) for item in mine]}
        for environment in self.of_kind("Environment"):
            name = environment["metadata"]["name"]
            clusters = {item.cluster for item in decision.placements if item.environment == name}
            environment["status"] = {"clusters": sorted(clusters | {*decision.kept.get(name, ())})}

    def advance(self, chance: random.Random) -> None:
        """What was decided is made; of what leaves, some is gone now."""
        for tenant in self.of_kind("Tenant"):
            entries = tenant.get("status", {}).get("placements", [])
            for entry in entries:
                if entry["state"] == "Pending" and chance.random() < 0.9:
                    entry["state"] = "Placed"
            entries[:] = [entry for entry in entries if entry["state"] != "Leaving" or chance.random() < 0.4]
        self.now += timedelta(minutes=1)


def decide(scene: Scene, shuffle: random.Random | None = None) -> PlacementDecision:
    """Decide as the product does when it runs."""
    fleet = scene.fleet(shuffle)
    return place(fleet, build_candidates(fleet, scene.now), scene.now)


def read_stands(placements: Iterable[Placement]) -> list[Stand]:
    """Translate for the checker."""
    return [
        Stand(
            tenant=item.tenant,
            environment=item.environment,
            namespace=item.namespace,
            cluster=item.cluster,
            state=item.state,
            isolation=str(item.isolation),
            rule=item.rule,
        )
        for item in placements
    ]


def write_placement(item: Placement, now: datetime) -> Json:
    """Write as `status.placements` has it."""
    return {
        "environment": item.environment,
        "namespace": item.namespace,
        "cluster": item.cluster,
        "isolation": str(item.isolation),
        "state": item.state,
        "since": (item.since or now).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "reason": item.reason,
    }


def build_body(kind: str, name: str, spec: Json, **more: Any) -> Json:
    """Wrap a spec."""
    metadata = {"name": name, "namespace": "fleet", "uid": f"{kind.lower()}-{name}"}
    return {"apiVersion": "atoll.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, **more}


# Parts, each from a source of chance alone


def draw_member(chance: random.Random, name: str) -> Json:
    member: Json = {"name": name}
    if chance.random() < 0.6:
        member["labels"] = {"stage": chance.choice(["dev", "prod"])}
    if chance.random() < 0.8:
        member["country"] = chance.choice(COUNTRIES)
    if chance.random() < 0.8:
        member["region"] = chance.choice(REGIONS)
    member["regimes"] = draw_some(chance, REGIMES, 0.5)
    member["capabilities"] = draw_some(chance, CAPABILITIES, 0.6)
    if chance.random() < 0.15:
        member["workloadClasses"] = [chance.choice(CLASSES)]
    if chance.random() < 0.1:
        member["reservedFor"] = {"tenants": draw_some(chance, ("t0", "t1"), 1)}
    if chance.random() < 0.95:
        member["capacity"] = {"cpu": str(chance.randint(2, 16)), "memory": f"{chance.randint(4, 64)}Gi"}
        if chance.random() < 0.5:
            member["capacity"]["storage"] = "100Gi"
    return member


def draw_set(chance: random.Random, name: str, count: int) -> Json:
    spec: Json = {
        "version": chance.choice(["v1.36.4", "v1.36.4", "v1.34.1"]),
        "provider": {"local": {}},
        "clusters": [draw_member(chance, f"m{index}") for index in range(count)],
    }
    if chance.random() < 0.3:
        spec["regimes"] = ["gdpr"]
    if chance.random() < 0.3:
        spec["labels"] = {"stage": chance.choice(["dev", "prod"])}
    if chance.random() < 0.3:
        spec["capabilities"] = ["mesh"]
    manifest = build_body("ClusterSet", name, spec)
    if chance.random() < 0.06:
        manifest["metadata"]["deletionTimestamp"] = "2026-11-20T09:00:00Z"
    return manifest


def draw_regime(chance: random.Random, name: str, other: str) -> Json:
    spec: Json = {"title": name}
    if chance.random() < 0.4:
        spec["countries"] = sorted(chance.sample(COUNTRIES, 2))
    if chance.random() < 0.2:
        spec["exclusive"] = True
    if chance.random() < 0.15:
        spec["incompatibleWith"] = [other]
    if chance.random() < 0.15:
        spec["isolation"] = chance.choice(["Cluster", "Cluster", "Cluster", "Hosts"])
    if chance.random() < 0.3:
        spec["versions"] = {"maxMinorsBehind": 1}
    return build_body("Regime", name, spec)


def draw_environment(chance: random.Random, name: str) -> Json:
    placement: Json = {}
    if chance.random() < 0.3:
        placement["clusterSelector"] = draw_selector(chance)
    if chance.random() < 0.15:
        placement["requiredCapabilities"] = [chance.choice(CAPABILITIES)]
    if chance.random() < 0.2:
        placement["spread"] = {"topologyKey": chance.choice(["region", "country"]), "maxSkew": chance.choice([1, 1, 2])}
    if chance.random() < 0.3:
        placement["headroomPercent"] = chance.choice([10, 50])
    spec: Json = {"topology": "SharedCluster", "placement": placement}
    if chance.random() < 0.35:
        spec["topology"] = chance.choice(TOPOLOGIES)
    if chance.random() < 0.15:
        spec["allowedTenants"] = draw_some(chance, ("t0", "t1", "t2"), 0.7)
    if chance.random() < 0.2:
        spec["maxPerTenant"] = {"cpu": str(chance.randint(2, 8))}
    if chance.random() < 0.15:
        spec["regimes"] = [chance.choice(REGIMES[:2])]
    if chance.random() < 0.1:
        spec["isolation"] = chance.choice(["Cluster", "Cluster", "Hosts"])
    return build_body("Environment", name, spec)


def draw_selector(chance: random.Random) -> Json:
    if chance.random() < 0.5:
        return {"matchLabels": {"stage": chance.choice(["dev", "prod"])}}
    operator = chance.choice(["In", "NotIn", "Exists", "DoesNotExist"])
    expression: Json = {"key": chance.choice(["stage", "region", "country", "atoll.dev/member"]), "operator": operator}
    if operator in {"In", "NotIn"}:
        expression["values"] = [chance.choice(["dev", "eu", "DE", "m0"])]
    return {"matchExpressions": [expression]}


def draw_tenant(chance: random.Random, name: str) -> Json:
    spec: Json = {
        "environments": [
            draw_asked(chance, environment) for environment in chance.sample(ENVIRONMENTS, chance.choice([1, 1, 2]))
        ]
    }
    if chance.random() < 0.3:
        spec["regimes"] = draw_some(chance, REGIMES, 0.4)
    if chance.random() < 0.15:
        spec["capabilities"] = [chance.choice(CAPABILITIES)]
    if chance.random() < 0.2:
        spec["network"] = {"allowTo": [{"cidr": "10.20.0.0/16"}]}
    return build_body("Tenant", name, spec)


def draw_asked(chance: random.Random, environment: str) -> Json:
    entry: Json = {"name": environment}
    if chance.random() < 0.6:
        entry["resources"] = draw_amounts(chance)
    else:
        names = chance.sample(["api", "db"], chance.choice([1, 2]))
        entry["namespaces"] = [{"name": name, "resources": draw_amounts(chance)} for name in names]
        for item in entry["namespaces"]:
            if chance.random() < 0.7:
                item["workloadClass"] = chance.choice(CLASSES)
    if chance.random() < 0.2:
        entry["clusters"] = 2
    if chance.random() < 0.12:
        entry["isolation"] = chance.choice(["Cluster", "Cluster", "Hosts"])
    return entry


def draw_amounts(chance: random.Random) -> Json:
    amounts: Json = {"cpu": f"{chance.randint(2, 50)}00m", "memory": f"{chance.randint(1, 16)}Gi"}
    if chance.random() < 0.15:
        amounts["storage"] = "10Gi"
    return amounts


def draw_seen(chance: random.Random) -> Seen:
    return Seen(
        version=chance.choice(["", "", "", "v1.33.2"]),
        available=chance.random() < 0.92,
        leaving=chance.random() < 0.03,
        walls=chance.random() < 0.85,
    )


def draw_some(chance: random.Random, names: Sequence[str], likely: float) -> list[str]:
    if chance.random() > likely:
        return []
    weights = [3 if name != "ghost" else 0.4 for name in names]
    return sorted({*chance.choices(names, weights, k=chance.choice([1, 1, 2]))})


class Kind(random.Random):
    """A source of chance with which unlikely things, such as rules, are less likely still: more is placed."""

    def random(self) -> float:
        return super().random() ** 0.5


def draw_scene(chance: random.Random) -> Scene:
    """A small fleet."""
    bodies = [draw_set(chance, "x", chance.randint(1, 3)), draw_set(chance, "y", chance.randint(0, 2))]
    bodies += [draw_regime(chance, "gdpr", "pci"), draw_regime(chance, "pci", "gdpr")]
    bodies += [draw_environment(chance, name) for name in ENVIRONMENTS]
    bodies += [draw_tenant(chance, f"t{index}") for index in range(chance.randint(2, 5))]
    scene = Scene.of(bodies)
    scene.seen = {name: draw_seen(chance) for name in scene.clusters()}
    return scene


# Changes, as people and the world make them


def change(scene: Scene, chance: random.Random) -> str:
    """Change one thing; returns what, for whoever reads of a failure."""
    kind = chance.choice(
        ["Tenant", "Tenant", "member", "member", "Regime", "Environment", "Environment", "seen", "seen", "remove"]
    )
    match kind:
        case "Tenant":
            return _change_tenant(scene, chance)
        case "member":
            return _change_member(scene, chance)
        case "Regime":
            name = chance.choice(REGIMES[:2])
            scene.bodies["Regime", name] = draw_regime(chance, name, REGIMES[1 - REGIMES.index(name)])
            return f"Regime {name}"
        case "Environment":
            name = chance.choice(ENVIRONMENTS)
            _respecify(scene, draw_environment(chance, name))
            return f"Environment {name}"
        case "seen" if scene.clusters():
            name = chance.choice(scene.clusters())
            scene.seen[name] = draw_seen(chance)
            return f"what is seen of {name}"
        case _:
            return _remove(scene, chance)


def _change_tenant(scene: Scene, chance: random.Random) -> str:
    name = f"t{chance.randint(0, 6)}"
    drawn = draw_tenant(chance, name)
    found = scene.bodies.get(("Tenant", name))
    if found is not None and chance.random() < 0.7:
        # Mostly one field changes, and the rest stays.
        field_name = chance.choice(["regimes", "capabilities", "environments", "isolation"])
        spec = copy.deepcopy(found["spec"])
        if field_name == "isolation":
            entry = chance.choice(spec["environments"])
            entry["isolation"] = chance.choice(["Namespace", "Cluster", "Cluster"])
        else:
            spec.pop(field_name, None)
            spec |= {field_name: drawn["spec"][field_name]} if field_name in drawn["spec"] else {}
        drawn["spec"] = spec
    _respecify(scene, drawn)
    return f"Tenant {name}"


def _respecify(scene: Scene, drawn: Json) -> None:
    """Change the spec and leave the status."""
    key = (drawn["kind"], drawn["metadata"]["name"])
    status = scene.bodies.get(key, {}).get("status")
    scene.bodies[key] = drawn if status is None else {**drawn, "status": status}


def _change_member(scene: Scene, chance: random.Random) -> str:
    of_set = chance.choice(scene.of_kind("ClusterSet"))
    name = f"m{chance.randint(0, 3)}"
    members = of_set["spec"]["clusters"]
    found = next((item for item in members if item["name"] == name), None)
    cluster = f"{of_set['metadata']['name']}--{name}"
    if found is None:
        members.append(draw_member(chance, name))
        scene.seen[cluster] = Seen()
        return f"new member {cluster}"
    drawn = draw_member(chance, name)
    field_name = chance.choice(
        ["country", "regimes", "regimes", "capacity", "labels", "reservedFor", "workloadClasses"]
    )
    found.pop(field_name, None)
    found |= {field_name: drawn[field_name]} if field_name in drawn else {}
    return f"{field_name} of {cluster}"


def _remove(scene: Scene, chance: random.Random) -> str:
    if chance.random() < 0.6:
        there = [key for key in scene.bodies if key[0] in {"Tenant", "Regime"}]
        key = chance.choice(sorted(there)) if there else ("Regime", "gdpr")
        if key[0] == "Tenant":
            # Its placements leave with it: it is marked first, and gone when they are.
            scene.bodies[key]["metadata"]["deletionTimestamp"] = "2026-11-21T09:00:00Z"
            if not scene.bodies[key].get("status", {}).get("placements"):
                del scene.bodies[key]
        else:
            scene.bodies.pop(key, None)
        return f"removal of {key}"
    of_set = chance.choice(scene.of_kind("ClusterSet"))
    members = of_set["spec"]["clusters"]
    if len(members) > 1:
        gone = members.pop(chance.randrange(len(members)))
        # The cluster lives on, detached.
        return f"removal of member {of_set['metadata']['name']}--{gone['name']}"
    return "nothing"
