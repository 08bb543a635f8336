"""Manifests: read as an API server would, in any order; what is wrong is named with its file."""

import random

import pytest

from atoll.cli.documents import Documents, Fault, parse_documents, read_documents
from atoll.errors import BadInput

SHOP = "apiVersion: atoll.dev/v1alpha1\nkind: Tenant\nmetadata: {name: shop}\nspec: {environments: [{name: dev}]}\n"
PAY = SHOP.replace("shop", "pay")


def keys(documents: Documents) -> list[tuple[str, str, str]]:
    return [item.key for item in documents.items]


def test_the_order_of_files_and_documents_changes_nothing():
    texts = [("b.yaml", f"{PAY}---\n"), ("a.yaml", SHOP), ("c.yaml", SHOP.replace("shop", "lab"))]
    wanted = parse_documents(texts, namespace="fleet")

    for seed in range(6):
        random.Random(seed).shuffle(texts)
        assert parse_documents(texts, namespace="fleet") == wanted
    assert keys(wanted) == [("fleet", "Tenant", "lab"), ("fleet", "Tenant", "pay"), ("fleet", "Tenant", "shop")]


def test_an_object_that_stands_twice_names_both_files():
    found = parse_documents([("a.yaml", SHOP), ("b.yaml", f"{PAY}---\n{SHOP}")], namespace="fleet")

    assert found.faults == (
        Fault(
            namespace="fleet",
            object="Tenant/shop",
            field="metadata.name",
            message="Tenant shop stands twice: in a.yaml and in b.yaml, document 2. Remove one.",
        ),
    )


def test_the_same_name_in_two_fleets_is_no_duplicate():
    other = SHOP.replace("{name: shop}", "{name: shop, namespace: other}")

    assert keys(parse_documents([("a", SHOP), ("b", other)], namespace="fleet")) == [
        ("fleet", "Tenant", "shop"),
        ("other", "Tenant", "shop"),
    ]


def test_a_list_is_taken_apart():
    text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: fleet}}\n"

    assert keys(parse_documents([("a", text)], namespace="other")) == [("", "Namespace", "fleet")]


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("kind: [\n", "line 2", "f.yaml: line 2: did not find expected node content. Correct the file."),
        ("a: 1\na: 2\n", "line 2", "f.yaml: line 2: the key `a` stands twice. Correct the file."),
        ("- 1\n", "", "f.yaml is not an object. Write apiVersion, kind and metadata."),
        ("kind: X\n", "apiVersion", "f.yaml: apiVersion must be a text."),
        (
            "apiVersion: v1\nkind: X\nmetadata: {name: 1}\n",
            "metadata.name",
            "f.yaml: metadata.name must be a text, it is 1: put it into quotes.",
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_file_and_place(text, field, message):
    found = parse_documents([("f.yaml", text), ("good.yaml", SHOP)], namespace="fleet")

    assert found.faults == (Fault(object="f.yaml", field=field, message=message),)
    assert keys(found) == [("fleet", "Tenant", "shop")], "a broken file must not hide the others"


def test_a_date_stays_the_text_that_was_written():
    text = SHOP.replace("{name: shop}", "{name: shop, annotations: {day: 2026-11-21}}")
    (item,) = parse_documents([("a", text)], namespace="fleet").items

    assert item.body["metadata"]["annotations"] == {"day": "2026-11-21"}


def test_a_folder_stands_for_the_manifests_directly_in_it(tmp_path):
    (tmp_path / "a.yaml").write_text(SHOP)
    (tmp_path / "b.yml").write_text(PAY)
    (tmp_path / "notes.txt").write_text("no manifest")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "c.yaml").write_text(SHOP)

    found = read_documents([str(tmp_path), str(tmp_path / "a.yaml")], namespace="fleet")

    assert (keys(found), found.faults) == ([("fleet", "Tenant", "pay"), ("fleet", "Tenant", "shop")], ())


def test_a_folder_without_manifests_and_a_binary_file_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")

    for name, told in (("empty", "holds no"), ("binary.yaml", "is not UTF-8 text"), ("none", "neither a file")):
        with pytest.raises(BadInput, match=told):
            read_documents([str(tmp_path / name)], namespace="fleet")
