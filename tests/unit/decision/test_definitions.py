"""What goes with its definition was not named by anybody: clusters are orphaned, and a Regime in use is held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from atoll.decision.hub_steps import plan_finalizers
from atoll.decision.tenancy import Tenancy
from atoll.decision.works import is_orphaned
from atoll.fleet.names import FINALIZER
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import DeletionPolicy, Environment, Regime, Tenant
from tests.unit.rollout.builders import START, cluster_set, member, meta, settled_child

OWNER = cluster_set()
DOOMED = replace(settled_child(OWNER, "dev"), deletion_policy=DeletionPolicy.DELETE)
NOBODY = Tenancy(placements=(), interiors={})


@pytest.mark.parametrize(
    ("terminating", "orphaned"),
    [((), False), (("Tenant",), False), (("ChildCluster",), True), (("ClusterSet",), True)],
)
def test_a_cluster_is_orphaned_when_its_own_or_its_sets_definition_goes(terminating, orphaned):
    fleet = Fleet(name="fleet", cluster_sets=(OWNER,), children=(DOOMED,), terminating_kinds=terminating)

    assert is_orphaned(fleet, DOOMED) is orphaned


def regime_steps(*, held: bool = True, deleting: bool = False, **fleet):
    finalizers = (FINALIZER,) if held else ()
    regime = Regime(meta=meta("pci", finalizers=finalizers, deletion_time=START if deleting else None))
    steps = plan_finalizers(Fleet(name="fleet", regimes=(regime,), **fleet), NOBODY)
    return [(step.name, step.present) for step in steps if step.kind == "Regime"]


USERS = [
    pytest.param({"environments": (Environment(meta=meta("prod"), regimes=("pci",)),)}, id="environment"),
    pytest.param({"tenants": (Tenant(meta=meta("pay"), regimes=("pci",)),)}, id="tenant"),
    pytest.param({"cluster_sets": (cluster_set(regimes=("pci",)),)}, id="set"),
    pytest.param({"cluster_sets": (cluster_set(members=(member("dev", regimes=("pci",)),)),)}, id="member"),
]


@pytest.mark.parametrize("users", USERS)
def test_a_regime_that_is_deleted_before_its_use_was_counted_is_held(users):
    assert regime_steps(deleting=True, **users) == []


def test_a_regime_that_nobody_names_goes():
    assert regime_steps(deleting=True) == [("pci", False)]


def test_a_regime_is_held_from_the_first_visit_with_one_write():
    assert regime_steps(held=False) == [("pci", True)]
    assert regime_steps() == []
