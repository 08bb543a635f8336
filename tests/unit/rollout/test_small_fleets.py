"""Every state that a small fleet can be in, nearest first: a slice of what `python -m tests.faults.rollouts` visits."""

import pytest

from tests.faults.rollouts.explore import explore
from tests.faults.rollouts.scenes import SCENES

STATES = 2000
"""Of each scene; all of them together make ten thousand and more."""


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_no_state_of_a_small_fleet_leads_to_a_broken_promise(scene):
    found = explore(scene, STATES)
    assert not found.broken, "\n".join(found.broken)
    assert found.states == STATES
    assert found.endings > 0


def test_the_slice_is_no_smaller_than_it_is_said_to_be():
    assert STATES * len(SCENES) >= 10_000
