"""The small fleets that are explored, each about another group of rules."""

from __future__ import annotations

from typing import Final

from atoll.fleet.spec import Environment, Gate, Regime, RegimeUpgrade, Tenant, Upgrade, Window
from atoll.fleet.values import Share, freeze
from tests.unit.rollout.builders import cluster_set, member, meta, wave

from .states import STEP, Scene

SOAK: Final = int(STEP.total_seconds())
SLO: Final = Gate(
    name="slo",
    kind="metric",
    settings=freeze({"url": "http://prometheus", "query": "errors", "max": "0.01", "intervalSeconds": 150}),
)
SIGN_OFF: Final = Gate(name="sign-off", kind="approval", settings=freeze({"count": 1}))
FOUR: Final = (member("dev", "dev", region="eu"), member("stage", "stage", region="eu"))
PRODS: Final = (member("prod-a", region="eu"), member("prod-b", region="us"))
WAVES: Final = (
    wave("dev", "dev", soak_seconds=SOAK),
    wave("stage", "stage"),
    wave("prod", "prod", max_concurrent=Share(2)),
)


def _place(*clusters: str) -> Tenant:
    placements = [{"environment": "live", "cluster": name, "state": "Placed"} for name in clusters]
    return Tenant(meta=meta("shop"), status=freeze({"placements": placements}))


SCENES: Final = (
    Scene(
        name="waves",
        sets=(
            cluster_set(
                members=(*FOUR, *PRODS),
                upgrade=Upgrade(waves=WAVES, max_concurrent=Share(2), max_concurrent_per_region=1),
            ),
        ),
        targets=("v1.37.1",),
        rollouts=1,
        happenings=frozenset({"fail", "unproven", "silent", "crash"}),
    ),
    Scene(
        name="turns",
        sets=(
            cluster_set(
                members=(member("dev", "dev"), member("prod-a"), member("prod-b")),
                upgrade=Upgrade(waves=(wave("dev", "dev"), wave("prod", "prod", max_concurrent=Share(2)))),
            ),
        ),
        targets=("v1.36.4", "v1.37.1", "v1.35.8"),
        rollouts=3,
        happenings=frozenset({"fail", "pause", "abort", "retry", "crash", "leave"}),
    ),
    Scene(
        name="reverts",
        sets=(
            cluster_set(
                members=(member("a", region="eu"), member("b", region="eu"), member("c", region="eu")),
                upgrade=Upgrade(
                    waves=(wave("all", "prod", max_concurrent=Share(2)),),
                    max_concurrent=Share(1),
                    failure_budget=Share(1),
                    on_failure="Revert",
                ),
            ),
        ),
        targets=("v1.36.4", "v1.37.1"),
        rollouts=2,
        happenings=frozenset({"fail", "unproven", "crash", "retry", "pause"}),
    ),
    Scene(
        name="gates",
        sets=(
            cluster_set(
                members=(member("dev", "dev", regimes=("pci",)), member("prod-a"), member("prod-b")),
                upgrade=Upgrade(
                    waves=(
                        wave("dev", "dev", soak_seconds=SOAK, gates=(SLO, SIGN_OFF)),
                        wave("prod", "prod", max_concurrent=Share(2)),
                    ),
                    max_concurrent=Share(2),
                ),
            ),
        ),
        regimes=(Regime(meta=meta("pci"), upgrade=RegimeUpgrade(approvals=1, min_soak_seconds=SOAK)),),
        targets=("v1.36.4",),
        rollouts=1,
        people=("anna", "bert"),
        happenings=frozenset({"measure", "crash", "silent", "block"}),
    ),
    Scene(
        name="windows",
        sets=(
            cluster_set(
                members=(member("dev", "dev"), member("prod-a"), member("prod-b")),
                upgrade=Upgrade(
                    waves=(wave("dev", "dev", soak_seconds=SOAK), wave("prod", "prod", max_concurrent=Share(2))),
                    max_concurrent=Share(2),
                    windows=(Window(cron="*/15 * * * *", duration_minutes=10),),
                ),
            ),
        ),
        targets=("v1.36.4", "v1.37.1"),
        rollouts=2,
        phases=3,
        happenings=frozenset({"fail", "block", "crash", "retry", "silent"}),
    ),
    Scene(
        name="two-sets",
        sets=(
            cluster_set(
                "s",
                members=(member("a"), member("b")),
                upgrade=Upgrade(waves=(wave("all", "prod"),), max_concurrent=Share(2)),
            ),
            cluster_set("t", members=(member("c"), member("d")), upgrade=Upgrade(max_concurrent=Share(2))),
        ),
        environments=(Environment(meta=meta("live"), max_unavailable_clusters=1),),
        tenants=(_place("s--a", "s--b", "t--c"),),
        targets=("v1.36.4", "v1.37.1"),
        rollouts=2,
        happenings=frozenset({"fail", "unproven", "crash", "retry"}),
    ),
)
