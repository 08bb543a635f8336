from __future__ import annotations

import copy
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.kube.compare import covers, differences

QUOTA = {"apiVersion": "v1", "kind": "ResourceQuota"}
POLICY = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
TENANT = {"apiVersion": "atoll.dev/v1alpha1", "kind": "Tenant"}
DEFINITION = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
BINDING = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}
ROLE = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}


@pytest.mark.parametrize(
    ("wanted", "observed"),
    [
        ({"metadata": {"labels": {"a": "1"}}}, {"metadata": {"labels": {"a": "1", "b": "2"}, "uid": "u"}}),
        ({"metadata": {"finalizers": ["b"]}}, {"metadata": {"finalizers": ["a", "b"]}}),
        ({"metadata": {"labels": {}, "annotations": {}, "finalizers": []}}, {"metadata": {}}),
        ({"metadata": {"resourceVersion": "1"}}, {"metadata": {"resourceVersion": "2"}}),
        (
            {"metadata": {"ownerReferences": [{"uid": "2", "name": "b"}]}},
            {"metadata": {"ownerReferences": [{"uid": "1"}, {"uid": "2", "name": "b", "kind": "X"}]}},
        ),
        ({**QUOTA, "spec": {"hard": {"cpu": "1000m"}}}, {**QUOTA, "spec": {"hard": {"cpu": "1"}}}),
        ({**QUOTA, "spec": {"hard": {"memory": "2048Mi"}}}, {**QUOTA, "spec": {"hard": {"memory": "2Gi"}}}),
        ({**QUOTA, "spec": {"hard": {"pods": 40}}}, {**QUOTA, "spec": {"hard": {"pods": "40"}}}),
        ({**QUOTA, "spec": {"hard": {}}}, {**QUOTA, "spec": {}}),
        ({**POLICY, "spec": {"podSelector": {}, "ingress": []}}, {**POLICY, "spec": {"podSelector": {}}}),
        ({**BINDING, "subjects": [{"name": "a", "apiGroup": ""}]}, {**BINDING, "subjects": [{"name": "a"}]}),
        ({**ROLE, "rules": []}, {**ROLE, "rules": None}),
        ({**DEFINITION, "spec": {"priority": 0, "nullable": False}}, {**DEFINITION, "spec": {}}),
        (
            {**TENANT, "status": {"conditions": [{"type": "B", "status": "True"}]}},
            {**TENANT, "status": {"conditions": [{"type": "A"}, {"type": "B", "status": "True"}]}},
        ),
        ({**TENANT, "spec": {"a": None}}, {**TENANT, "spec": {}}),
        ({**TENANT, "spec": MappingProxyType({"a": (1, 2)})}, {**TENANT, "spec": {"a": [1, 2]}}),
        (
            {"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "x"}},
            {"apiVersion": "v1", "kind": "Secret", "data": {"a": "eA=="}},
        ),
    ],
)
def test_an_object_that_holds_what_we_want_is_left_alone(wanted, observed):
    assert differences(wanted, observed) == ()


@pytest.mark.parametrize(
    ("wanted", "observed", "paths"),
    [
        ({"metadata": {"labels": {"a": "1"}}}, {"metadata": {"labels": {"a": "2"}}}, ("metadata.labels.a",)),
        ({"metadata": {"labels": {"a": "1"}}}, {"metadata": {}}, ("metadata.labels",)),
        ({"metadata": {"finalizers": ["b"]}}, {"metadata": {"finalizers": ["a"]}}, ("metadata.finalizers",)),
        ({"metadata": {"uid": "1"}}, {"metadata": {"uid": "2"}}, ("metadata.uid",)),
        ({**QUOTA, "spec": {"hard": {"cpu": "1"}}}, {**QUOTA, "spec": {"hard": {"cpu": "2"}}}, ("spec.hard.cpu",)),
        ({**QUOTA, "spec": {"hard": {"cpu": "1x"}}}, {**QUOTA, "spec": {"hard": {"cpu": "1"}}}, ("spec.hard.cpu",)),
        ({**TENANT, "spec": {"cpu": "1000m"}}, {**TENANT, "spec": {"cpu": "1"}}, ("spec.cpu",)),
        # Other pods than "all pods": an empty selector that is missing is a difference.
        (
            {**POLICY, "spec": {"ingress": [{"from": [{"namespaceSelector": {}}]}]}},
            {**POLICY, "spec": {"ingress": [{"from": [{}]}]}},
            ("spec.ingress[0].from[0].namespaceSelector",),
        ),
        ({**POLICY, "spec": {"ingress": [{}]}}, {**POLICY, "spec": {"ingress": [{}, {}]}}, ("spec.ingress",)),
        ({**POLICY, "spec": {"ingress": []}}, {**POLICY, "spec": {"ingress": [{}]}}, ("spec.ingress",)),
        # Custom resources keep what built-in kinds drop.
        ({**TENANT, "spec": {"allowed": []}}, {**TENANT, "spec": {}}, ("spec.allowed",)),
        ({**TENANT, "spec": {"a": ""}}, {**TENANT, "spec": {}}, ("spec.a",)),
        ({**TENANT, "spec": {"a": True}}, {**TENANT, "spec": {"a": 1}}, ("spec.a",)),
        ({**TENANT, "spec": {"a": "1"}}, {**TENANT, "spec": {"a": 1}}, ("spec.a",)),
        ({**TENANT, "spec": {"a": {"b": 1}}}, {**TENANT, "spec": {"a": [1]}}, ("spec.a",)),
        (
            {**DEFINITION, "spec": {"default": {"a": False}}},
            {**DEFINITION, "spec": {"default": {}}},
            ("spec.default.a",),
        ),
        (
            {**TENANT, "status": {"conditions": [{"type": "A", "status": "True"}]}},
            {**TENANT, "status": {"conditions": [{"type": "A", "status": "False"}]}},
            ("status.conditions[A].status",),
        ),
        (
            {**TENANT, "status": {"conditions": [{"type": "A", "status": "True"}]}},
            {**TENANT, "status": {"conditions": []}},
            ("status.conditions[A]",),
        ),
    ],
)
def test_a_difference_is_named_by_its_path(wanted, observed, paths):
    assert differences(wanted, observed) == paths


def owned(fields: dict[str, Any], *, manager: str = "atoll", operation: str = "Apply", subresource: str = "") -> Any:
    entry = {"manager": manager, "operation": operation, "fieldsV1": fields}
    return {**entry, "subresource": subresource} if subresource else entry


def with_managed(body: dict[str, Any], *entries: Any) -> dict[str, Any]:
    return {**body, "metadata": {**body.get("metadata", {}), "managedFields": list(entries)}}


@pytest.mark.parametrize("field", ["podSelector", "namespaceSelector", "objectSelector"])
def test_a_selector_that_somebody_narrowed_is_another_one(field):
    """It is one value to the server, so an apply takes the addition away; left alone, the policy would look away."""
    wanted = {**POLICY, "spec": {field: {}}}
    narrowed = {**POLICY, "spec": {field: {"matchLabels": {"never": "true"}}}}
    assert differences(wanted, narrowed) == (f"spec.{field}",)
    assert differences(narrowed, narrowed) == ()
    assert differences({**TENANT, "spec": {field: {}}}, {**TENANT, "spec": {field: {"a": "b"}}}) == ()


def test_a_label_that_we_set_and_no_longer_want_has_to_go():
    fields = owned({"f:metadata": {"f:labels": {"f:a": {}, "f:b": {}}}})
    observed = with_managed({"metadata": {"labels": {"a": "1", "b": "2"}}}, fields)
    wanted = {"metadata": {"labels": {"a": "1"}}}
    assert covers(wanted, observed)
    assert differences(wanted, observed, manager="atoll") == ("metadata.labels.b",)


def test_what_others_own_is_no_business_of_ours():
    theirs = owned({"f:metadata": {"f:labels": {"f:b": {}}}}, manager="kubectl")
    status = owned({"f:status": {"f:x": {}}}, subresource="status")
    ours = owned({"f:metadata": {"f:labels": {"f:a": {}}}})
    observed = with_managed({"metadata": {"labels": {"a": "1", "b": "2"}}}, theirs, ours, status)
    wanted = {"metadata": {"labels": {"a": "1"}}}
    assert differences(wanted, observed, manager="atoll") == ()
    assert (
        differences({"status": {"x": 1}}, {**observed, "status": {"x": 1}}, manager="atoll", subresource="status") == ()
    )


def test_an_object_that_we_never_applied_is_applied_once_to_own_it():
    observed = with_managed({"metadata": {"labels": {"a": "1"}}}, owned({}, operation="Update"))
    assert differences({"metadata": {"labels": {"a": "1"}}}, observed, manager="atoll") == ("metadata.managedFields",)
    assert differences({"metadata": {"name": "x"}}, {"metadata": {"name": "x"}}, manager="atoll") == ()


def test_owned_list_elements_are_found_by_key_by_value_and_by_place():
    fields = owned(
        {
            "f:metadata": {"f:finalizers": {".": {}, 'v:"keep"': {}, 'v:"drop"': {}}},
            "f:spec": {
                "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}, 'k:{"port":81}': {}},
                "f:steps": {"i:0": {}, "i:1": {}},
            },
        }
    )
    body = {
        "metadata": {"finalizers": ["keep", "drop"]},
        "spec": {"ports": [{"port": 80, "protocol": "TCP"}, {"port": 81}], "steps": [1, 2]},
    }
    observed = with_managed(body, fields)
    wanted = {"metadata": {"finalizers": ["keep"]}, "spec": {"ports": [{"port": 80}, {"port": 82}], "steps": [1, 2]}}
    assert differences(wanted, observed, manager="atoll") == (
        "spec.ports[1].port",
        'metadata.finalizers."drop"',
        'spec.ports.{"port":81}',
    )


def test_a_cache_that_drops_managed_fields_is_compared_by_value():
    observed = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    assert differences({"metadata": {"labels": {"a": "1"}}}, observed, manager="atoll") == ()


@pytest.mark.parametrize(
    "fields", ["x", {"f:spec": "x"}, {"k:{": {}}, {"f:metadata": {"i:x": {}}}, {"k:[1]": {}}, None]
)
@pytest.mark.parametrize("entry", ["whole", "fields"])
def test_odd_managed_fields_are_differences_and_no_accident(fields, entry):
    observed = {"metadata": {"labels": {"a": "1"}, "managedFields": [fields if entry == "whole" else owned(fields)]}}
    found = differences({"metadata": {"labels": {"a": "1"}}}, observed, manager="atoll")
    assert isinstance(found, tuple)


names = st.text("abcdef", min_size=1, max_size=4)
leaves = st.one_of(st.integers(), st.booleans(), st.text(max_size=5), st.just("1Gi"))
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3), st.dictionaries(names, inner, min_size=1, max_size=3)
    ),
    max_leaves=12,
)
bodies = st.dictionaries(names, values, min_size=1, max_size=3).map(lambda spec: {**TENANT, "spec": spec})


@given(bodies)
def test_law_every_object_covers_itself(body):
    assert differences(body, copy.deepcopy(body)) == ()


@given(bodies, st.data())
def test_law_extra_keys_in_the_observed_object_change_nothing(body, data):
    observed = copy.deepcopy(body)
    for mapping in _mappings(observed["spec"]):
        mapping[data.draw(names) + "-extra"] = data.draw(leaves)
    assert covers(body, observed)


@given(bodies, st.data())
def test_law_a_wanted_leaf_that_is_missing_or_other_is_seen(body, data):
    observed = copy.deepcopy(body)
    places = list(_places(observed["spec"]))
    holder, key = data.draw(st.sampled_from(places))
    if isinstance(holder, dict) and data.draw(st.booleans()):
        del holder[key]
    else:
        holder[key] = "certainly another value"
    assert not covers(body, observed)


def _mappings(value: Any):
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _mappings(inner)


def _places(value: Any):
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, (dict, list)):
            yield from _places(inner)
        else:
            yield value, key
