"""Fleets to decide about, made from manifests, or from manifests laid over what is in a management cluster."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from atoll.api.convert import CONVERTERS
from atoll.decision import Decision, decide
from atoll.errors import BadInput
from atoll.fleet.cluster import ObservedCluster, Presence
from atoll.fleet.conditions import is_true
from atoll.fleet.decisions import Refusal
from atoll.fleet.known import KNOWN
from atoll.fleet.observed import ChildCluster, ChildView, MemberView
from atoll.fleet.snapshot import Fleet, Invalid
from atoll.fleet.values import Version
from atoll.kube.compare import covers
from atoll.placement import explain, place
from atoll.toolchain import Sources, Toolchain

Body = Mapping[str, Any]


def read_versions(environ: Mapping[str, str] | None = None) -> dict[str, tuple[Version, ...]]:
    """Tell which versions each provider can install on this machine."""
    toolchain = Toolchain(Sources.from_environ(os.environ if environ is None else environ))
    return {"local": tuple(Version.parse(version) for version in toolchain.versions())}


def build_fleet_value(name: str, bodies: Iterable[Body], versions: Mapping[str, tuple[Version, ...]]) -> Fleet:
    """Build the input of a decision; an object that cannot be read is kept as invalid and harms only itself."""
    found: dict[str, list[Any]] = {kind: [] for kind in CONVERTERS}
    invalid = []
    for body in bodies:
        if body["kind"] not in CONVERTERS:
            continue
        try:
            found[body["kind"]].append(CONVERTERS[body["kind"]](body))
        except BadInput as error:
            invalid.append(
                Invalid(kind=body["kind"], name=body["metadata"]["name"], path=error.field, message=str(error))
            )
    return Fleet(
        name=name,
        providers=KNOWN,
        versions=versions,
        invalid=tuple(invalid),
        cluster_sets=tuple(found["ClusterSet"]),
        children=tuple(found["ChildCluster"]),
        environments=tuple(found["Environment"]),
        tenants=tuple(found["Tenant"]),
        regimes=tuple(found["Regime"]),
        rollouts=tuple(found["Rollout"]),
        approvals=tuple(found["Approval"]),
        host_pools=tuple(found["HostPool"]),
        hosts=tuple(found["Host"]),
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


def explain_tenant(namespace: str, bodies: Iterable[Body], tenant: str, now: datetime) -> tuple[Refusal, ...]:
    """Say of every cluster that refuses a tenant now why it does, nearest first.

    Environments that are placed nowhere are told of alone; where there are none, all are.
    """
    fleet = build_fleet_value(namespace, bodies, read_versions())
    decision = decide_live(fleet, now)
    stages = dict.fromkeys(item.environment for item in decision.placement.unplaced if item.tenant == tenant)
    found = fleet.tenant(tenant)
    if not stages and found is not None:
        stages = dict.fromkeys(item.name for item in found.environments)
    return tuple(
        refusal
        for stage in stages
        for refusal in explain(fleet, decision.candidates, decision.placement, tenant, stage)
    )


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
            nodes_for_tenants=1,  # `status.capacity` has the node in reserve taken off already
            nodes_total=1,
            nodes_ready=1,
        ),
    )
