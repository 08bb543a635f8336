"""Fixed instances for packing: tenants that want much of one thing and little of the others, and equal clusters.

Who may not share a cluster follows from a rule that the product has: one tenant in forty needs a cluster to itself
(isolation), and so has a conflict with everybody: that makes five pairs in a hundred. Regimes that are incompatible
make no conflicts between tenants on equal clusters: whoever demands a regime goes to a cluster that is attested for it,
and a cluster that is attested for both would take nobody.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from tests.support.manifests import Json, cluster_set, environment

WHOLE: Final = 100_000
"""A cluster's size in every resource: sizes are hundred-thousandths of it, so nothing is lost by rounding."""
SET_SIZE: Final = 200
RESOURCES: Final = ("cpu", "memory", "storage")
CONFLICTS: Final = ("none", "isolation")
ALONE_SHARE: Final = 0.0253


@dataclass(frozen=True, slots=True)
class Instance:
    """Sizes of all tenants, and who of them shares with nobody."""

    family: str
    sizes: tuple[tuple[int, ...], ...]
    alone: frozenset[int]
    clusters: int
    seed: int

    @property
    def places(self) -> range:
        """Positions of the resources."""
        return range(len(self.sizes[0]))

    @property
    def name(self) -> str:
        """What to print."""
        conflicts = f", {self.conflict_share():.1%} conflicts" if self.alone else ""
        return f"{len(self.sizes):,} {self.family}, {len(self.places)} resources{conflicts}"

    def bound(self) -> int:
        """Return the best of three lower bounds: volume per resource, summed resources, cliques of conflicts.

        Those who share with nobody are a clique, and nobody else is where they are: the others' volume comes on top.
        """
        rest = [size for index, size in enumerate(self.sizes) if index not in self.alone]
        totals = [sum(size[place] for size in rest) for place in self.places]
        summed = ceil(sum(totals) / len(totals) / WHOLE)
        return len(self.alone) + max(summed, *(ceil(total / WHOLE) for total in totals))

    def conflict_share(self) -> float:
        """Return which part of all pairs must not meet."""
        count, alone = len(self.sizes), len(self.alone)
        return (alone * (count - alone) + alone * (alone - 1) / 2) / (count * (count - 1) / 2)

    def build(self) -> Iterator[Json]:
        """Write it as manifests."""
        members = [self._build_member(index) for index in range(self.clusters)]
        for start in range(0, self.clusters, SET_SIZE):
            network = {"addressBlock": "10.128.0.0/10", "podPrefixLength": 20, "servicePrefixLength": 22}
            yield cluster_set(f"set{start // SET_SIZE}", *members[start : start + SET_SIZE], network=network)
        prod = environment("prod")
        del prod["spec"]["placement"]
        yield prod
        for index in range(len(self.sizes)):
            yield self.build_tenant(index)

    def build_tenant(self, index: int) -> Json:
        """Write one tenant."""
        asked: dict[str, Any] = {"name": "prod", "resources": self._write(self.sizes[index])}
        if index in self.alone:
            asked["isolation"] = "Cluster"
        return {
            "apiVersion": "atoll.dev/v1alpha1",
            "kind": "Tenant",
            "metadata": {"name": f"t{index:04}", "namespace": "fleet"},
            "spec": {"environments": [asked]},
        }

    def count_used(self, homes: Mapping[int, int | str]) -> int:
        """Count clusters; raises ValueError when a placement does not hold."""
        used: dict[int | str, list[int]] = {}
        for index, home in homes.items():
            row = used.setdefault(home, [0] * len(self.places))
            for place in self.places:
                row[place] += self.sizes[index][place]
        there = Counter(homes.values())
        if len(homes) != len(self.sizes) or any(amount > WHOLE for row in used.values() for amount in row):
            raise ValueError(f"{self.name}: somebody has no place, or a cluster holds more than it can")
        if any(there[homes[index]] > 1 for index in self.alone):
            raise ValueError(f"{self.name}: somebody shares a cluster who must not")
        return len(used)

    def _build_member(self, index: int) -> Json:
        return {"name": f"c{index:03}", "capacity": self._write((WHOLE,) * len(self.places))}

    def _write(self, size: tuple[int, ...]) -> dict[str, str]:
        # A hundred-thousandth of a cluster is a millicore, and a kibibyte of the others.
        units = ("m", "Ki", "Ki")
        return {name: f"{amount}{unit}" for name, amount, unit in zip(RESOURCES, size, units, strict=False)}


def build_instance(family: str, count: int, resources: int, conflicts: str, seed: int = 1) -> Instance:
    """Make an instance; the same for the same words and numbers.

    `mixed`: tenants weigh a quarter to a half of a cluster, over all resources together, shared out by chance.
    `even`: all weigh about the same, so what one wants more of the first resource it wants less of all others.
    """
    chance = random.Random(f"{family} {count} {resources} {seed}")
    sizes = tuple(_draw(chance, family, resources) for _ in range(count))
    lonely = round(count * ALONE_SHARE) if conflicts == "isolation" else 0
    alone = frozenset(chance.sample(range(count), lonely))
    return Instance(family, sizes, alone, max(10, count // 4), seed)


def _draw(chance: random.Random, family: str, resources: int) -> tuple[int, ...]:
    if family == "mixed":
        weights = [chance.random() + 0.05 for _ in range(resources)]
        whole = chance.uniform(0.25, 0.5)
        shares = [weight / sum(weights) * whole for weight in weights]
    else:
        first = chance.uniform(0.02, 0.22)
        shares = [first, *((0.24 - first) * chance.uniform(0.7, 1.3) for _ in range(resources - 1))]
    return tuple(max(1_000, int(share * WHOLE)) for share in shares)
