"""From bodies of our kinds to the values that the core decides on.

Defaults are filled in here, with one exception: provider settings hold only what was written, because revisions are
made from them and must not change when a later Atoll learns new fields. What CRD rules refuse and the core relies on is
refused here again, for manifests that no API server has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from atoll.errors import BadInput
from atoll.fleet import observed, spec, values
from atoll.fleet.cluster import OperationType
from atoll.fleet.names import ROLLOUT_ANNOTATION

from . import childcluster, clusterset, environment, meta, regime, tenant
from .convert_hosts import convert_host, convert_host_pool
from .convert_parts import convert_labels, convert_meta, convert_paused, convert_selector, freeze_model, freeze_status
from .convert_upgrade import convert_approval, convert_regime_upgrade, convert_rollout, convert_upgrade
from .parse import parse_as
from .providers import PROVIDERS, ProviderBlocks

Body = Mapping[str, Any]


def convert_cluster_set(body: Body) -> spec.ClusterSet:
    """Convert a ClusterSet; raises BadInput naming the field."""
    parsed = parse_as(clusterset.ClusterSet, body, status=False)
    wanted = parsed.spec
    kind = _choose_provider(wanted)
    return spec.ClusterSet(
        meta=convert_meta(parsed.metadata),
        version=values.Version.parse(wanted.version),
        provider=spec.ProviderBlock(kind=kind, settings=_convert_settings(wanted.provider, kind, own=False)),
        members=tuple(_convert_member(member, kind) for member in wanted.clusters),
        regimes=wanted.regimes,
        capabilities=wanted.capabilities,
        labels=convert_labels(wanted.labels),
        network=spec.Network(
            address_block=wanted.network.address_block,
            pod_prefix_length=wanted.network.pod_prefix_length,
            service_prefix_length=wanted.network.service_prefix_length,
        ),
        authentication=freeze_model(wanted.authentication),
        upgrade=convert_upgrade(wanted.upgrade),
        sample_application=wanted.verification.sample_application,
        backup=freeze_model(wanted.backup),
        confirm_removal=wanted.confirm_removal,
        deletion_policy=spec.DeletionPolicy(wanted.deletion_policy),
        deletion_protection=wanted.deletion_protection,
        paused=convert_paused(wanted.paused),
        status=freeze_status(body),
    )


def convert_child_cluster(body: Body) -> observed.ChildCluster:
    """Convert a ChildCluster; raises BadInput naming the field."""
    parsed = parse_as(childcluster.ChildCluster, body)
    wanted, status = parsed.spec, freeze_status(body)
    network = wanted.network or childcluster.ChildNetwork()
    operation = parsed.status.operation
    return observed.ChildCluster(
        meta=convert_meta(parsed.metadata),
        id=wanted.id,
        set_name=wanted.set_name,
        member_name=wanted.member_name,
        provider=wanted.provider,
        version=values.Version.parse(wanted.version),
        revision=wanted.revision,
        pod_cidr=network.pod_cidr,
        service_cidr=network.service_cidr,
        cloud=values.NO_LABELS if wanted.cloud is None else freeze_model(wanted.cloud),
        cluster_uid=wanted.cluster_uid,
        hosts=wanted.hosts,
        rollout=parsed.metadata.annotations.get(ROLLOUT_ANNOTATION, ""),
        deletion_policy=spec.DeletionPolicy(wanted.deletion_policy),
        operation=None if operation is None else _convert_operation(operation),
        done_revision=parsed.status.revision,
        history=status.get("history", ()),
        body=values.freeze(body),
        status=status,
    )


def convert_environment(body: Body) -> spec.Environment:
    """Convert an Environment; raises BadInput naming the field."""
    parsed = parse_as(environment.Environment, body, status=False)
    wanted = parsed.spec
    placement = wanted.placement
    return spec.Environment(
        meta=convert_meta(parsed.metadata),
        topology=spec.Topology(wanted.topology),
        selector=convert_selector(placement.cluster_selector, "spec.placement.clusterSelector"),
        required_capabilities=placement.required_capabilities,
        spread=(
            spec.Spread(topology_key=placement.spread.topology_key, max_skew=placement.spread.max_skew)
            if placement.spread is not None
            else None
        ),
        headroom_percent=placement.headroom_percent,
        allowed_tenants=wanted.allowed_tenants,
        max_per_tenant=_convert_resources(wanted.max_per_tenant),
        max_unavailable_clusters=wanted.max_unavailable_clusters,
        regimes=wanted.regimes,
        isolation=spec.Isolation(wanted.isolation),
        labels=convert_labels(wanted.labels),
        freezes=tuple(
            spec.Freeze(start=freeze.from_, end=freeze.to, reason=freeze.reason) for freeze in wanted.freezes
        ),
        deletion_protection=wanted.deletion_protection,
        paused=convert_paused(wanted.paused),
        status=freeze_status(body),
    )


def convert_tenant(body: Body) -> spec.Tenant:
    """Convert a Tenant; raises BadInput naming the field."""
    parsed = parse_as(tenant.Tenant, body, status=False)
    wanted = parsed.spec
    return spec.Tenant(
        meta=convert_meta(parsed.metadata),
        members=tuple(
            spec.TenantMember(kind=member.kind, name=member.name, role=member.role) for member in wanted.members
        ),
        environments=tuple(_convert_tenant_environment(entry) for entry in wanted.environments),
        regimes=wanted.regimes,
        capabilities=wanted.capabilities,
        network=freeze_model(wanted.network),
        deletion_policy=spec.DeletionPolicy(wanted.deletion_policy),
        deletion_protection=wanted.deletion_protection,
        paused=convert_paused(wanted.paused),
        status=freeze_status(body),
    )


def convert_regime(body: Body) -> spec.Regime:
    """Convert a Regime; raises BadInput naming the field."""
    parsed = parse_as(regime.Regime, body, status=False)
    wanted = parsed.spec
    return spec.Regime(
        meta=convert_meta(parsed.metadata),
        title=wanted.title,
        countries=wanted.countries,
        exclusive=wanted.exclusive,
        incompatible_with=wanted.incompatible_with,
        isolation=spec.Isolation(wanted.isolation),
        pod_security=wanted.pod_security or "",
        max_minors_behind=None if wanted.versions is None else wanted.versions.max_minors_behind,
        upgrade=convert_regime_upgrade(wanted.upgrade),
        labels=convert_labels(wanted.labels),
        status=freeze_status(body),
    )


def _choose_provider(wanted: clusterset.ClusterSetSpec) -> str:
    """Return the kind of the one provider block; refuse none, several, and members with another one."""
    there = [kind for kind in PROVIDERS if getattr(wanted.provider, kind) is not None]
    if len(there) != 1:
        found = f"{' and '.join(there)}. Keep one." if there else f"none. Add one of {', '.join(PROVIDERS)}."
        raise BadInput(f"spec.provider must have exactly one block; it has {found}", field="spec.provider")
    for member in wanted.clusters:
        foreign = [kind for kind in PROVIDERS if kind != there[0] and getattr(member, kind) is not None]
        if foreign:
            raise BadInput(
                f"spec.clusters[{member.name}] has a block {foreign[0]}, and the set's provider is {there[0]}. "
                f"Remove {foreign[0]} from the member.",
                field=f"spec.clusters[{member.name}].{foreign[0]}",
            )
    return there[0]


def _convert_settings(blocks: ProviderBlocks, kind: str, *, own: bool) -> Mapping[str, Any]:
    """Return what a block says, by API names, without defaults; a member's `own` values stay where they equal one."""
    block: meta.Part | None = getattr(blocks, kind)
    if block is None:
        return values.NO_LABELS
    said = block.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    if own:
        full = block.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
        said = {name: said.get(name, value) for name, value in full.items()}
    frozen: Mapping[str, Any] = values.freeze(said)
    return frozen


