"""What an API server would refuse is found without one, with field and remedy."""

import pytest
import yaml

from atoll.cli.documents import parse_documents
from atoll.cli.lint import check_document

GOOD = {
    "apiVersion": "atoll.dev/v1alpha1",
    "kind": "ClusterSet",
    "metadata": {"name": "apps"},
    "spec": {"version": "v1.36.4", "provider": {"local": {}}, "clusters": [{"name": "a"}]},
}


def lint(body):
    (document,) = parse_documents([("f.yaml", yaml.safe_dump(body))], namespace="fleet").items
    return [(fault.object, fault.field, fault.message) for fault in check_document(document)]


def test_a_good_object_and_objects_of_others_pass():
    assert lint(GOOD) == []
    assert lint({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "bogus": 1}) == []


@pytest.mark.parametrize(
    ("spec", "field", "told"),
    [
        ({"versoin": "v1.36.4"}, "spec.versoin", "there is no such field"),
        ({"version": "1.36"}, "spec.version", "'1.36' is not written as it must be"),
        ({"version": 1.36}, "spec.version", "1.36 is no string"),
        ({"provider": {}}, "spec.provider", "must have exactly one of local"),
        ({"provider": {"local": {}, "existing": {}}}, "spec.provider", "It has local and existing."),
        ({"clusters": [{"name": "a"}, {"name": "a"}]}, "spec.clusters[1]", "a stands twice"),
        ({"regimes": ["pci", "pci"]}, "spec.regimes[1]", "pci stands twice"),
        ({"clusters": [{"name": "a", "labels": {"x": 1}}]}, "spec.clusters[0].labels.x", "1 is no string"),
        ({"deletionPolicy": "Keep"}, "spec.deletionPolicy", "'Keep' is not one of Orphan, Delete."),
        (
            {"upgrade": {"waves": [{"name": "w", "clusterSelector": {}}]}},
            "spec.upgrade.waves[0].clusterSelector",
            "an empty selector is refused",
        ),
    ],
)
def test_a_mistake_in_the_spec_is_told_with_its_field(spec, field, told):
    ((name, where, message),) = lint(GOOD | {"spec": GOOD["spec"] | spec})

    assert (name, where) == ("ClusterSet/apps", field)
    assert told in message


def test_a_missing_field_is_told():
    spec = {key: value for key, value in GOOD["spec"].items() if key != "version"}

    assert lint(GOOD | {"spec": spec}) == [("ClusterSet/apps", "spec", "spec: 'version' is missing. Add it.")]


@pytest.mark.parametrize("name", ["a--b", "x" * 25])
def test_a_name_that_could_collide_when_joined_is_refused(name):
    ((_, where, message),) = lint(GOOD | {"metadata": {"name": name}})

    assert where == "metadata.name"
    assert "at most 24 characters without `--`" in message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "ClusterSte"}, "ClusterSte is not known. Use atoll.dev/v1alpha1 with one of ClusterSet"),
        ({"apiVersion": "atoll.dev/v1"}, "atoll.dev/v1 is not known. Use atoll.dev/v1alpha1"),
        ({"kind": "ChildCluster"}, "ChildCluster objects are made by Atoll alone"),
    ],
)
def test_a_kind_that_people_may_not_write_is_refused(change, told):
    ((_, _, message),) = lint(GOOD | change)

    assert told in message
