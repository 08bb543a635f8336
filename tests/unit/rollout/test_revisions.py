"""Revisions change with what a cluster must be changed for, and with nothing else. The hashes here may never change."""

from dataclasses import replace

import pytest

from atoll.fleet.spec import Isolation, Paused, ProviderBlock, Regime, RegimeUpgrade, Upgrade
from atoll.fleet.values import Share, freeze
from atoll.rollout.revisions import (
    final_revision,
    hop_revision,
    is_return,
    member_revision,
    return_revision,
    set_revision,
    settled_revision,
)

from .builders import cluster_set, member, meta, v

PCI = Regime(
    meta=meta("pci"),
    title="PCI DSS 4.0",
    countries=("DE", "FR"),
    exclusive=True,
    isolation=Isolation.CLUSTER,
    pod_security="restricted",
    labels=freeze({"compliance": "pci"}),
)
GDPR = Regime(meta=meta("gdpr"))
PLAIN = cluster_set()
RICH = replace(
    PLAIN,
    capabilities=("mesh", "faas"),
    regimes=("pci", "gdpr"),
    provider=ProviderBlock(kind="local", settings=freeze({"verbosity": 2, "args": [{"name": "é", "value": True}]})),
)
OWN = member("prod-a", settings=freeze({"verbosity": 4}), capabilities=("gpu",), regimes=("pci",))


LOGIN = {"oidc": {"issuerURL": "https://id.example", "clientID": "atoll", "usernameClaim": "sub"}}


def test_golden_hashes_that_no_upgrade_of_atoll_may_change():
    assert set_revision(replace(PLAIN, authentication=freeze(LOGIN)), ()) == "8acd7840a6"
    assert set_revision(PLAIN, ()) == "a8c07b27d1"
    assert set_revision(RICH, (PCI, GDPR)) == "9ebb61f85d"
    assert member_revision(PLAIN, OWN, (PCI, GDPR)) == "969c076dfc"
    assert member_revision(RICH, OWN, (PCI, GDPR)) == "f2043dcbed"
    assert set_revision(RICH, (GDPR,)) == "41280c1b40"


def test_a_member_without_anything_of_its_own_has_its_sets_revision():
    assert member_revision(RICH, member("dev", "dev", region="eu"), (PCI, GDPR)) == set_revision(RICH, (PCI, GDPR))


@pytest.mark.parametrize(
    "changed",
    [
        replace(RICH, labels=freeze({"team": "a"})),
        replace(RICH, upgrade=Upgrade(max_concurrent=Share(7), retry=3)),
        replace(RICH, paused=Paused(reason="lunch")),
        replace(RICH, members=()),
        replace(RICH, capabilities=("faas", "mesh"), regimes=("gdpr", "pci")),
        replace(RICH, meta=meta("other")),
        replace(RICH, authentication=freeze({})),
    ],
)
def test_what_needs_no_change_of_a_cluster_changes_no_revision(changed):
    assert set_revision(changed, (GDPR, PCI)) == set_revision(RICH, (PCI, GDPR))


@pytest.mark.parametrize(
    "changed",
    [
        replace(RICH, version=v("v1.36.4")),
        replace(RICH, capabilities=("mesh",)),
        replace(RICH, authentication=freeze(LOGIN)),
        replace(RICH, regimes=("pci",)),
        replace(RICH, provider=ProviderBlock(kind="local", settings=freeze({"verbosity": 3}))),
    ],
)
def test_what_a_cluster_must_be_changed_for_changes_the_revision(changed):
    assert set_revision(changed, (PCI, GDPR)) != set_revision(RICH, (PCI, GDPR))


def test_a_regime_counts_by_what_it_demands_and_not_by_how_changes_are_made():
    same = replace(PCI, title="PCI", upgrade=RegimeUpgrade(min_soak_seconds=3600), max_minors_behind=2)
    stricter = replace(PCI, labels=freeze({"compliance": "pci-4"}))
    assert set_revision(RICH, (same, GDPR)) == set_revision(RICH, (PCI, GDPR))
    assert set_revision(RICH, (stricter, GDPR)) != set_revision(RICH, (PCI, GDPR))
    assert set_revision(PLAIN, (stricter,)) == set_revision(PLAIN, ())


def test_a_stop_on_the_way_is_told_apart_from_the_end():
    stop = hop_revision("abc", v("v1.36.4"))
    assert (stop, final_revision(stop), final_revision("abc")) == ("abc~v1.36.4", "abc", "abc")


def test_who_went_back_says_to_what_and_by_which_rollout():
    stop = hop_revision("abc", v("v1.36.4"))
    back = return_revision(stop, "s-1")
    assert (back, settled_revision(back), final_revision(back)) == ("abc~v1.36.4~~s-1", stop, "abc")
    assert return_revision(back, "s-2") == "abc~v1.36.4~~s-2", "a second way back replaces the first"
    assert (is_return(back, "s-1"), is_return(back, "s-2"), is_return(stop, "s-1")) == (True, False, False)
    assert settled_revision("abc") == "abc"
