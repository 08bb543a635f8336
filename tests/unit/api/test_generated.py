"""What is generated is current, and what people wrote around it fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from atoll.api.crds import HEADER, build_crds
from atoll.api.generated import build_generated_files, find_stale, write_files
from atoll.cli.crds import crds

ROOT = Path(__file__).parents[3]
CHART = ROOT / "helm/atoll"


def test_all_generated_files_are_current() -> None:
    assert find_stale(ROOT, build_generated_files()) == ()


def test_generating_twice_gives_the_same_bytes() -> None:
    assert build_generated_files() == build_generated_files()


def test_the_chart_keeps_its_crds_when_it_goes() -> None:
    for file in (CHART / "files/crds").glob("*.yaml"):
        annotations = yaml.safe_load(file.read_text())["metadata"]["annotations"]
        assert annotations["helm.sh/resource-policy"] == "keep"


def test_a_schema_that_changes_changes_its_hash() -> None:
    hashes = [crd["metadata"]["annotations"]["atoll.dev/schema-hash"] for crd in build_crds()]
    assert len(set(hashes)) == len(hashes) == 9


def test_the_charts_values_fit_their_schema_and_each_is_described() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(values, schema)
    assert set(values) <= set(schema["properties"])
    assert [
        name for name, value in schema["properties"].items() if name != "nameOverride" and not value["description"]
    ] == []


@pytest.mark.parametrize(
    "wrong",
    [{"imag": {}}, {"image": {"repository": ""}}, {"policies": {"delegates": ["it's"]}}, {"fleets": ["A"]}],
    ids=str,
)
def test_wrong_values_of_the_chart_are_refused(wrong: dict[str, Any]) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


class TestFiles:
    WANTED: ClassVar = {"crds/a.yaml": f"{HEADER}a: 1\n", "crds/b.yaml": f"{HEADER}b: 1\n"}

    def test_missing_and_changed_and_left_over_files_are_stale(self, tmp_path: Path) -> None:
        write_files(tmp_path, {**self.WANTED, "crds/gone.yaml": f"{HEADER}c: 1\n"})
        (tmp_path / "crds/a.yaml").write_text("a: 2\n")
        (tmp_path / "crds/b.yaml").unlink()
        assert find_stale(tmp_path, self.WANTED) == ("crds/a.yaml", "crds/b.yaml", "crds/gone.yaml")

    def test_files_of_others_are_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "crds").mkdir()
        (tmp_path / "crds/mine.yaml").write_text("mine: 1\n")
        assert write_files(tmp_path, self.WANTED) == ("crds/a.yaml", "crds/b.yaml")
        assert write_files(tmp_path, self.WANTED) == ()
        assert (tmp_path / "crds/mine.yaml").read_text() == "mine: 1\n"


class TestCommand:
    def test_it_prints_all_kinds(self) -> None:
        result = CliRunner().invoke(crds, [], standalone_mode=False)
        kinds = [document["spec"]["names"]["kind"] for document in yaml.safe_load_all(result.output)]
        assert len(kinds) == 9
        assert "ClusterSet" in kinds

    def test_outside_of_a_checkout_it_writes_the_crds_alone(self, tmp_path: Path) -> None:
        written = CliRunner().invoke(crds, ["--write", str(tmp_path)], standalone_mode=False)
        checked = CliRunner().invoke(crds, ["--check", str(tmp_path)], standalone_mode=False)
        assert (written.return_value, checked.return_value) == (0, 0)
        assert len(list(tmp_path.rglob("*.yaml"))) == 9

    def test_two_things_at_once_are_refused(self) -> None:
        result = CliRunner().invoke(crds, ["--check", "--write"])
        assert result.exit_code == 2
        assert "Name one of them." in result.output

    def test_check_names_what_is_not_current_and_writes_nothing(self, tmp_path: Path) -> None:
        CliRunner().invoke(crds, ["--write", str(tmp_path)], standalone_mode=False)
        (tmp_path / "hosts.yaml").write_text(f"{HEADER}old: true\n")
        result = CliRunner().invoke(crds, ["--check", str(tmp_path)], standalone_mode=False)
        assert result.return_value == 1
        assert f"{tmp_path / 'hosts.yaml'} is not what the models say" in result.output
        assert f"Next: atoll crds --write {tmp_path}" in result.output
        assert "old: true" in (tmp_path / "hosts.yaml").read_text()
