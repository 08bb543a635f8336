"""What stands on a ChildCluster: the set's and the member's governance, and the regimes that they are attested for."""

from __future__ import annotations

from atoll.fleet.spec import ClusterSet, Member, Meta, ProviderBlock, Regime
from atoll.fleet.values import Version
from atoll.governance import compile_labels
from atoll.membership.build import build_labels

SET = ClusterSet(
    meta=Meta(name="eu", namespace="fleet"),
    version=Version.parse("v1.36.4"),
    provider=ProviderBlock(kind="local"),
    labels={"owner": "platform", "stage": "any"},
    regimes=("gdpr",),
)
MEMBER = Member(name="a", labels={"stage": "dev"}, country="DE", region="eu-central", regimes=("pci",))
REGIMES = {
    "gdpr": Regime(meta=Meta(name="gdpr", namespace="fleet"), labels={"privacy": "eu"}),
    "pci": Regime(meta=Meta(name="pci", namespace="fleet"), labels={"compliance": "pci"}),
}


def test_labels_of_set_and_member_and_marks_of_their_regimes_stand_on_the_child() -> None:
    governance, problems = compile_labels(SET, MEMBER, regimes=REGIMES)
    assert problems == ()
    assert build_labels(SET, MEMBER, "a", governance) == {
        "app.kubernetes.io/managed-by": "atoll",
        "atoll.dev/cluster-set": "eu",
        "atoll.dev/member": "a",
        "country": "DE",
        "region": "eu-central",
        "governance.atoll.dev/compliance": "pci",
        "governance.atoll.dev/privacy": "eu",
        "owner": "platform",
        "regime.atoll.dev/gdpr": "true",
        "regime.atoll.dev/pci": "true",
        "stage": "dev",
    }


def test_a_mark_that_was_forged_as_a_members_label_does_not_reach_the_child() -> None:
    forged = Member(name="a", labels={"regime.atoll.dev/pci": "true", "atoll.dev/member": "b", "mine": "1"})
    governance, problems = compile_labels(SET, forged, regimes=REGIMES)
    assert len(problems) == 2
    labels = build_labels(SET, forged, "a", governance)
    assert "regime.atoll.dev/pci" not in labels
    assert (labels["atoll.dev/member"], labels["mine"]) == ("a", "1")


def test_the_same_sources_give_the_same_labels() -> None:
    governance, _ = compile_labels(SET, MEMBER, regimes=REGIMES)
    again, _ = compile_labels(SET, MEMBER, regimes=dict(reversed(tuple(REGIMES.items()))))
    assert build_labels(SET, MEMBER, "a", governance) == build_labels(SET, MEMBER, "a", again)
