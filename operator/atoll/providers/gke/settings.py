"""The `gke` block as it comes (camelCase, plain JSON) to Settings. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from atoll.errors import BadInput

BLOCK: Final = "spec.provider.gke"
_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
"""What GKE takes as the name of a pool."""
_ZONE: Final = re.compile(r".+-[a-z]")


class Channel(StrEnum):
    """Release channels; off is what Atoll wants, as it moves versions itself."""

    OFF = "UNSPECIFIED"
    RAPID = "RAPID"
    REGULAR = "REGULAR"
    STABLE = "STABLE"
    EXTENDED = "EXTENDED"


_CHANNELS: Final[Mapping[str, Channel]] = MappingProxyType(
    {"None": Channel.OFF, **{channel.name.capitalize(): channel for channel in Channel if channel is not Channel.OFF}}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A node pool as it is wanted; sizes count the nodes of all zones."""

    name: str
    machine_type: str
    min_size: int
    max_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a cluster is: all that a look or a deletion has to know."""

    project: str
    location: str

    @property
    def parent(self) -> str:
        """Name of the location in the API."""
        return f"projects/{self.project}/locations/{self.location}"

    @property
    def is_zonal(self) -> bool:
        """Whether its location is a zone and not a region."""
        return _ZONE.fullmatch(self.location) is not None

    @property
    def workload_pool(self) -> str:
        """The identity namespace of the project: there is one, of this name."""
        return f"{self.project}.svc.id.goog"

    def build_path(self, name: str) -> str:
        """Return the name of a cluster in the API."""
        return f"{self.parent}/clusters/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The block with its defaults filled in."""

    place: Place
    network: str = "default"
    subnetwork: str = "default"
    public: bool = False
    """Whether the API server answers outside the cloud network too."""
    channel: Channel = Channel.OFF
    pools: tuple[Pool, ...] = ()


def parse_place(block: Mapping[str, Any]) -> Place:
    """Read where the cluster is, whatever else is in the block; BadInput names what is missing."""
    if faults := _find_place_faults(block):
        raise faults[0]
    return Place(project=block["project"], location=block["location"])


def parse_settings(block: Mapping[str, Any]) -> Settings:
    """Read the block; BadInput names the first field that cannot be used."""
    if faults := find_faults(block):
        raise faults[0]
    access = block.get("endpointAccess") or {}
    return Settings(
        place=parse_place(block),
        network=block.get("network") or "default",
        subnetwork=block.get("subnetwork") or "default",
        public=bool(access.get("public", False)),
        channel=_CHANNELS[block.get("releaseChannel") or "None"],
        pools=tuple(
            Pool(
                name=pool["name"],
                machine_type=pool["machineType"],
                min_size=int(pool.get("minSize") or 0),
                max_size=int(pool.get("maxSize") or 1),
            )
            for pool in block.get("nodePools") or ()
        ),
    )


def find_faults(block: Mapping[str, Any]) -> tuple[BadInput, ...]:
    """Find all that GKE could not use, field by field."""
    found = _find_place_faults(block)
    pools = block.get("nodePools") or ()
    if not pools:
        found.append(_fault("nodePools", "is empty, and GKE makes no cluster without nodes: declare a pool"))
    found += [
        _fault(
            f"nodePools[{pool['name']}].name",
            "is no name for GKE: 1 to 40 lower case letters, digits and dashes, a letter first and no dash last",
        )
        for pool in pools
        if not _NAME.fullmatch(pool["name"])
    ]
    if (said := block.get("releaseChannel")) and said not in _CHANNELS:
        found.append(
            _fault("releaseChannel", f"is none of {', '.join(_CHANNELS)}: write one of these, or leave it out")
        )
    return tuple(found)


def _find_place_faults(block: Mapping[str, Any]) -> list[BadInput]:
    return [
        _fault(name, f"is missing: write the {what} of the cluster")
        for name, what in (("project", "project"), ("location", "region or zone"))
        if not block.get(name)
    ]


def _fault(name: str, what: str) -> BadInput:
    field = f"{BLOCK}.{name}"
    return BadInput(f"{field} {what}", field=field)
