"""Every folder of examples can be planned offline, with nothing to correct in it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from atoll.cli.main import atoll

ROOT = Path(__file__).parents[3] / "examples"
# The folder `refused` shows what is corrected and how; its README says so.
FOLDERS = sorted({path.parent for path in ROOT.rglob("*.yaml")} - {ROOT / "refused", ROOT / "refused/invalid"})


def plan(*folders: Path) -> dict:
    arguments = ["plan", "-o", "json", *(part for folder in folders for part in ("-f", str(folder)))]
    result = CliRunner().invoke(atoll, arguments, standalone_mode=False)
    return json.loads(result.stdout)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_an_example_is_planned_offline_without_errors(folder):
    refused = folder.name == "refused"
    result = plan(folder.parent, folder) if refused else plan(folder)

    assert result["errors"] == []
    # Of kubeadm clusters nobody knows the capacity before their nodes are there.
    assert bool(result["refusals"]) == (refused or folder.name == "kubeadm")
    assert result["placements"] or folder.name == "kubeadm"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_topology_or_regime_example_tells_what_to_see(folder):
    if folder.name == "refused":
        folder = folder.parent
    text = (folder / "README.md").read_text()

    assert f"atoll plan -f examples/{folder.relative_to(ROOT)}" in text
