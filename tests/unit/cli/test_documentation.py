"""The documentation says what the code does: its links lead somewhere, and its references are complete."""

import re
from pathlib import Path

import pytest

from atoll.api.crds import build_crd
from atoll.api.kinds import KINDS
from atoll.cli.main import VERBS
from atoll.fleet import reasons

ROOT = Path(__file__).parents[3]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]


def reference(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text()


def build_field_table(kind) -> str:
    """Build the table of a kind's spec fields, as docs/reference/api.md must have it."""
    schema = build_crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    required = set(schema.get("required", ()))
    rows = [
        f"| `{name}`{' (required)' if name in required else ''} | {field['description']} |"
        for name, field in schema["properties"].items()
    ]
    return "\n".join(["| Field of `spec` | Says |", "|---|---|", *rows])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_in_the_index():
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    linked = set(re.findall(r"\]\(([^)#\s]+\.md)", (ROOT / "docs" / "README.md").read_text()))

    assert pages - {"README.md"} == linked


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_reference_has_every_field_of_every_kind(kind):
    table = build_field_table(kind)

    assert table in reference("api.md"), f"docs/reference/api.md must have:\n{table}"


def test_the_reference_has_every_verb():
    assert [name for name in VERBS if f"`atoll {name}" not in reference("cli.md")] == []


def test_the_reference_has_every_reason_and_who_must_act():
    words = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    rows = dict(re.findall(r"^\| `(\w+)` \| (you|Atoll) \|", reference("reasons.md"), flags=re.MULTILINE))

    assert rows == {word: "you" if word in reasons.NEEDS_A_PERSON else "Atoll" for word in words}


def test_every_dependency_has_its_line():
    project = (ROOT / "pyproject.toml").read_text().split("dependencies = [")[1].split("]")[0]
    names = re.findall(r'"([a-z-]+)', project)
    page = (ROOT / "docs" / "dependencies.md").read_text()

    assert [name for name in names if f"| {name} |" not in page] == []


def test_the_promises_name_tests_that_are_there():
    page = (ROOT / "docs" / "promises.md").read_text()
    named = re.findall(r"`(tests/[\w/.-]+)`", page)

    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
