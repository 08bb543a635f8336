"""Where things are: regions, zones, and the names of things in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from .gke_errors import strange_location

REGIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        region: tuple(f"{region}-{letter}" for letter in letters)
        for region, letters in (
            ("asia-northeast1", "abc"),
            ("europe-north1", "abc"),
            ("europe-west1", "bcd"),
            ("europe-west3", "abc"),
            ("europe-west4", "abc"),
            ("us-central1", "abcf"),
            ("us-east1", "bcd"),
            ("us-west1", "abc"),
        )
    }
)
BASE: Final = "https://container.googleapis.com/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a name of the API points at; parts that it does not have are empty."""

    project: str
    location: str = ""
    cluster: str = ""
    pool: str = ""
    operation: str = ""

    @property
    def is_zone(self) -> bool:
        """Whether the location is a zone and not a region."""
        return re.search(r"-[a-z]$", self.location) is not None

    @property
    def region(self) -> str:
        """The region of the location."""
        return self.location[:-2] if self.is_zone else self.location

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones where nodes are made if nobody says otherwise."""
        return (self.location,) if self.is_zone else REGIONS[self.location][:3]

    @property
    def path(self) -> str:
        """As answers name it: things in zones keep the older form of the path."""
        kind = "zones" if self.is_zone else "locations"
        named = (("", self.project), (kind, self.location), ("clusters", self.cluster), ("nodePools", self.pool))
        parts = [f"{word}/{name}".lstrip("/") for word, name in (*named, ("operations", self.operation)) if name]
        return "projects/" + "/".join(parts)

    @property
    def link(self) -> str:
        """As `selfLink` says it."""
        return f"{BASE}/{self.path}"

    def with_pool(self, pool: str) -> Place:
        """Point at a node pool of the cluster."""
        return replace(self, pool=pool)


WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "projects": "project",
        "locations": "location",
        "clusters": "cluster",
        "nodePools": "pool",
        "operations": "operation",
    }
)


def parse_place(name: str) -> Place:
    """Read a name such as `projects/p/locations/l/clusters/c`; the location may be `-`, all of them."""
    parts = name.split("/")
    place = Place(**{WORDS[word]: value for word, value in zip(parts[::2], parts[1::2], strict=True)})
    known = place.location in ("", "-") or place.location in REGIONS.get(place.region, ()) or place.location in REGIONS
    if not known:
        raise strange_location(place.location)
    return place