def _convert_member(member: clusterset.Member, kind: str) -> spec.Member:
    return spec.Member(
        name=member.name,
        labels=convert_labels(member.labels),
        country=member.country or "",
        region=member.region or "",
        regimes=member.regimes,
        capabilities=member.capabilities,
        workload_classes=member.workload_classes,
        reserved_for=None if member.reserved_for is None else member.reserved_for.tenants,
        capacity=None if member.capacity is None else _convert_resources(member.capacity),
        settings=_convert_settings(member, kind, own=True),
    )


def _convert_tenant_environment(entry: tenant.TenantEnvironment) -> spec.TenantEnvironment:
    if (entry.resources is None) == (entry.namespaces is None):
        path = f"spec.environments[{entry.name}]"
        raise BadInput(f"{path} must have either resources or namespaces. Keep one of the two.", field=path)
    namespaces = tuple(
        spec.TenantNamespace(
            name=namespace.name,
            workload_class=namespace.workload_class or "",
            resources=_convert_resources(namespace.resources),
        )
        for namespace in entry.namespaces or ()
    )
    return spec.TenantEnvironment(
        name=entry.name,
        namespaces=namespaces or (spec.TenantNamespace(resources=_convert_resources(entry.resources)),),
        clusters=entry.clusters,
        isolation=spec.Isolation(entry.isolation or "Namespace"),
    )


def _convert_operation(operation: childcluster.OperationStatus) -> observed.OperationStatus:
    return observed.OperationStatus(
        id=operation.id,
        type=OperationType(operation.type),
        started_time=operation.started_time,
        from_version=operation.from_version,
        to_version=operation.to_version,
        step=operation.step,
        steps_done=operation.steps_done,
        steps_total=operation.steps_total,
        message=operation.message,
        failed=operation.state == "Failed",
        rollout=operation.rollout,
        expected_seconds=operation.expected_seconds,
        low_seconds=operation.low_seconds,
        high_seconds=operation.high_seconds,
    )


def _convert_resources(resources: meta.Resources | None) -> values.Resources:
    return values.Resources.parse({} if resources is None else resources.model_dump(by_alias=True, exclude_none=True))


CONVERTERS: Final[Mapping[str, Callable[[Body], Any]]] = MappingProxyType(
    {
        "ClusterSet": convert_cluster_set,
        "ChildCluster": convert_child_cluster,
        "Environment": convert_environment,
        "Tenant": convert_tenant,
        "Regime": convert_regime,
        "Rollout": convert_rollout,
        "Approval": convert_approval,
        "HostPool": convert_host_pool,
        "Host": convert_host,
    }
)
"""Every kind that a decision reads, and how its bodies become values."""
