"""What is told of a cluster: whether it is there, its version, what is down, and what differs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from atoll.ports import ObservedCluster, OperationType, Presence
from atoll.providers.managed.marks import ID, is_unfinished
from atoll.providers.managed.surroundings import Declared

from .labels import find_label_faults
from .mends import find_label_drift, mend_cluster, mend_removals, mend_rules
from .plan import tell_unhealthy
from .pools import Mend, mend_pool, upgrade_pool
from .seen import SeenCluster
from .settings import Settings, find_faults, parse_settings


def summarise_cluster(declared: Declared, seen: SeenCluster, now: datetime) -> ObservedCluster:
    """Say what is there."""
    if seen.status == "STOPPING":
        # Somebody else removes it. It is not absent yet, and nothing may be made in its place.
        return ObservedCluster(presence=Presence.UNKNOWN, message=f"GKE is removing cluster {seen.name}")
    making = is_unfinished(seen.tags, OperationType.CREATE)
    if seen.status == "PROVISIONING" or (seen.status == "ERROR" and making):
        return ObservedCluster(presence=Presence.PARTIAL, version=f"v{seen.version}", endpoint=seen.server)
    return ObservedCluster(
        presence=Presence.PRESENT,
        version=f"v{seen.version}",
        endpoint=seen.server,
        needs_repair="" if seen.is_busy else tell_unhealthy(seen),
        # While GKE is at work it may show what was and what will be in one answer.
        drift=() if seen.is_busy else find_drift(declared, seen, now),
    )


def find_drift(declared: Declared, seen: SeenCluster, now: datetime) -> tuple[str, ...]:
    """Find what a CHANGE would mend, one sentence each; nothing where what is declared cannot be used at all."""
    if find_faults(declared.settings) or find_label_faults(declared.labels):
        return ()
    settings, owner = parse_settings(declared.settings), seen.tags.get(ID, "")
    sentences = [mend.sentence for mend in _list_mends(settings, seen, owner, now)]
    if label := find_label_drift(declared.labels, seen):
        sentences.append(label)
    # Auto-upgrade may be told of twice: with the channel, and with the pool.
    return tuple(dict.fromkeys(sentences))


def _list_mends(settings: Settings, seen: SeenCluster, owner: str, now: datetime) -> Iterator[Mend]:
    path = settings.place.build_path(seen.name)
    yield from mend_rules(settings, seen, owner, now)
    for wanted in settings.pools:
        yield from mend_pool(wanted, settings, seen, owner, path)
        pool = seen.pool(wanted.name)
        if pool is not None and (mend := upgrade_pool(pool, seen, None, path)):
            yield mend
    yield from mend_cluster(settings, seen)
    yield from mend_removals(settings, seen, owner)
