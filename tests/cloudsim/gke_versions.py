"""The versions that GKE offers: aliases, release channels, and which version may follow which."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from google.cloud.container_v1.types import cluster_service as api

from .gke_errors import impossible, invalid
from .gke_model import new

Channel = api.ReleaseChannel.Channel
VERSIONS: Final = (
    "1.36.4-gke.1047000",
    "1.36.2-gke.1310000",
    "1.35.8-gke.1021000",
    "1.35.6-gke.1188000",
    "1.34.9-gke.1103000",
    "1.33.11-gke.1275000",
)
OLDEST_NODES: Final = 2
"""How many minor versions nodes may be behind their master."""


def minor(version: str) -> int:
    """Return 36 of `1.36.4-gke.1`."""
    return int(version.split(".")[1])


def minor_name(version: str) -> str:
    """Return `1.36` of `1.36.4-gke.1`."""
    return ".".join(version.split(".")[:2])


def order(version: str) -> tuple[int, ...]:
    """Return what sorts versions."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """What may be had now, newest first."""

    versions: tuple[str, ...] = VERSIONS
    channels_only: bool = False
    """Whether the project is a new customer's: since August 2026 these must choose a release channel."""

    @property
    def default(self) -> str:
        """What a cluster gets that asks for none: the newest of the minor version before the newest."""
        minors = sorted({minor(version) for version in self.versions}, reverse=True)
        return next(version for version in self.versions if minor(version) == minors[min(1, len(minors) - 1)])

    def resolve(self, asked: str, *, default: str = "", what: str = "Master") -> str:
        """Return the exact version of an alias or a version."""
        if asked in ("", "-"):
            return default or self.default
        if asked == "latest":
            return self.versions[0]
        for version in self.versions:
            if version == asked or version.startswith((f"{asked}.", f"{asked}-")):
                return version
        raise invalid(f'{what} version "{asked}" is unsupported.')

    def in_channel(self, channel: int) -> tuple[str, ...]:
        """Return what a channel offers: the more mature the channel, the older its newest minor version."""
        behind = {Channel.RAPID: 0, Channel.REGULAR: 1, Channel.STABLE: 2, Channel.EXTENDED: 1}[Channel(channel)]
        newest = minor(self.versions[0]) - behind
        return tuple(version for version in self.versions if minor(version) <= newest)

    def choose_channel(self, asked: str) -> int:
        """Return the channel of a cluster that says none: the most mature one that has its version."""
        if not asked:
            return int(Channel.REGULAR)
        for channel in (Channel.STABLE, Channel.REGULAR, Channel.RAPID):
            if self.resolve(asked) in self.in_channel(channel):
                return int(channel)
        return int(Channel.RAPID)

    def following(self, channel: int, current: str) -> str:
        """Return what the cloud would bring a master to by itself; empty when it would not."""
        newer = [
            version
            for version in self.in_channel(channel)
            if order(version) > order(current) and minor(version) <= minor(current) + 1
        ]
        return newer[0] if newer else ""

    def describe(self) -> Any:
        """Return the answer of GetServerConfig."""
        found = new(api.ServerConfig)
        found.default_cluster_version = self.default
        found.valid_master_versions.extend(self.versions)
        found.valid_node_versions.extend(self.versions)
        found.default_image_type = "COS_CONTAINERD"
        found.valid_image_types.extend(("COS_CONTAINERD", "UBUNTU_CONTAINERD"))
        for channel in (Channel.RAPID, Channel.REGULAR, Channel.STABLE, Channel.EXTENDED):
            if offered := self.in_channel(channel):
                entry = found.channels.add()
                entry.channel = channel
                entry.default_version = offered[0]
                entry.upgrade_target_version = offered[0]
                entry.valid_versions.extend(offered)
        return found


def check_master(current: str, wanted: str, pools: dict[str, str]) -> None:
    """Refuse a master version that may not follow the current one."""
    if minor(wanted) > minor(current) + 1:
        raise invalid(
            f'Master cannot be upgraded to "{wanted}": cannot upgrade the master more than a minor version at a time.'
        )
    if minor(wanted) < minor(current):
        # Our words: minor downgrades are documented as impossible.
        raise invalid(f'Master cannot be upgraded to "{wanted}": the minor version of "{current}" cannot be lowered.')
    for name, version in sorted(pools.items()):
        if minor(version) < minor(wanted) - OLDEST_NODES:
            # Our words: the rule is documented.
            raise impossible(
                f'Master cannot be upgraded to "{wanted}": node pool "{name}" runs "{version}", and nodes must be '
                "within two minor versions of the master."
            )


def check_nodes(master: str, wanted: str) -> None:
    """Refuse a node version that does not fit the master."""
    if minor(wanted) > minor(master):
        raise invalid(f'Node version "{wanted}" must not have a greater minor version than master version "{master}".')
    if minor(wanted) < minor(master) - OLDEST_NODES:
        # Our words: the rule is documented.
        raise invalid(f'Node version "{wanted}" must be within two minor versions of master version "{master}".')
