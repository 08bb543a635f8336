"""What of a cluster differs from what is declared, and the call that mends it: drift and cure from one source. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from atoll.providers.managed.marks import MARKS
from atoll.providers.managed.moves import Call

from .labels import build_labels, merge_labels
from .maintenance import build_policy, find_maintenance_drift
from .pools import Mend, delete_pool, find_undeclared, mend_management
from .seen import SeenCluster
from .settings import Channel, Settings


def mend_channel(settings: Settings, seen: SeenCluster) -> Iterator[Mend]:
    """Find whether GKE has the cluster in another release channel: which versions there are hangs on it."""
    if seen.channel != settings.channel.value:
        wanted = "none" if settings.channel is Channel.OFF else settings.channel.value
        yield Mend(
            sentence=f"its release channel is {seen.channel}, not {wanted}",
            call=_update(
                settings, seen, "desiredReleaseChannel", {"channel": settings.channel.value}, "set the channel"
            ),
        )


def mend_maintenance(settings: Settings, seen: SeenCluster, now: datetime) -> Iterator[Mend]:
    """Find whether GKE is kept from upgrading by itself."""
    if sentence := find_maintenance_drift(seen.maintenance, settings.channel, now):
        arguments = {
            "name": settings.place.build_path(seen.name),
            "maintenancePolicy": build_policy(seen.maintenance, settings.channel, now),
        }
        call = Call(name="set_maintenance_policy", arguments=arguments, step="keep GKE from upgrading by itself")
        yield Mend(sentence=sentence, call=call)


def mend_rules(settings: Settings, seen: SeenCluster, owner: str, now: datetime) -> Iterator[Mend]:
    """Find what differs in who upgrades, in the order in which GKE lets it be changed.

    A cluster enters a channel only with auto-upgrade on everywhere, and leaves it only without exclusions that have a
    scope; auto-upgrade can be off only when it has left.
    """
    if settings.channel is Channel.OFF:
        yield from mend_maintenance(settings, seen, now)
        yield from mend_channel(settings, seen)
        return
    path, leaving = settings.place.build_path(seen.name), find_undeclared(settings, seen, owner)
    declared = (seen.pool(pool.name) for pool in settings.pools)
    for pool in (*declared, *leaving):
        if pool is not None and (mend := mend_management(pool, settings, path)):
            yield mend
    yield from mend_channel(settings, seen)
    yield from mend_maintenance(settings, seen, now)


def mend_cluster(settings: Settings, seen: SeenCluster) -> Iterator[Mend]:
    """Find what differs in the cluster itself."""
    if seen.public != settings.public:
        here, there = ("public", "private") if seen.public else ("private", "public")
        ends = {"ipEndpointsConfig": {"enabled": True, "enablePublicEndpoint": settings.public}}
        yield Mend(
            sentence=f"the endpoint of its API server is {here}, not {there}",
            call=_update(settings, seen, "desiredControlPlaneEndpointsConfig", ends, f"make the endpoint {there}"),
        )
    if seen.workload_pool != settings.place.workload_pool:
        identity = {"workloadPool": settings.place.workload_pool}
        present = seen.workload_pool or "no pool"
        yield Mend(
            sentence=f"the identities of its pods are in {present}, not {settings.place.workload_pool}",
            call=_update(settings, seen, "desiredWorkloadIdentityConfig", identity, "set the workload identity pool"),
        )


def mend_removals(settings: Settings, seen: SeenCluster, owner: str) -> Iterator[Mend]:
    """Find pools of ours that are not declared any more."""
    for pool in find_undeclared(settings, seen, owner):
        yield Mend(
            sentence=f"node pool {pool.name} is not declared any more",
            call=delete_pool(settings.place.build_path(seen.name), pool.name, f"remove node pool {pool.name}"),
        )


def find_label_drift(governance: Mapping[str, str], seen: SeenCluster) -> str:
    """Say in a sentence which of its labels differ; empty: none."""
    own = {key: value for key, value in seen.tags.items() if key in MARKS}
    wanted = merge_labels(seen.tags, build_labels(governance), own)
    differing = sorted(key for key in {*wanted, *seen.tags} if wanted.get(key) != seen.tags.get(key))
    return f"its labels {', '.join(differing)} are not as declared" if differing else ""


def write_labels(
    settings: Settings, seen: SeenCluster, governance: Mapping[str, str], marks: Mapping[str, str]
) -> Call:
    """Return the call that writes all labels at once: the last of each operation."""
    arguments = {
        "name": settings.place.build_path(seen.name),
        "resourceLabels": merge_labels(seen.tags, build_labels(governance), marks),
        "labelFingerprint": seen.fingerprint,
    }
    return Call(name="set_labels", arguments=arguments, step="write down that it is done")


def _update(settings: Settings, seen: SeenCluster, field: str, value: Mapping[str, object], step: str) -> Call:
    arguments = {"name": settings.place.build_path(seen.name), "update": {field: dict(value)}}
    return Call(name="update_cluster", arguments=arguments, step=step)
