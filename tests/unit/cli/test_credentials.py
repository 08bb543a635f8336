"""Kubeconfigs for tenants: a token, a namespace, and nothing of our own login."""

import pytest
import yaml

from atoll.cli.credentials import build_tenant_kubeconfig, list_namespaces, parse_lifetime
from atoll.errors import BadInput
from atoll.segregation import account_name

OURS = yaml.safe_dump(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "admin@here",
        "clusters": [
            {"name": "other", "cluster": {"server": "https://127.0.0.1:1"}},
            {"name": "here", "cluster": {"server": "https://127.0.0.1:2", "certificate-authority-data": "Q0E="}},
        ],
        "users": [{"name": "admin", "user": {"client-key-data": "S0VZ", "client-certificate-data": "Q1JU"}}],
        "contexts": [{"name": "admin@here", "context": {"cluster": "here", "user": "admin"}}],
    }
)


def test_a_tenants_kubeconfig_holds_its_token_and_nothing_of_ours():
    text = build_tenant_kubeconfig(OURS, child="set--a", user="shop--viewer", token="T0KEN", namespace="shop--dev")

    assert yaml.safe_load(text) == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "set--a", "cluster": {"server": "https://127.0.0.1:2", "certificate-authority-data": "Q0E="}}
        ],
        "users": [{"name": "shop--viewer", "user": {"token": "T0KEN"}}],
        "contexts": [
            {"name": "set--a", "context": {"cluster": "set--a", "user": "shop--viewer", "namespace": "shop--dev"}}
        ],
        "current-context": "set--a",
    }
    assert "S0VZ" not in text


def test_the_account_is_named_after_tenant_and_role():
    assert account_name("shop", "developer") == "shop--developer"


def test_namespaces_are_those_on_that_child():
    tenant = {
        "status": {
            "placements": [
                {"namespace": "shop--dev", "cluster": "set--a"},
                {"namespace": "shop--prod", "cluster": "set--b"},
            ]
        }
    }

    assert [list_namespaces(tenant, child) for child in ("set--a", "set--b", "set--c")] == [
        ["shop--dev"],
        ["shop--prod"],
        [],
    ]
    assert list_namespaces({}, "set--a") == []


def test_durations_are_read_in_hours_minutes_and_seconds():
    assert [parse_lifetime(text) for text in ("1h", "90m", "1h30m", "600s")] == [3600, 5400, 5400, 600]


@pytest.mark.parametrize("text", ["", "1", "5m", "25h", "1h bogus", "-1h", "999999999h"])
def test_a_duration_that_an_api_server_would_refuse_is_refused_first(text):
    with pytest.raises(BadInput, match=r"between 10m and 24h|is not a duration; write it like"):
        parse_lifetime(text)
