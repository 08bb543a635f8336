"""Bugs to plant: one edit each, and the test that must turn red. A promise whose test stays green is not tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One planted bug."""

    promise: int
    about: str
    file: str
    """Below operator/atoll/."""
    old: str
    """Must stand in the file exactly once."""
    new: str
    tests: str
    """What pytest is asked to run."""


PLANTS: Final = (
    Plant(
        promise=1,
        about="an interrupted operation is not resumed",
        file="membership/operations.py",
        old="    if progress.state is OperationState.INTERRUPTED:\n        return Work(operation=told, start=True,",
        new="    if progress.state is OperationState.INTERRUPTED:\n        return Work(operation=told, start=False,",
        tests="tests/unit/membership",
    ),
    Plant(
        promise=2,
        about="the echo of our own write wakes the fleet",
        file="shell/cache.py",
        old="return int(new) <= int(known)",
        new="return int(new) < int(known) - 1",
        tests="tests/unit/shell/test_cache.py",
    ),
    Plant(
        promise=2,
        about="amounts are compared as text, so `1000m` differs from `1` for ever",
        file="kube/compare.py",
        old='        ("ResourceQuota", "hard"),\n',
        new="",
        tests="tests/unit/kube/test_kube_compare.py",
    ),
    Plant(
        promise=5,
        about="an empty selector matches everything",
        file="fleet/values.py",
        old="        if self.is_empty():\n            return False\n",
        new="",
        tests="tests/unit/fleet/test_values.py",
    ),
    Plant(
        promise=5,
        about="a delete goes without the UID of what was seen",
        file="kube/store.py",
        old='        preconditions = {"uid": uid} | (',
        new="        preconditions = {} | (",
        tests="tests/unit/kube/test_kube_store.py",
    ),
    Plant(
        promise=6,
        about="a child's kubeconfig may run a program in the operator",
        file="kube/connect.py",
        old='_USER_FIELDS: Final = frozenset({"client-certificate-data",',
        new='_USER_FIELDS: Final = frozenset({"exec", "client-certificate-data",',
        tests="tests/unit/kube/test_kube_connect.py",
    ),
    Plant(
        promise=7,
        about="a wave changes more members at a time than it may",
        file="rollout/limits.py",
        old="    if len(in_wave - {child}) >= wave_limit:",
        new="    if len(in_wave - {child}) > wave_limit:",
        tests="tests/unit/rollout",
    ),
    Plant(
        promise=7,
        about="a minor is skipped",
        file="rollout/hops.py",
        old="for minor in range(served.minor + 1, target.minor):",
        new="for minor in range(served.minor + 2, target.minor):",
        tests="tests/unit/rollout/test_hops.py",
    ),
    Plant(
        promise=8,
        about="a namespace of somebody else is adopted",
        file="segregation/taken.py",
        old="            continue\n        taken.add(placement.namespace)\n",
        new="            continue\n",
        tests="tests/unit/segregation",
    ),
    Plant(
        promise=8,
        about="what an earlier tenant of the same name left is handed to the next",
        file="segregation/taken.py",
        old='    if annotations.get(TENANT_UID, "") == tenant.meta.uid:\n',
        new="    if True:\n",
        tests="tests/unit/segregation",
    ),
    Plant(
        promise=8,
        about="a dead token makes every border green",
        file="kube/border_tries.py",
        old="    if status == 403 or (",
        new="    if status in {401, 403} or (",
        tests="tests/unit/kube/test_kube_borders.py",
    ),
    Plant(
        promise=8,
        about="a tenant that needs a cluster to itself gets a neighbour",
        file="placement/sharing.py",
        old="    alone = sorted({item.tenant for item in find_recluses(case)})\n",
        new="    alone: list[str] = []\n",
        tests="tests/unit/placement/test_sharing.py",
    ),
    Plant(
        promise=5,
        about="a tenant that moves loses its old place before the new one stands",
        file="placement/demand.py",
        old="len(ready) >= asked.clusters)",
        new="True)",
        tests="tests/unit/placement/test_moves.py",
    ),
    Plant(
        promise=5,
        about="a namespace that is left goes with what still stands in it",
        file="decision/leaving.py",
        old='    return member.occupancy.get(placement.namespace) == ""\n',
        new="    return True\n",
        tests="tests/unit/decision/test_leaving.py",
    ),
    Plant(
        promise=8,
        about="a cluster takes more than it holds",
        file="placement/rules.py",
        old="        if free < need:",
        new="        if free < 0:",
        tests="tests/unit/placement",
    ),
    Plant(
        promise=5,
        about="a host goes back to the pool before it is proven clean",
        file="machines/life.py",
        old="    proven = host.state is HostState.CLEANING and (written is None or view.time > written)",
        new="    proven = True",
        tests="tests/unit/machines/test_host_life.py",
    ),
    Plant(
        promise=1,
        about="a claim is written over whatever stands there",
        file="decision/hosts.py",
        old='{"uid": host.meta.uid, "resourceVersion": host.meta.resource_version}',
        new='{"uid": host.meta.uid}',
        tests="tests/unit/decision/test_host_steps.py",
    ),
    Plant(
        promise=1,
        about="two clusters are given one host in one decision",
        file="machines/claims.py",
        old="            given.add(host.name)\n",
        new="",
        tests="tests/unit/machines/test_claims.py",
    ),
    Plant(
        promise=1,
        about="a call that a cloud does not show yet is made again",
        file="providers/managed/provider.py",
        old="if isinstance(move, Call) and not (move == told and time.monotonic() - told_at < pace.settle):",
        new="if isinstance(move, Call):",
        tests="tests/unit/managed/test_loop.py",
    ),
    Plant(
        promise=5,
        about="a delete believes the first answer that nothing is there",
        file="providers/managed/provider.py",
        old="if seen is not None or run.found or time.monotonic() - told_at > pace.settle:",
        new="if True:",
        tests="tests/unit/managed/test_loop.py",
    ),
    Plant(
        promise=1,
        about="a change whose answer was lost is made again without a look",
        file="providers/managed/calling.py",
        old="lambda error: isinstance(error, Throttled), THROTTLED_ATTEMPTS",
        new="lambda error: isinstance(error, Retryable), THROTTLED_ATTEMPTS",
        tests="tests/unit/managed/test_budget.py",
    ),
    Plant(
        promise=6,
        about="a cluster of the right name is taken for ours without its mark",
        file="providers/managed/provider.py",
        old="if seen is not None and seen.tags.get(ID) != ref.id:",
        new="if False and seen is not None:",
        tests="tests/unit/managed/test_loop.py",
    ),
    Plant(
        promise=10,
        about="a token for minutes is published",
        file="kube/kubeconfigs.py",
        old='        entry["user"] = {"exec": command} if command is not None else {}\n',
        new='        entry["user"]["exec"] = command\n',
        tests="tests/unit/managed/test_loop.py",
    ),
    Plant(
        promise=7,
        about="changed settings of managed clusters pass by the waves",
        file="membership/operations.py",
        old="    if cluster.drift and (told or not info.compares_settings):\n",
        new="    if cluster.drift:\n",
        tests="tests/unit/membership/test_operations.py",
    ),
    Plant(
        promise=10,
        about="whatever program a Secret names logs people in",
        file="kube/login_programs.py",
        old='or not known.fullmatch(" ".join(arguments)):',
        new=":",
        tests="tests/unit/kube/test_login_programs.py",
    ),
    Plant(
        promise=7,
        about="a rollout's record is written beside what it records",
        file="shell/hub_act.py",
        old="groupby(steps, lambda step: (type(step), step.kind))",
        new="groupby(steps, lambda step: True)",
        tests="tests/unit/shell/test_hub_act.py",
    ),
)
