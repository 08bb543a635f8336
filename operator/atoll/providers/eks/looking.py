"""One look at a cluster: with as few calls as tell the truth.

While EKS makes or deletes a control plane there is nothing else to see. While it is at work on anything else, it is
asked about that alone until that has changed: no plan goes on before. Updates are asked for only where a plan or a
revert could depend on them, and one that is over is not asked for again, because it never changes.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Final

from atoll.ports import ClusterRef, OperationType
from atoll.providers.managed.marks import build_name, is_unfinished

from .reading import Reader
from .seen import (
    Offer,
    SeenAddon,
    SeenCluster,
    SeenGroup,
    SeenUpdate,
    parse_addon,
    parse_cluster,
    parse_group,
    parse_update,
)
from .task import is_unfinished_create
from .versions import step

WHOLE_SECONDS: Final = 60.0
"""How long what EKS is not at work on is believed: somebody else may change it meanwhile."""
MOVING: Final = frozenset({"CREATING", "UPDATING", "DELETING"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """The last look at all of a cluster."""

    seen: SeenCluster
    time: float
    changes: int
    """How many calls that change something the account had made before it."""


class Looker:
    """Looks at clusters with one open account. Used from threads."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._over: dict[str, dict[str, SeenUpdate]] = {}
        """Cluster → updates that are over, by id."""
        self._wholes: dict[str, Whole] = {}
        """Of clusters that EKS is at work on."""
        self._lock = threading.Lock()

    def look(self, ref: ClusterRef) -> SeenCluster | None:
        """See what is there of a cluster; None: nothing."""
        name = build_name(ref)
        with self._lock:
            whole = self._wholes.pop(name, None)
        if whole is not None and time.monotonic() - whole.time < WHOLE_SECONDS:
            seen = None if self._reader.has_changed(name, whole.changes) else self._look_at_work(whole.seen)
            if seen is not None:
                with self._lock:
                    self._wholes[name] = replace(whole, seen=seen)
                return seen
        now, changes = time.monotonic(), self._reader.changes
        seen = self._look_at_all(name)
        if seen is not None and _is_moving(seen):
            with self._lock:
                self._wholes[name] = Whole(seen=seen, time=now, changes=changes)
        return seen

    def _look_at_work(self, before: SeenCluster) -> SeenCluster | None:
        """See only what EKS is at work on; None: it has got on, so that all has to be seen again."""
        name = before.name
        if before.status == "UPDATING":
            answer = self._reader.read("describe_cluster", name, name=name)
            seen = parse_cluster(answer["cluster"]) if answer is not None else None
            if seen is None or seen.status != before.status:
                return None
            return replace(
                seen, groups=before.groups, addons=before.addons, offers=before.offers, updates=before.updates
            )
        groups, addons = list(before.groups), list(before.addons)
        for index, group in enumerate(groups):
            if group.status in MOVING:
                there = self._look_at_group(name, group.name)
                if there is None or there.status != group.status:
                    return None
                groups[index] = there
        for index, addon in enumerate(addons):
            if addon.status in MOVING:
                present = self._look_at_addon(name, addon.name)
                if present is None or present.status != addon.status:
                    return None
                addons[index] = present
        return replace(before, groups=tuple(groups), addons=tuple(addons))

    def _look_at_all(self, name: str) -> SeenCluster | None:
        answer = self._reader.read("describe_cluster", name, name=name)
        if answer is None:
            with self._lock:
                self._over.pop(name, None)
            return None
        seen = parse_cluster(answer["cluster"])
        if seen.status in {"CREATING", "PENDING", "DELETING"}:
            return seen
        working = is_unfinished(seen.tags, OperationType.CHANGE, OperationType.REVERT, OperationType.REPAIR)
        groups = self._look_at_groups(seen, working=working)
        addons = self._look_at_addons(name)
        returning = is_unfinished(seen.tags, OperationType.REVERT)
        minors = [seen.version, *([step(seen.version, -1)] if returning else [])]
        offers: dict[tuple[str, str], Offer] = {
            (addon.name, minor): self._reader.offer(addon.name, minor) for addon in addons for minor in minors
        }
        asks = seen.status == "ACTIVE" and not is_unfinished_create(seen.tags)
        updates = self._look_at_updates(name) if asks else ()
        return replace(seen, groups=groups, addons=addons, offers=offers, updates=updates)

    def _look_at_groups(self, seen: SeenCluster, *, working: bool) -> tuple[SeenGroup, ...]:
        found = []
        for group_name in self._reader.pages("list_nodegroups", seen.name, "nodegroups", clusterName=seen.name):
            group = self._look_at_group(seen.name, group_name)
            if group is None:
                continue
            if group.status in {"ACTIVE", "DEGRADED"} and (working or group.version != seen.version):
                updates = self._look_at_updates(seen.name, group_name)
                last = updates[-1] if updates else None
                group = replace(group, failure=last if last is not None and last.has_failed else None)
            found.append(group)
        return tuple(found)

    def _look_at_addons(self, name: str) -> tuple[SeenAddon, ...]:
        found = []
        for addon_name in self._reader.pages("list_addons", name, "addons", clusterName=name):
            addon = self._look_at_addon(name, addon_name)
            if addon is not None:
                found.append(addon)
        return tuple(found)

    def _look_at_group(self, name: str, group: str) -> SeenGroup | None:
        answer = self._reader.read("describe_nodegroup", f"{name}/{group}", clusterName=name, nodegroupName=group)
        return parse_group(answer["nodegroup"]) if answer is not None else None

    def _look_at_addon(self, name: str, addon: str) -> SeenAddon | None:
        answer = self._reader.read("describe_addon", f"{name}/{addon}", clusterName=name, addonName=addon)
        return parse_addon(answer["addon"]) if answer is not None else None

    def _look_at_updates(self, name: str, group: str = "") -> tuple[SeenUpdate, ...]:
        """Return the updates of a cluster or node group, oldest first."""
        about: dict[str, Any] = {"name": name, **({"nodegroupName": group} if group else {})}
        subject = f"{name}/{group}" if group else name
        with self._lock:
            known = dict(self._over.get(subject, {}))
        found: dict[str, SeenUpdate] = {}
        for update_id in self._reader.pages("list_updates", subject, "updateIds", **about):
            if update_id in known:
                found[update_id] = known[update_id]
                continue
            answer = self._reader.read("describe_update", subject, **about, updateId=update_id)
            if answer is not None:
                found[update_id] = parse_update(answer["update"])
        with self._lock:
            self._over[subject] = {key: one for key, one in found.items() if one.status != "InProgress"}
        return tuple(sorted(found.values(), key=lambda one: (one.created, one.id)))


def _is_moving(seen: SeenCluster) -> bool:
    """Say whether EKS is at work on something beside which there is more to see."""
    statuses = {group.status for group in seen.groups} | {addon.status for addon in seen.addons}
    return seen.status == "UPDATING" or (seen.status == "ACTIVE" and bool(statuses & MOVING))
