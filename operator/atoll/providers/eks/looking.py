"""One look at a cluster: with as few calls as tell the truth.

While EKS makes or deletes a control plane there is nothing else to see. Updates are asked for only where a plan or a
revert could depend on them, and one that is over is not asked for again, because it never changes.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from atoll.ports import ClusterRef
from atoll.providers.managed.marks import build_name

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
from .task import is_at_work, is_unfinished_create
from .versions import step


class Looker:
    """Looks at clusters with one open account. Used from threads."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._over: dict[str, dict[str, SeenUpdate]] = {}
        """Cluster → updates that are over, by id."""
        self._lock = threading.Lock()

    def look(self, ref: ClusterRef) -> SeenCluster | None:
        """See what is there of a cluster; None: nothing."""
        name = build_name(ref)
        answer = self._reader.read("describe_cluster", name, name=name)
        if answer is None:
            with self._lock:
                self._over.pop(name, None)
            return None
        seen = parse_cluster(answer["cluster"])
        if seen.status in {"CREATING", "PENDING", "DELETING"}:
            return seen
        working = is_at_work(seen.tags, "change", "revert", "repair")
        groups = self._look_at_groups(seen, working=working)
        addons = self._look_at_addons(name)
        minors = [seen.version, *([step(seen.version, -1)] if is_at_work(seen.tags, "revert") else [])]
        offers: dict[tuple[str, str], Offer] = {
            (addon.name, minor): self._reader.offer(addon.name, minor) for addon in addons for minor in minors
        }
        asks = seen.status == "ACTIVE" and not is_unfinished_create(seen.tags)
        updates = self._look_at_updates(name) if asks else ()
        return replace(seen, groups=groups, addons=addons, offers=offers, updates=updates)

    def _look_at_groups(self, seen: SeenCluster, *, working: bool) -> tuple[SeenGroup, ...]:
        found = []
        for group_name in self._reader.pages("list_nodegroups", seen.name, "nodegroups", clusterName=seen.name):
            subject = f"{seen.name}/{group_name}"
            answer = self._reader.read("describe_nodegroup", subject, clusterName=seen.name, nodegroupName=group_name)
            if answer is None:
                continue
            group = parse_group(answer["nodegroup"])
            if group.status in {"ACTIVE", "DEGRADED"} and (working or group.version != seen.version):
                updates = self._look_at_updates(seen.name, group_name)
                last = updates[-1] if updates else None
                group = replace(group, failure=last if last is not None and last.has_failed else None)
            found.append(group)
        return tuple(found)

    def _look_at_addons(self, name: str) -> tuple[SeenAddon, ...]:
        found = []
        for addon_name in self._reader.pages("list_addons", name, "addons", clusterName=name):
            subject = f"{name}/{addon_name}"
            answer = self._reader.read("describe_addon", subject, clusterName=name, addonName=addon_name)
            if answer is not None:
                found.append(parse_addon(answer["addon"]))
        return tuple(found)

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
