"""Fleets to decide about, made from manifests, or from manifests laid over what is in a management cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from atoll.api import convert
from atoll.decision import Decision, decide
from atoll.errors import BadInput
from atoll.fleet.cluster import ObservedCluster, Presence, ProviderInfo
from atoll.fleet.conditions import is_true
from atoll.fleet.observed import ChildCluster, ChildView, MemberView
from atoll.fleet.snapshot import Fleet, Invalid
from atoll.fleet.values import Version
from atoll.placement import place
from atoll.shell.covering import covers
from atoll.toolchain import Sources, Toolchain

Body = Mapping[str, Any]

PROVIDERS: Final[Mapping[str, ProviderInfo]] = MappingProxyType(
    {"local": ProviderInfo(name="local", has_nodes=False, can_revert=True)}
)
"""What this build's operator has; known without asking one."""

_CONVERTERS: Final[Mapping[str, tuple[str, Callable[[Body], Any]]]] = MappingProxyType(
    {
        "ClusterSet": ("cluster_sets", convert.convert_cluster_set),
        "ChildCluster": ("children", convert.convert_child_cluster),
        "Environment": ("environments", convert.convert_environment),
        "Tenant": ("tenants", convert.convert_tenant),
        "Regime": ("regimes", convert.convert_regime),
        "Rollout": ("rollouts", convert.convert_rollout),
    }
)


def read_versions(environ: Mapping[str, str] | None = None) -> dict[str, tuple[Version, ...]]:
    """Tell which versions each provider can install on this machine."""
    toolchain = Toolchain(Sources.from_environ(os.environ if environ is None else environ))
    return {"local": tuple(Version.parse(version) for version in toolchain.versions())}


def build_fleet_value(name: str, bodies: Iterable[Body], versions: Mapping[str, tuple[Version, ...]]) -> Fleet:
    """Build the input of a decision; an object that cannot be read is kept as invalid and harms only itself."""
    parts: dict[str, list[Any]] = {}
    invalid = []
    for body in bodies:
        field, converter = _CONVERTERS.get(body["kind"], ("", None))
        if converter is None:
            continue
        try:
            parts.setdefault(field, []).append(converter(body))
        except BadInput as error:
            invalid.append(
                Invalid(kind=body["kind"], name=body["metadata"]["name"], path=error.field, message=str(error))
            )
    return Fleet(
        name=name,
        providers=PROVIDERS,
        versions=versions,
        invalid=tuple(invalid),
        **{field: tuple(items) for field, items in parts.items()},
    )


def lay_over(live: Iterable[Body], wanted: Iterable[Body]) -> list[Body]:
    """Lay manifests over the objects that are there, as applying them would."""
    found = {(body["kind"], body["metadata"]["name"]): body for body in live}
    for body in wanted:
        key = (body["kind"], body["metadata"]["name"])
        there = found.get(key)
        if there is None:
            found[key] = body
            continue
        merged = dict(there["metadata"])
        for part in ("labels", "annotations"):
            both = {**(there["metadata"].get(part) or {}), **(body["metadata"].get(part) or {})}
            merged |= {part: both} if both else {}
        found[key] = {**there, "metadata": merged, "spec": body.get("spec") or {}}
    return [found[key] for key in sorted(found)]


def decide_offline(fleet: Fleet, now: datetime) -> Decision:
    """Decide as if every declared cluster were there."""
    return decide(fleet, now, covers=covers, assume_available=True)


def decide_live(fleet: Fleet, now: datetime) -> Decision:
    """Decide about what is there, as far as the objects tell; clusters that are about to be made count as there."""
    views = {child.name: view for child in fleet.children if (view := read_view(child, now)) is not None}
    fleet = replace(fleet, views=views)
    decision = decide(fleet, now, covers=covers)
    coming = {child.name for child in decision.membership.new}
    if not coming:
        return decision
    candidates = tuple(
        replace(item, available=True, unavailable_message="") if item.cluster in coming else item
        for item in decision.candidates
    )
    return replace(decision, candidates=candidates, placement=place(fleet, candidates, now))


def read_view(child: ChildCluster, now: datetime) -> ChildView | None:
    """Read from a child's status what the operator last saw of it; None when it was not available."""
    if not is_true(child.status, "Available"):
        return None
    served = child.status.get("version")
    version = Version.parse(served) if served else child.version
    return ChildView(
        time=now,
        cluster=ObservedCluster(
            presence=Presence.PRESENT, version=str(version), endpoint=str(child.status.get("endpoint", ""))
        ),
        member=MemberView(
            version=version,
            cluster_uid=child.cluster_uid,
            ready=True,
            allocatable=child.status.get("capacity"),
            nodes_total=1,  # `status.capacity` has the node in reserve taken off already
            nodes_ready=1,
        ),
    )
