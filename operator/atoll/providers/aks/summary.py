"""What a cluster of Azure is like now, and where it differs from what is declared. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from atoll.errors import BadInput
from atoll.ports import ObservedCluster, OperationType, Presence
from atoll.providers.managed.marks import is_unfinished
from atoll.providers.managed.surroundings import Declared

from .bodies import find_cluster_drift, find_pool_drift
from .seen import CREATING, DELETING, GIVEN_UP, NONE_SAID, SeenCluster, parse_number
from .settings import Settings, parse_settings
from .tags import build_tags, find_tag_drift


def summarise(declared: Declared, seen: SeenCluster) -> ObservedCluster:
    """Say what is there."""
    return ObservedCluster(
        presence=_choose_presence(seen),
        version=f"v{seen.version}" if seen.version else "",
        endpoint=seen.server,
        needs_repair="" if seen.is_busy else _name_repair(seen),
        drift=() if seen.is_busy else find_drift(declared, seen),
    )


def find_drift(declared: Declared, seen: SeenCluster) -> tuple[str, ...]:
    """Say which owned fields differ, one sentence each; a block that nobody can read is told before a change."""
    try:
        settings, tags = parse_settings(declared.settings), build_tags(declared.labels)
    except BadInput:
        return ()
    return (*_list_drift(settings, tags, seen),)


def _list_drift(settings: Settings, tags: Mapping[str, str], seen: SeenCluster) -> Iterator[str]:
    yield from find_cluster_drift(seen)
    yield from find_tag_drift(seen.tags, tags)
    there = {pool.name: pool for pool in seen.pools}
    for pool in settings.pools:
        found = there.pop(pool.name, None)
        if found is None:
            yield f"agent pool {pool.name} is missing"
            continue
        yield from find_pool_drift(found, pool)
        own, served = parse_number(found.version), parse_number(seen.version)
        if own is not None and served is not None and own < served:
            yield f"agent pool {pool.name} runs {own} and the control plane {served}"
    yield from (f"agent pool {name} is there and not declared" for name in sorted(there))


def _choose_presence(seen: SeenCluster) -> Presence:
    stillborn = seen.state in GIVEN_UP and is_unfinished(seen.tags, OperationType.CREATE)
    return Presence.PARTIAL if stillborn or seen.state in {CREATING, DELETING} else Presence.PRESENT


def _name_repair(seen: SeenCluster) -> str:
    if seen.is_stopped:
        return "the cluster is stopped: a repair would tell how to start it"
    failed = [
        f"agent pool {pool.name} is {pool.state} ({pool.error or NONE_SAID})"
        for pool in seen.pools
        if pool.state in GIVEN_UP
    ]
    if failed:
        return f"{'; '.join(failed)}: a repair sends Azure the same again"
    if seen.state in GIVEN_UP:
        return f"the cluster is {seen.state} ({seen.error or NONE_SAID}): a repair sends Azure its settings again"
    return ""
