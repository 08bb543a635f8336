"""What people put into a kubeconfig Secret, and what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.errors import BadInput
from atoll.kube.connect import Connection, check_server_name, read_entries
from atoll.kube.credentials import TlsContexts
from atoll.providers.existing.kubeconfig import check_kubeconfig
from tests.unit.kube.authority import Authority
from tests.unit.kube.server import encode

AUTHORITY = Authority()
CLIENT = AUTHORITY.client("atoll")
CONTEXTS = TlsContexts()
KEEP = CONTEXTS.get(ca=AUTHORITY.pem)
SERVER = "https://api.example.com:6443"
CANARY = "canary-7f3a"

CLUSTER = {"server": SERVER, "certificate-authority-data": encode(AUTHORITY.pem)}
FORBIDDEN_CLUSTER: dict[str, Any] = {
    "certificate-authority": f"/etc/{CANARY}",
    "insecure-skip-tls-verify": True,
    "proxy-url": f"http://{CANARY}@10.0.0.1",
    "server": f"http://{CANARY}.example.com",
    "tls-server-name": f".{CANARY}",
    "a-field-of-tomorrow": CANARY,
}
FORBIDDEN_USER: dict[str, Any] = {
    "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh", "args": ["-c", CANARY]},
    "auth-provider": {"name": "gcp", "config": {"cmd-path": CANARY}},
    "client-certificate": f"/{CANARY}.crt",
    "client-key": f"/{CANARY}.key",
    "tokenFile": f"/{CANARY}",
    "as": CANARY,
    "as-uid": CANARY,
    "as-groups": [CANARY],
    "as-user-extra": {CANARY: [CANARY]},
    "username": CANARY,
    "password": CANARY,
    CANARY: "a secret in the place of a name",
    "impersonate": True,
}
FORBIDDEN_SERVERS = (
    "http://api.example.com",
    "https://169.254.169.254",
    "https://[fe80::1]:6443",
    "https://[::ffff:a9fe:a9fe]",
    "https://[fd00:ec2::254]",
    "https://100.100.100.200",
    "https://168.63.129.16",
    "https://0xa9fea9fe",
    "https://0.0.0.0",
    f"https://user:{CANARY}@api.example.com",
    f"https://api.example.com/?token={CANARY}",
    f"file:///{CANARY}",
    CANARY,
)


def document(user: dict[str, Any], cluster: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "clusters": [{"name": "c", "cluster": {**CLUSTER, **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
        **more,
    }


LOGINS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"token": CANARY},
        {"client-certificate-data": encode(CLIENT.certificate), "client-key-data": encode(CLIENT.key)},
        {
            "token": CANARY,
            "client-certificate-data": encode(CLIENT.certificate),
            "client-key-data": encode(CLIENT.key),
        },
    ]
)
INJECTED = st.one_of(
    st.tuples(
        st.just("cluster"), st.sampled_from(sorted(FORBIDDEN_CLUSTER)).map(lambda key: {key: FORBIDDEN_CLUSTER[key]})
    ),
    st.tuples(st.just("user"), st.sampled_from(sorted(FORBIDDEN_USER)).map(lambda key: {key: FORBIDDEN_USER[key]})),
    st.tuples(st.just("cluster"), st.sampled_from(FORBIDDEN_SERVERS).map(lambda server: {"server": server})),
)


@settings(max_examples=150, deadline=None)
@given(login=LOGINS, injected=INJECTED)
def test_no_forbidden_part_is_ever_accepted_and_no_secret_is_ever_told(
    login: dict[str, Any], injected: tuple[str, dict[str, Any]]
) -> None:
    part, fields = injected
    text = yaml.safe_dump(
        document({**login, **fields} if part == "user" else login, fields if part == "cluster" else None)
    )

    with pytest.raises(BadInput) as caught:
        check_kubeconfig(text, "eu--a", contexts=CONTEXTS)

    assert caught.value.field.startswith(("users[u].user", "clusters[c].cluster"))
    assert CANARY not in f"{caught.value} {caught.value.field} {caught.value.__cause__}"


@settings(max_examples=50, deadline=None)
@given(
    login=LOGINS,
    part=st.sampled_from([("users", "user", FORBIDDEN_USER), ("clusters", "cluster", FORBIDDEN_CLUSTER)]),
    data=st.data(),
)
def test_nor_in_an_entry_that_no_context_uses(
    login: dict[str, Any], part: tuple[str, str, dict[str, Any]], data: st.DataObject
) -> None:
    section, key, forbidden = part
    name = data.draw(st.sampled_from(sorted(set(forbidden) - {"server", "tls-server-name"})))
    config = document(login)
    config[section].append({"name": "other", key: {name: forbidden[name]}})

    with pytest.raises(BadInput) as caught:
        check_kubeconfig(yaml.safe_dump(config), "eu--a", contexts=CONTEXTS)

    assert caught.value.field.startswith(f"{section}[other].{key}")
    assert CANARY not in f"{caught.value} {caught.value.field}"


@settings(max_examples=200, deadline=None)
@given(text=st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda raw: raw.decode("latin-1"))))
def test_whatever_a_secret_holds_it_is_read_or_refused(text: str) -> None:
    with pytest.raises(BadInput):
        check_kubeconfig(text, "eu--a", contexts=CONTEXTS)


@settings(max_examples=30, deadline=None)
@given(login=LOGINS, server_name=st.sampled_from(["", "kubernetes.default.svc", "10.0.0.1", "::1"]))
def test_what_is_accepted_is_reduced_to_what_is_used(login: dict[str, Any], server_name: str) -> None:
    config = document(login, {"tls-server-name": server_name, "disable-compression": True, "extensions": [{"a": 1}]})
    config["users"].append({"name": "other", "user": {"token": "another-secret"}})
    config["preferences"] = {"colors": True}

    checked = check_kubeconfig(yaml.safe_dump(config), "eu--a", contexts=CONTEXTS)

    named = {"tls-server-name": server_name} if server_name else {}
    assert yaml.safe_load(checked.text) == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "eu--a", "cluster": {**CLUSTER, **named}}],
        "users": [{"name": "atoll", "user": login}],
        "contexts": [{"name": "eu--a", "context": {"cluster": "eu--a", "user": "atoll"}}],
        "current-context": "eu--a",
    }
    assert check_kubeconfig(checked.text, "eu--a", contexts=CONTEXTS) == checked, "it stays as it is"
    by_certificate = "client-certificate-data" in login
    assert checked.certificates_expire_time == (datetime(2120, 1, 1, tzinfo=UTC) if by_certificate else None)
    assert checked.server == SERVER
    assert CANARY not in repr(checked)


def test_which_context_is_meant_is_never_guessed() -> None:
    config = document({"token": "t"})
    config["contexts"].append({"name": "second", "context": {"cluster": "c", "user": "u"}})
    del config["current-context"]
    with pytest.raises(BadInput, match="current-context is not set"):
        check_kubeconfig(yaml.safe_dump(config), "eu--a")


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"exec": {"command": "x"}}, "runs a program in the operator. Use token"),
        ({"tokenFile": "/x"}, "Put the file's content into token"),
        ({"as": "root"}, "Use credentials of that identity itself"),
        ({"password": "x"}, "Use token"),
        ({"new": "x"}, "must be self-contained"),
    ],
)
def test_each_refusal_says_what_to_do_instead(fields: dict[str, Any], remedy: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_kubeconfig(yaml.safe_dump(document({"token": "t", **fields})), "eu--a")
    assert remedy in str(caught.value)


def test_a_text_that_would_keep_the_reader_busy_for_hours_is_refused_at_once() -> None:
    lines = [f"a{number}: &a{number}\n  <<:\n  - *a{number - 1}\n  - *a{number - 1}\n" for number in range(1, 40)]
    with pytest.raises(BadInput, match="merge keys"):
        read_entries("a0: &a0 {k: v}\n" + "".join(lines))
    many = document({"token": "t"}, users=[{"name": str(number), "user": {"token": "t"}} for number in range(101)])
    with pytest.raises(BadInput, match="more than 100 entries"):
        read_entries(yaml.safe_dump(many))


@pytest.mark.parametrize("name", [".example.com", "a" * 64, "a\0b", "a b", "a/b", "ä.de", "-a", "a" * 300])
def test_a_server_name_that_tls_could_not_ask_for_is_refused_before_it_breaks_anything(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_server_name(name, "clusters[c].cluster.tls-server-name")
    assert name not in str(caught.value)


def test_our_own_kubeconfig_may_still_hold_entries_of_all_sorts() -> None:
    config = document({"token": "t"})
    config["users"].append({"name": "other", "user": {"exec": {"command": "aws"}}})
    assert Connection.from_kubeconfig(yaml.safe_dump(config), trusted=True).server == SERVER
