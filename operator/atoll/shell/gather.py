"""From cached objects and looks at children to the one snapshot that a decision reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from atoll.api.convert import CONVERTERS
from atoll.errors import BadInput
from atoll.fleet import reasons
from atoll.fleet.cluster import ProviderInfo
from atoll.fleet.hosts import HostView
from atoll.fleet.observed import ChildView
from atoll.fleet.snapshot import Fleet, Invalid
from atoll.fleet.spec import DeletionPolicy
from atoll.fleet.values import Version, freeze
from atoll.kube.kinds import CHILD_CLUSTER, CLUSTER_SET, CUSTOM_RESOURCE_DEFINITION, TENANT
from atoll.ports import Body

from .cache import Cache
from .context import Context

DESTROYING: Final = {kind.kind: f"{kind.plural}.{kind.group}" for kind in (CHILD_CLUSTER, CLUSTER_SET, TENANT)}
"""Kinds whose deletion may destroy clusters, or namespaces with what is in them; by kind, the name of the CRD."""
CLUSTER_KINDS: Final = frozenset({CHILD_CLUSTER.kind, CLUSTER_SET.kind})


class Gatherer:
    """Builds snapshots of one fleet; an object is converted again only when it has changed."""

    def __init__(self, context: Context, cache: Cache, fleet: str) -> None:
        self._context = context
        self._cache = cache
        self._fleet = fleet
        self._converted: dict[tuple[str, str], tuple[str, Any]] = {}

    async def build(
        self, views: Mapping[str, ChildView], host_views: Mapping[str, HostView], busy_since: Mapping[str, datetime]
    ) -> Fleet:
        """Return what is known of the fleet now."""
        converted: dict[str, list[Any]] = {kind: [] for kind in CONVERTERS}
        invalid: list[Invalid] = []
        for kind in CONVERTERS:
            for body in self._cache.of_kind(self._fleet, kind):
                found = self._convert(kind, body)
                (invalid if isinstance(found, Invalid) else converted[kind]).append(found)
        infos: dict[str, ProviderInfo] = {}
        versions: dict[str, tuple[Version, ...]] = {}
        for name, provider in self._context.providers.items():
            infos[name] = provider.info()
            versions[name] = tuple(Version.parse(text) for text in await provider.versions())
        terminating = await self._list_terminating_kinds(converted)
        tenants = converted["Tenant"]
        return Fleet(
            name=self._fleet,
            hub_uid=self._context.hub_uid,
            cluster_sets=tuple(converted["ClusterSet"]),
            children=tuple(converted["ChildCluster"]),
            environments=tuple(converted["Environment"]),
            tenants=tuple(map(_orphan, tenants)) if terminating else tuple(tenants),
            regimes=tuple(converted["Regime"]),
            rollouts=tuple(converted["Rollout"]),
            approvals=tuple(converted["Approval"]),
            host_pools=tuple(converted["HostPool"]),
            hosts=tuple(converted["Host"]),
            invalid=tuple(invalid),
            views=views,
            host_views=host_views,
            providers=infos,
            versions=versions,
            seen=self._cache.seen(self._fleet),
            written=self._cache.written(self._fleet),
            busy_since=busy_since,
            terminating_kinds=terminating,
            foreign_blocks=self._context.foreign_blocks,
        )

    def _convert(self, kind: str, body: Body) -> Any:
        metadata = body["metadata"]
        key = (kind, metadata["name"])
        version = f"{metadata['uid']}/{metadata['resourceVersion']}"
        known = self._converted.get(key)
        if known is not None and known[0] == version:
            return known[1]
        try:
            found = CONVERTERS[kind](body)
        except BadInput as error:
            found = _mark(kind, body, str(error), path=error.field)
        self._converted[key] = (version, found)
        return found

    async def _list_terminating_kinds(self, converted: Mapping[str, list[Any]]) -> tuple[str, ...]:
        """Ask, before anything is destroyed, which deletions came from a CRD that goes away: no policy sees those."""
        deleting = {kind for kind in DESTROYING if any(item.meta.deleting for item in converted[kind])}
        if deleting & CLUSTER_KINDS:
            deleting |= CLUSTER_KINDS
        return tuple([kind for kind in sorted(deleting) if await self._is_terminating(kind)])

    async def _is_terminating(self, kind: str) -> bool:
        definition = await self._context.store.get(CUSTOM_RESOURCE_DEFINITION, None, DESTROYING[kind])
        return definition is None or bool(definition["metadata"].get("deletionTimestamp"))


def _orphan(tenant: Any) -> Any:
    """Read a tenant as one that keeps its namespaces: its own CRD goes, or that of the clusters that it is on."""
    return replace(tenant, deletion_policy=DeletionPolicy.ORPHAN)


def _mark(kind: str, body: Body, message: str, *, path: str = "", reason: str = reasons.INVALID_SPEC) -> Invalid:
    metadata = body["metadata"]
    return Invalid(
        kind=kind,
        name=metadata["name"],
        path=path,
        message=message,
        reason=reason,
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        status=freeze(body.get("status", {})),
    )
