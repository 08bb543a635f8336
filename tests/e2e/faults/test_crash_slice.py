"""A slice of the crash lane: as many kills as fit into five minutes, others in each build of the CI."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.faults.lane import Lane
from tests.faults.ledger import build_summary, build_table
from tests.faults.sites import list_plans

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SECONDS = 290.0
SEED = 20261121
KILLS_PER_RUN = 10
FLEETS = 2


def choose_seed() -> int:
    """Return the seed: builds are numbered, and each looks elsewhere; without a number it is always the same."""
    return SEED + int(os.environ.get("ATOLL_FAULTS_SEED") or os.environ.get("GITHUB_RUN_NUMBER") or 0)


async def test_wherever_the_operator_is_killed_the_fleet_ends_the_same(tmp_path: Path) -> None:
    until = time.monotonic() + SECONDS
    seed = choose_seed()
    async with Lane(tmp_path / "lane", print) as lane:
        sites = await lane.learn(1)
        await lane.kill_everywhere(
            list_plans(sites), seed=seed, kills_per_run=KILLS_PER_RUN, fleets=FLEETS, until=until
        )
    tally = lane.tally
    print("\n".join([f"\nseed {seed}", *build_table(tally), build_summary(tally)]))
    assert tally.failed_runs == 0, (
        f"replay with: python -m tests.faults --replay {' --replay '.join(map(str, tally.found))}"
    )
    assert len(tally.fired) >= KILLS_PER_RUN, "too slow to have shown anything"
    assert tally.audited - tally.unanswered <= tally.write_sites
