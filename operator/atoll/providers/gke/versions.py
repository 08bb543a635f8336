"""Which version of GKE a version of ours means, and what may follow what. Pure.

GKE's versions look like `1.36.4-gke.1047000`: a Kubernetes version, and a build of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from atoll.errors import VersionUnavailable
from atoll.fleet.values import Version
from atoll.ports import Finding

from .seen import SeenCluster
from .settings import Channel

FIELD: Final = "spec.version"


def spell_version(version: str) -> str:
    """Write a version as GKE does: `v1.36` becomes `1.36`."""
    return version.removeprefix("v")


def check_hop(wanted: Version, seen: SeenCluster) -> Finding | None:
    """Find why a cluster cannot go to a version; None: it may."""
    served = seen.served
    if wanted.is_satisfied_by(served):
        return None
    if wanted < served:
        return Finding(
            reason="Downgrade",
            message=f"GKE runs {served} and does not bring a control plane back to {wanted}. GKE may have moved it by "
            f"itself: write spec.version: v{served.major}.{served.minor}",
            field=FIELD,
        )
    if (wanted.major, wanted.minor) > (served.major, served.minor + 1):
        return Finding(
            reason="SkippedMinor",
            message=f"GKE moves a control plane one minor version at a time: {served} cannot become {wanted}. Write "
            f"spec.version: v{served.major}.{served.minor + 1} first",
            field=FIELD,
        )
    return None


def choose_version(asked: str, offered: Mapping[str, Any], channel: Channel, *, nodes: bool) -> str:
    """Return the newest build on offer of a version; `nodes`: nodes must be able to run it too.

    `offered` is GKE's server config (camelCase). VersionUnavailable names what there is instead.
    """
    names = list_offered(offered, channel)
    if nodes:
        names = tuple(name for name in names if name in set(offered.get("validNodeVersions") or ()))
    fitting = [name for name in names if name == asked or name.startswith((f"{asked}.", f"{asked}-"))]
    if not fitting:
        minors = ", ".join(dict.fromkeys(".".join(name.split(".")[:2]) for name in sorted(names, key=order_builds)))
        where = "" if channel is Channel.OFF else f" in release channel {channel}"
        raise VersionUnavailable(
            f"GKE offers no {asked} here{where}: it has {minors or 'nothing at all'}. Change spec.version"
        )
    return max(fitting, key=order_builds)


def list_offered(offered: Mapping[str, Any], channel: Channel) -> tuple[str, ...]:
    """List the versions that control planes may have."""
    if channel is Channel.OFF:
        return tuple(offered.get("validMasterVersions") or ())
    for entry in offered.get("channels") or ():
        if entry.get("channel") == channel.value:
            return tuple(entry.get("validVersions") or ())
    return ()


def order_builds(name: str) -> tuple[int, ...]:
    """Return what sorts GKE's versions, oldest first."""
    return tuple(int(number) for number in re.findall(r"\d+", name))
