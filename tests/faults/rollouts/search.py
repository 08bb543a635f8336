"""What one process of the lane does: explore a scene, or try sequences."""

from __future__ import annotations

import time

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.unit.rollout.happenings import SCRIPTS, WORLDS, build_world, run_story

from .explore import Found, explore
from .ledger import Sequences
from .scenes import SCENES


def explore_scene(name: str, states: int) -> Found:
    """Explore one scene by its name."""
    return explore(next(scene for scene in SCENES if scene.name == name), states)


def try_sequences(number: int, count: int) -> Sequences:
    """Try `count` random sequences, shrinking what is found."""
    done = 0

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(world=WORLDS, script=SCRIPTS)
    def attempt(world, script):  # type: ignore[no-untyped-def]
        nonlocal done
        done += 1
        run_story(build_world(**world), script)

    started = time.process_time()
    broken: tuple[str, ...] = ()
    try:
        attempt()
    except AssertionError as error:
        broken = (str(error), *getattr(error, "__notes__", ()))
    return Sequences(asked=count, done=done, broken=broken, seconds=time.process_time() - started)
