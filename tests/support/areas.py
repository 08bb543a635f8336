"""How long each area of the project's tests took, beside what it may take: printed below every run that is long.

The areas and their minutes are the project's budget: all of `.ci/run` ends within 90 minutes on a fresh machine.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

BUDGETS = {"hosts": 20, "tenancy": 8, "rollouts": 10, "clouds": 8}
"""Area → minutes. All that is of no other area is of the main job."""
MAIN = "main job"
MAIN_MINUTES = 30
FOLDERS = {
    "tests/e2e/hosts": "hosts",
    "tests/e2e/ssh": "hosts",
    "tests/e2e/borders": "tenancy",
    "tests/e2e/examples": "tenancy",
    "tests/e2e/moves": "tenancy",
    "tests/e2e/report": "tenancy",
    "tests/e2e/segregation": "tenancy",
    "tests/e2e/tenancy": "tenancy",
    "tests/unit/placement": "tenancy",
    "tests/unit/segregation": "tenancy",
    "tests/e2e/rollouts": "rollouts",
    "tests/unit/rollout": "rollouts",
    "tests/unit/measure": "rollouts",
    "tests/cloudsim": "clouds",
    "tests/contract/test_cloud_faults.py": "clouds",
    "tests/e2e/clouds": "clouds",
}
WORTH_TELLING = 120.0
"""Seconds. A shorter run says nothing of areas."""


class Areas:
    """A pytest plugin that adds up what each area took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.folders: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of one test."""
        folder = "/".join(report.nodeid.split("::")[0].split("/")[:3])
        self.seconds[FOLDERS.get(folder, MAIN)] += report.duration
        self.folders[folder] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the areas, the longest first, and what they are made of."""
        if sum(self.seconds.values()) < WORTH_TELLING:
            return
        terminalreporter.section("minutes by area")
        for area, seconds in sorted(self.seconds.items(), key=lambda item: -item[1]):
            budget = BUDGETS.get(area, MAIN_MINUTES)
            parts = [
                f"{folder.removeprefix('tests/')} {spent / 60:.1f}"
                for folder, spent in sorted(self.folders.items(), key=lambda item: -item[1])
                if FOLDERS.get(folder, MAIN) == area and spent > 6
            ]
            terminalreporter.write_line(f"{seconds / 60:5.1f} of {budget:2} min  {area}: {', '.join(parts)}")
