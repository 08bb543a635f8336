"""What the design says about placements, said a second time: plain manifests in, broken rules out.

Nothing of `atoll` is imported here, and nothing was copied from it: this was written from the design (sections 2, 3),
so that the product is compared with what it is meant to do.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any

Json = dict[str, Any]
UNITS = {"m": Fraction(1, 1000), "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4, "k": 1000}
STRICTNESS = ("Namespace", "Cluster", "Hosts")
BINDING = frozenset({"not-attested", "regime-exclusive", "country", "regime-incompatible", "isolation"})
"""What a placement has to keep to for as long as it stands; all the rest binds when placing."""


@dataclass(frozen=True)
class Stand:
    """One namespace on one cluster."""

    tenant: str
    environment: str
    namespace: str
    cluster: str
    state: str = "Placed"
    isolation: str = "Namespace"
    rule: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.tenant, self.environment, self.namespace, self.cluster


@dataclass(frozen=True)
class Seen:
    """What is known of a cluster beside its manifest."""

    version: str = ""
    """Served, as long as somebody answers there; empty: as declared."""
    available: bool = True
    leaving: bool = False
    """It is being deleted itself; its set may be deleted, too."""
    walls: bool = True
    """Whether NetworkPolicies hold."""


@dataclass
class World:
    """A fleet's manifests, and what was seen of its clusters."""

    manifests: Sequence[Json]
    seen: Mapping[str, Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.of: dict[str, dict[str, Json]] = defaultdict(dict)
        for manifest in self.manifests:
            self.of[manifest["kind"]][manifest["metadata"]["name"]] = manifest
        self.members: dict[str, tuple[Json, Json]] = {}
        for name, manifest in self.of["ClusterSet"].items():
            for member in manifest["spec"]["clusters"]:
                self.members[f"{name}--{member['name']}"] = (manifest["spec"], member)

    # What is declared

    def spec(self, kind: str, name: str) -> Json:
        return self.of[kind].get(name, {}).get("spec", {})

    def asked(self, tenant: str, environment: str) -> Json | None:
        entries = self.spec("Tenant", tenant).get("environments", [])
        return next((entry for entry in entries if entry["name"] == environment), None)

    def namespaces(self, tenant: str, environment: str) -> dict[str, Json]:
        """Full names, with class and amounts."""
        entry = self.asked(tenant, environment)
        if entry is None:
            return {}
        if "namespaces" not in entry:
            return {f"{tenant}--{environment}": entry}
        return {f"{tenant}--{environment}--{item['name']}": item for item in entry["namespaces"]}

    def demanded(self, tenant: str, environment: str) -> set[str]:
        found = {*self.spec("Environment", environment).get("regimes", [])}
        return found | {*self.spec("Tenant", tenant).get("regimes", [])}

    def attested(self, cluster: str) -> set[str]:
        # Of a cluster that nobody declares any more the set still speaks.
        found = {*self.spec("ClusterSet", cluster.split("--")[0]).get("regimes", [])}
        return found | {*self.members.get(cluster, ({}, {}))[1].get("regimes", [])}

    def labels(self, cluster: str) -> Json:
        of_set, member = self.members[cluster]
        own = {"atoll.dev/cluster-set": cluster.split("--")[0], "atoll.dev/member": member["name"]}
        own |= {key: member[key] for key in ("region", "country") if key in member}
        return {**own, **of_set.get("labels", {}), **member.get("labels", {})}

    def isolation(self, tenant: str, environment: str, regimes: Iterable[str]) -> str:
        levels = [self.spec("Environment", environment).get("isolation", "Namespace")]
        levels.append((self.asked(tenant, environment) or {}).get("isolation", "Namespace"))
        levels += [self.spec("Regime", name).get("isolation", "Namespace") for name in regimes]
        return max(levels, key=STRICTNESS.index)

    def topology(self, environment: str) -> str:
        return self.spec("Environment", environment).get("topology", "SharedCluster")

    def workload_class(self, stand: Stand) -> str:
        return self.namespaces(stand.tenant, stand.environment).get(stand.namespace, {}).get("workloadClass", "")

    # What is forbidden

    def find_binding(self, tenant: str, environment: str, cluster: str, others: Iterable[Stand]) -> set[str]:
        """Name the binding rules that a tenant's presence breaks, beside others."""
        demanded, attested = self.demanded(tenant, environment), self.attested(cluster)
        regimes = self.of["Regime"]
        broken = set()
        if not demanded <= attested or not demanded <= regimes.keys():
            broken.add("not-attested")
        if any(name not in regimes for name in attested):
            broken.add("regime-exclusive")
        if any(self.spec("Regime", name).get("exclusive") for name in attested - demanded):
            broken.add("regime-exclusive")
        country = self.members[cluster][1].get("country", "") if cluster in self.members else ""
        for name in demanded | attested:
            allowed = self.spec("Regime", name).get("countries")
            if allowed and country not in allowed:
                broken.add("country")
        others = list(others)
        own = demanded | attested
        there = own.union(*(self.demanded(item.tenant, item.environment) for item in others))
        for name in there:
            for foe in self.spec("Regime", name).get("incompatibleWith", []):
                if foe in there and (name in own or foe in own):
                    broken.add("regime-incompatible")
        strangers = [item for item in others if item.tenant != tenant]
        if strangers and self.isolation(tenant, environment, own) != "Namespace":
            broken.add("isolation")
        if any(self.needs_alone(item) for item in strangers):
            broken.add("isolation")
        return broken

    def needs_alone(self, stand: Stand) -> bool:
        """Say whether somebody asks for a cluster to itself, wherever it is."""
        if stand.environment not in self.of["Environment"] or stand.tenant not in self.of["Tenant"]:
            return stand.isolation != "Namespace"
        demanded = self.demanded(stand.tenant, stand.environment)
        return self.isolation(stand.tenant, stand.environment, demanded) != "Namespace"

    def find_sharing(
        self, tenant: str, environment: str, classes: set[str], cluster: str, others: Iterable[Stand]
    ) -> bool:
        """Say whether topologies keep a tenant's environment from standing beside others, either way."""
        own = self.topology(environment)
        if own == "CrossEnvironment" and "" in classes:
            return True
        for name, manifest in self.of["Environment"].items():
            kept = manifest.get("status", {}).get("clusters", [])
            if name != environment and self.topology(name) == "ClusterPerEnvironment" and cluster in kept:
                return True
        for item in others:
            theirs, same = self.topology(item.environment), item.environment == environment
            its_class = self.workload_class(item)
            mine = same and item.tenant == tenant
            if "ClusterPerEnvironment" in {own, theirs} and not same:
                return True
            if "ClusterPerTenant" in {own, theirs} and not mine:
                return True
            if "CrossEnvironment" in {own, theirs} and {its_class} != classes:
                return True
        return False

    def find_obstacles(
        self, tenant: str, environment: str, names: Iterable[str], cluster: str, standing: Sequence[Stand]
    ) -> set[str]:
        """Name every rule that forbids to place these namespaces on a cluster now, beside all that stand."""
        others = [item for item in standing if item.cluster == cluster]
        strangers = [item for item in others if (item.tenant, item.environment) != (tenant, environment)]
        wanted = {name: self.namespaces(tenant, environment)[name] for name in names}
        classes = {item.get("workloadClass", "") for item in wanted.values()}
        env, spec = self.spec("Environment", environment), self.spec("Tenant", tenant)
        rules = env.get("placement", {})
        seen = self.seen.get(cluster, Seen())
        broken = self.find_binding(tenant, environment, cluster, [*strangers])
        neighbours = [item for item in others if self.topology(environment) == "CrossEnvironment" or item in strangers]
        if self.find_sharing(tenant, environment, classes, cluster, neighbours):
            broken.add("topology")
        demanded = self.demanded(tenant, environment)
        everything = demanded | self.attested(cluster)
        of_set, member = self.members.get(cluster, ({}, {}))
        if self.is_leaving(cluster):
            broken.add("leaving")
        if seen.leaving or not seen.available:
            broken.add("unavailable")
        selector = rules.get("clusterSelector")
        if selector is not None and not (member and selects(selector, self.labels(cluster))):
            broken.add("selector")
        offered = {*of_set.get("capabilities", []), *member.get("capabilities", [])}
        if not {*rules.get("requiredCapabilities", []), *spec.get("capabilities", [])} <= offered:
            broken.add("capability")
        accepted = member.get("workloadClasses", [])
        if accepted and not classes <= {*accepted}:
            broken.add("workload-class")
        if "reservedFor" in member and tenant not in member["reservedFor"]["tenants"]:
            broken.add("reserved")
        if self.isolation(tenant, environment, everything) == "Hosts":
            broken.add("not-supported")
        if not seen.walls and (demanded or spec.get("network")):
            broken.add("border")
        newest = max(minor(item["spec"]["version"]) for item in self.of["ClusterSet"].values())
        served = minor((seen.version if seen.available else "") or of_set.get("version", "v1.36.4"))
        for name in everything:
            limit = self.spec("Regime", name).get("versions", {}).get("maxMinorsBehind")
            if limit is not None and newest - served > limit:
                broken.add("version")
        allowed = env.get("allowedTenants")
        if allowed is not None and tenant not in allowed:
            broken.add("allowed-tenants")
        if self.exceeds_ceiling(tenant, environment):
            broken.add("ceiling")
        if not self.has_room(cluster, environment, list(wanted.values()), others):
            broken.add("capacity")
        # Namespaces join their siblings wherever these are; parts that a topology splits do not.
        joins = any((item.tenant, item.environment) == (tenant, environment) for item in others)
        if (not joins or self.topology(environment) == "CrossEnvironment") and self.is_uneven(
            environment, cluster, standing
        ):
            broken.add("spread")
        return broken

    def is_leaving(self, cluster: str) -> bool:
        """Say whether nobody declares a cluster any more, or somebody deletes it or its set."""
        of_set = self.of["ClusterSet"].get(cluster.split("--")[0], {})
        deleted = "deletionTimestamp" in of_set.get("metadata", {})
        return cluster not in self.members or self.seen.get(cluster, Seen()).leaving or deleted

    def exceeds_ceiling(self, tenant: str, environment: str) -> bool:
        total: dict[str, Fraction] = defaultdict(Fraction)
        for item in self.namespaces(tenant, environment).values():
            for name, amount in item.get("resources", {}).items():
                total[name] += quantity(amount) * (self.asked(tenant, environment) or {}).get("clusters", 1)
        most = self.spec("Environment", environment).get("maxPerTenant") or {}
        return any(total[name] > quantity(amount) for name, amount in most.items())

    def has_room(self, cluster: str, environment: str, wanted: Iterable[Json], others: Iterable[Stand]) -> bool:
        """Say whether it fits beside everything there, those that are leaving included, less the headroom."""
        capacity = self.members.get(cluster, ({}, {}))[1].get("capacity")
        if capacity is None:
            return False
        headroom = self.spec("Environment", environment).get("placement", {}).get("headroomPercent", 0)
        need = add_up(wanted)
        used = add_up(self.namespaces(item.tenant, item.environment).get(item.namespace, {}) for item in others)
        for name, amount in need.items():
            if name not in capacity:
                return False
            offered = math.floor(quantity(capacity[name]) * 1000 * (100 - headroom) / 100)
            if math.ceil((amount + used.get(name, Fraction())) * 1000) > offered:
                return False
        return True

    def is_uneven(self, environment: str, cluster: str, standing: Iterable[Stand], more: int = 1) -> bool:
        """Say whether so many more on a cluster would pass the environment's skew."""
        rules = self.spec("Environment", environment).get("placement", {})
        spread, selector = rules.get("spread"), rules.get("clusterSelector")
        if spread is None:
            return False
        key = spread["topologyKey"]
        counts: dict[str, int] = {}
        for name, (_, member) in self.members.items():
            usable = not self.is_leaving(name) and (selector is None or selects(selector, self.labels(name)))
            if key in member and (usable or name == cluster):
                counts[member[key]] = 0
        if not counts:
            return False
        places = {
            (item.tenant, item.cluster)
            for item in standing
            if item.environment == environment and item.state != "Leaving"
        }
        for _, where in places:
            domain = self.members.get(where, ({}, {}))[1].get(key, "")
            if domain in counts:
                counts[domain] += 1
        domain = self.members.get(cluster, ({}, {}))[1].get(key, "")
        if not domain:
            return True
        return bool(counts[domain] + more - min(counts.values()) > spread["maxSkew"])

    # Whole decisions

    def find_wrong_placements(self, before: Iterable[Stand], after: Sequence[Stand]) -> list[str]:
        """Say of each new placement what forbids it. All that were made together are looked at together."""
        old = {item.key for item in before}
        groups: dict[tuple[str, str, str], list[Stand]] = defaultdict(list)
        for item in after:
            if item.key not in old:
                groups[item.tenant, item.environment, item.cluster].append(item)
        wrong = []
        for (tenant, environment, cluster), new in groups.items():
            rest = [item for item in after if item not in new]
            broken = set()
            for part in self.split(new):
                names = [item.namespace for item in part]
                beside = [*rest, *(item for item in new if item not in part)]
                broken |= self.find_obstacles(tenant, environment, names, cluster, beside)
            # With others that came later, less may be free and regions less even than when it was placed.
            broken -= {"capacity", "spread"}
            known = any(
                (item.tenant, item.environment, item.cluster) == (tenant, environment, cluster) for item in rest
            )
            if not known and self.is_uneven(environment, cluster, after, more=0):
                broken.add("spread")
            wrong += [f"{tenant} in {environment} on {cluster}: {code}" for code in sorted(broken)]
        wrong += self.find_overbooked(old, after)
        return wrong

    def split(self, new: Sequence[Stand]) -> list[list[Stand]]:
        """Split by class what a CrossEnvironment splits; other environments stay together."""
        if self.topology(new[0].environment) != "CrossEnvironment":
            return [list(new)]
        parts: dict[str, list[Stand]] = defaultdict(list)
        for item in new:
            parts[self.workload_class(item)].append(item)
        return list(parts.values())

    def find_overbooked(self, old: set[tuple[str, str, str, str]], after: Sequence[Stand]) -> list[str]:
        """Say on which clusters the new ones cannot all have fitted, in whatever order they came."""
        wrong = []
        for cluster in {item.cluster for item in after if item.key not in old}:
            there = [item for item in after if item.cluster == cluster]
            booked = [item for item in there if item.key in old]
            new = [item for item in there if item.key not in old]
            for item in sorted(new, key=lambda item: -self.headroom(item.environment)):
                wanted = self.namespaces(item.tenant, item.environment)[item.namespace]
                if not self.has_room(cluster, item.environment, [wanted], booked):
                    wrong.append(f"{item.namespace} on {cluster}: capacity")
                booked.append(item)
        return wrong

    def headroom(self, environment: str) -> int:
        return int(self.spec("Environment", environment).get("placement", {}).get("headroomPercent", 0))

    def find_unmarked(self, after: Sequence[Stand]) -> list[str]:
        """Say which broken binding rules nobody has noticed. Of two that must not meet, one may stay."""
        staying = [item for item in after if item.state not in {"Leaving", "Refused"} and not item.rule]
        wrong = set()
        for item in staying:
            if self.asked(item.tenant, item.environment) is None or item.environment not in self.of["Environment"]:
                continue
            others = [
                other
                for other in staying
                if other.cluster == item.cluster
                and (other.tenant, other.environment) != (item.tenant, item.environment)
            ]
            for code in self.find_binding(item.tenant, item.environment, item.cluster, others):
                wrong.add(f"{item.tenant} in {item.environment} on {item.cluster}: {code}")
        return sorted(wrong)

    def find_needless_marks(self, after: Sequence[Stand]) -> list[str]:
        """Say which marks no rule asks for, looking at all that stand."""
        wrong = []
        for item in after:
            if not item.rule or item.state == "Leaving":
                continue
            others = [other for other in after if other.cluster == item.cluster and other != item]
            others = [o for o in others if (o.tenant, o.environment) != (item.tenant, item.environment)]
            if item.rule not in self.find_binding(item.tenant, item.environment, item.cluster, others):
                wrong.append(f"{item.tenant} in {item.environment} on {item.cluster}: {item.rule}")
        return wrong


def selects(selector: Json, labels: Json) -> bool:
    """Match as Kubernetes does."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for item in selector.get("matchExpressions", []):
        there, value = item["key"] in labels, labels.get(item["key"])
        match item["operator"]:
            case "In":
                fits = there and value in item["values"]
            case "NotIn":
                fits = not there or value not in item["values"]
            case "Exists":
                fits = there
            case _:
                fits = not there
        if not fits:
            return False
    return True


@cache
def quantity(text: str | int) -> Fraction:
    """Read an amount as Kubernetes writes it."""
    written = str(text)
    for unit, factor in UNITS.items():
        if written.endswith(unit):
            return Fraction(written.removesuffix(unit)) * factor
    return Fraction(written)


def add_up(items: Iterable[Json]) -> dict[str, Fraction]:
    """Add what is asked for; nothing of a resource is as if it were not named."""
    total: dict[str, Fraction] = defaultdict(Fraction)
    for item in items:
        for name, amount in (item.get("resources") or {}).items():
            if quantity(amount):
                total[name] += quantity(amount)
    return total


def minor(version: str) -> int:
    """Read the minor of v1.36.4."""
    return int(version.split(".")[1])
