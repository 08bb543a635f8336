"""A fleet in memory that does at once whatever a decision says, until there is nothing left to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from atoll.api import convert
from atoll.decision import Decision, decide
from atoll.decision.borders import count_cells
from atoll.fleet.borders import sum_up
from atoll.fleet.cluster import ObservedCluster, OperationProgress, OperationState, Presence, ProviderInfo
from atoll.fleet.observed import CheckResult, ChildView, MemberView, Verification
from atoll.fleet.plan import (
    ApplyMemberObject,
    PublishKubeconfig,
    SetFinalizer,
    StartOperation,
    TryBorders,
    VerifyMember,
    WriteStatus,
)
from atoll.fleet.snapshot import Fleet
from atoll.fleet.values import Version, thaw
from atoll.kube.compare import covers
from atoll.kube.member import key_of

CONVERTERS: Final = {
    "ClusterSet": convert.convert_cluster_set,
    "ChildCluster": convert.convert_child_cluster,
    "Environment": convert.convert_environment,
    "Tenant": convert.convert_tenant,
    "Rollout": convert.convert_rollout,
}
ROUNDS: Final = 20
Key = tuple[str, str]


class World:
    """Objects, and what their clusters look like."""

    def __init__(self, bodies: Iterable[Mapping[str, Any]], now: datetime) -> None:
        self.now = now
        self._bodies: dict[Key, dict[str, Any]] = {}
        self._converted: dict[Key, Any] = {}
        self._views: dict[str, ChildView] = {}
        for body in bodies:
            self._put({**body})

    def fleet(self) -> Fleet:
        """Return what a decision would read now."""
        found: dict[str, list[Any]] = {kind: [] for kind in CONVERTERS}
        for key in sorted(self._bodies):
            if key not in self._converted:
                self._converted[key] = CONVERTERS[key[0]](self._bodies[key])
            found[key[0]].append(self._converted[key])
        return Fleet(
            name="fleet",
            hub_uid="hub",
            cluster_sets=tuple(found["ClusterSet"]),
            children=tuple(found["ChildCluster"]),
            environments=tuple(found["Environment"]),
            tenants=tuple(found["Tenant"]),
            rollouts=tuple(found["Rollout"]),
            views=dict(self._views),
            providers={"local": ProviderInfo(name="local", has_nodes=False, can_revert=True, can_drill=True)},
        )

    def settle(self) -> Fleet:
        """Decide and do until nothing is left; raises RuntimeError when that does not come to an end."""
        left: object = None
        for _ in range(ROUNDS):
            decision = decide(self.fleet(), self.now, covers=covers)
            wake = decision.plan.wake
            # Borders between tenants are tried every hour, for ever.
            if decision.plan.is_empty() and (wake is None or wake - self.now > timedelta(seconds=30)):
                return self.fleet()
            self._do(decision)
            left = decision.plan.hub[:2]
            self.now += timedelta(seconds=5)
        raise RuntimeError(f"the fleet is not settled after {ROUNDS} rounds: {left}")

    def _do(self, decision: Decision) -> None:
        for step in decision.plan.hub:
            key = (step.kind, step.name)
            if isinstance(step, SetFinalizer):
                metadata = {**self._bodies[key]["metadata"], "finalizers": [step.finalizer] if step.present else []}
                self._put({**self._bodies[key], "metadata": metadata})
            elif isinstance(step, WriteStatus):
                self._put({**self._bodies[key], "status": thaw(step.status)})
            elif hasattr(step, "body"):
                self._apply(thaw(step.body))
        for name, steps in decision.plan.children.items():
            for inner in steps:
                self._views[name] = self._after(self._views[name], inner)
        for kind, name in self._bodies:
            if kind == "ChildCluster" and name not in self._views:
                self._views[name] = ChildView(time=self.now, cluster=ObservedCluster(presence=Presence.ABSENT))

    def _apply(self, body: dict[str, Any]) -> None:
        there = self._bodies.get((body["kind"], body["metadata"]["name"]), {})
        if body["kind"] == "ChildCluster":
            body["spec"].setdefault("id", f"{len(self._bodies):016x}")
        metadata = {**there.get("metadata", {}), **body["metadata"]}
        self._put({**there, **body, "metadata": metadata, "spec": {**there.get("spec", {}), **body["spec"]}})

    def _put(self, body: dict[str, Any]) -> None:
        key = (body["kind"], body["metadata"]["name"])
        stamp = {"uid": "-".join(key).lower(), "generation": 1, "resourceVersion": "1"}
        self._bodies[key] = {**body, "metadata": {**stamp, **body["metadata"]}}
        self._converted.pop(key, None)

    def _after(self, view: ChildView, step: object) -> ChildView:
        """Return what would be seen after a step on a child."""
        if isinstance(step, StartOperation):
            version = Version.parse(step.operation.to_version)
            done = OperationProgress(
                id=step.operation.id,
                type=step.operation.type,
                state=OperationState.SUCCEEDED,
                steps_done=8,
                steps_total=8,
            )
            cluster = ObservedCluster(
                presence=Presence.PRESENT, version=str(version), endpoint="https://127.0.0.1:1", operation=done
            )
            member = MemberView(version=version, cluster_uid=f"uid-{step.child}", ready=True)
            return replace(view, time=self.now, cluster=cluster, member=member, kubeconfig_digest="1")
        if isinstance(step, PublishKubeconfig):
            return replace(view, published_digest=view.kubeconfig_digest)
        if isinstance(step, VerifyMember):
            check = CheckResult(check="all", result="Passed", message="", time=self.now)
            run = Verification(
                revision=step.revision, version=step.version, attempt=step.attempt, checks=(check,), time=self.now
            )
            return replace(view, verification=run)
        if isinstance(step, TryBorders):
            before = replace(sum_up(step.borders, (), self.now, before=None), tried=count_cells(step.borders))
            return replace(view, time=self.now, borders=replace(before, confirmed=True))
        if isinstance(step, ApplyMemberObject) and view.member is not None:
            body = thaw(step.body)
            objects = {**view.member.objects, key_of(body): body}
            return replace(view, member=replace(view.member, objects=objects))
        raise TypeError(f"a settling fleet has no use for {step}")
