"""A slice of the fault lane for hosts: what probes find; one cluster, cut while it is made, its operator killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.hosts.clusters import SLICE
from tests.faults.hosts.probes import PROBE_FAULTS
from tests.faults.hosts.scene import open_scene
from tests.faults.hosts.stories import run_probes, run_story
from tests.faults.hosts.telling import Telling

from .rig import Rig

pytestmark = pytest.mark.e2e


def test_what_is_wrong_with_machines_is_told_and_passes_when_they_are_mended(rig: Rig, tmp_path: Path) -> None:
    telling = Telling(print)
    with open_scene(rig, tmp_path / "home", print) as scene:
        run_probes(scene, PROBE_FAULTS, telling)
    assert telling.failed == ()
    assert len(telling.outcomes) == len(PROBE_FAULTS)


def test_a_cluster_comes_up_once_although_its_host_is_cut_off_and_the_operator_dies(rig: Rig, tmp_path: Path) -> None:
    telling = Telling(print)
    with open_scene(rig, tmp_path / "home", print) as scene:
        run_story(scene, SLICE, telling)
    assert telling.failed == ()
