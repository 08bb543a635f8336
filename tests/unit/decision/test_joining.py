"""Who joins while the others are still to change joins at what those serve, in version and in revision."""

from dataclasses import replace

from atoll.decision.decide import decide
from atoll.fleet.values import freeze
from atoll.kube.compare import covers
from atoll.rollout import member_revision
from tests.unit.rollout.builders import START, cluster_set, member, v
from tests.unit.rollout.simulator import settled_fleet


def test_a_late_joiner_has_the_revision_of_the_last_completed_version():
    before = cluster_set(status=freeze({"version": "v1.35.8"}))
    asked = replace(before, version=v("v1.36.4"), members=(*before.members, member("late")))
    fleet = replace(settled_fleet(before), cluster_sets=(asked,))

    (joiner,) = decide(fleet, START, covers=covers).membership.new

    completed = replace(asked, version=v("v1.35.8"))
    assert (joiner.version, joiner.revision) == (v("v1.35.8"), member_revision(completed, asked.members[-1], ()))
