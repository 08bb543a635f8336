from __future__ import annotations

import base64
import contextlib
import gc
import ipaddress
import os
import ssl
import stat
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from atoll.errors import BadInput, Refused
from atoll.kube.connect import Connection, is_forbidden_address
from atoll.kube.credentials import TlsContexts, TokenFileCredentials
from atoll.kube.kinds import NAMESPACE
from atoll.kube.store import Store
from atoll.kube.transport import GuardedResolver

from .authority import Authority, private_pem
from .server import answer, encode, kubeconfig, refuse

AUTHORITY = Authority()
CLIENT = AUTHORITY.client("atoll", "system:masters")
OTHER = AUTHORITY.client("other")
PAIR = {"client-certificate-data": encode(CLIENT.certificate), "client-key-data": encode(CLIENT.key)}
NOTHING = {"kind": "Namespace", "metadata": {"name": "a"}}
SERVER = "https://127.0.0.1:6443"


def config(user=None, cluster=None, server=SERVER) -> str:
    return kubeconfig(server=server, ca=AUTHORITY.pem, user={"token": "t"} if user is None else user, cluster=cluster)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (config({"exec": {"command": "sh", "apiVersion": "v1"}}), "users[u].user.exec"),
        (config({"auth-provider": {"name": "gcp"}}), "users[u].user.auth-provider"),
        (
            config({"client-certificate": "/etc/passwd", "client-key": "/etc/shadow"}),
            "users[u].user.client-certificate",
        ),
        (config({"tokenFile": "/var/run/secrets/token"}), "users[u].user.tokenFile"),
        (config({"token": "t", "tokenFile": "/x"}), "users[u].user.tokenFile"),
        (config({"username": "admin", "password": "canary"}), "users[u].user.password"),
        (config({"token": "t", "as": "root"}), "users[u].user.as"),
        (config({"token": "t", "some-new-thing": "x"}), "users[u].user.some-new-thing"),
        (config({"token": "canary\nX-Header: 1"}), "users[u].user.token"),
        (config({"token": ["canary"]}), "users[u].user.token"),
        (config({}), "users[u].user"),
        (config({"client-certificate-data": PAIR["client-certificate-data"]}), "users[u].user.client-key-data"),
        (config({"client-key-data": PAIR["client-key-data"]}), "users[u].user.client-certificate-data"),
        (config({**PAIR, "client-key-data": "canary!"}), "users[u].user.client-key-data"),
        (config({**PAIR, "client-key-data": encode("canary")}), "users[].user.client-key-data"),
        (config({**PAIR, "client-key-data": encode(OTHER.key)}), "users[].user.client-key-data"),
        (config(cluster={"insecure-skip-tls-verify": True}), "clusters[c].cluster.insecure-skip-tls-verify"),
        (config(cluster={"proxy-url": "http://10.0.0.1"}), "clusters[c].cluster.proxy-url"),
        (config(cluster={"certificate-authority": "/etc/ssl/ca"}), "clusters[c].cluster.certificate-authority"),
        (config(cluster={"certificate-authority-data": ""}), "clusters[c].cluster.certificate-authority-data"),
        (
            config(cluster={"certificate-authority-data": encode("canary")}),
            "clusters[].cluster.certificate-authority-data",
        ),
        (config(server="http://127.0.0.1:6443"), "clusters[c].cluster.server"),
        (config(server="https://"), "clusters[c].cluster.server"),
        (config(server="https://a:b@127.0.0.1"), "clusters[c].cluster.server"),
        (config(server="https://127.0.0.1/?x=1"), "clusters[c].cluster.server"),
        (config(server="https://127.0.0.1:99999"), "clusters[c].cluster.server"),
        (config(server="https://169.254.169.254"), "clusters[c].cluster.server"),
        (config(server="https://[fe80::1]:6443"), "clusters[c].cluster.server"),
        (config(server="https://[::ffff:169.254.169.254]"), "clusters[c].cluster.server"),
        (config(server="https://[64:ff9b::a9fe:a9fe]"), "clusters[c].cluster.server"),
        (config(server="https://[fd00:ec2::254]"), "clusters[c].cluster.server"),
        (config(server="https://2852039166"), "clusters[c].cluster.server"),
        (config(server="https://0xa9fea9fe"), "clusters[c].cluster.server"),
        (config(server="https://0.0.0.0:6443"), "clusters[c].cluster.server"),
        ("canary: [", "kubeconfig"),
        ("- canary", "kubeconfig"),
        ("", "kubeconfig"),
        ("[" * 20_000, "kubeconfig"),
        ("x" * 300_000, "kubeconfig"),
        ("a: 1", "current-context"),
        (config().replace("name: c\n", "name: d\n"), "clusters"),
    ],
)
def test_a_kubeconfig_that_is_not_self_contained_is_refused_naming_the_field(text, field):
    with pytest.raises(BadInput) as caught:
        Connection.from_kubeconfig(text)
    assert caught.value.field == field
    assert "canary" not in str(caught.value)


def test_two_entries_of_one_name_are_refused():
    document = yaml.safe_load(config())
    document["users"] *= 2
    with pytest.raises(BadInput, match="exactly one"):
        Connection.from_kubeconfig(yaml.safe_dump(document))


async def test_fields_that_say_no_are_harmless():
    text = config({**PAIR, "exec": None}, cluster={"insecure-skip-tls-verify": False, "tls-server-name": "kubernetes"})
    connection = Connection.from_kubeconfig(text)
    assert (connection.server, connection.server_name, connection.proxy) == (SERVER, "kubernetes", "")
    assert (await connection.credentials.current()).token == ""


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it():
    locked = private_pem(ec.generate_private_key(ec.SECP256R1()), b"canary")
    with pytest.raises(BadInput, match="without a passphrase"):
        Connection.from_kubeconfig(config({**PAIR, "client-key-data": encode(locked)}))


async def test_a_name_that_resolves_to_a_metadata_address_is_refused_when_it_is_used():
    resolver = GuardedResolver()
    assert [found["host"] for found in await resolver.resolve("localhost", 443)] == ["127.0.0.1"]
    # Hexadecimal writing of 169.254.169.254: a name to a parser of URLs, an address to a resolver.
    with pytest.raises(Refused, match=r"169\.254\.169\.254"):
        await resolver.resolve("0xa9fea9fe", 443)
    await resolver.close()


@pytest.mark.parametrize("text", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd12::1", "8.8.8.8"])
def test_common_addresses_are_allowed(text):
    assert not is_forbidden_address(ipaddress.ip_address(text))


def test_a_client_key_is_on_disk_only_while_it_is_loaded_and_only_for_us(tmp_path, monkeypatch):
    """Watch the folder of temporary files from another thread while keys are loaded."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tmp_path.chmod(0o700)
    seen: set[int] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for folder, _, files in os.walk(tmp_path):
                for path in (folder, *(os.path.join(folder, file) for file in files)):
                    with contextlib.suppress(FileNotFoundError):
                        seen.add(stat.S_IMODE(os.stat(path).st_mode))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(200):
        Connection.from_kubeconfig(config(PAIR))
    stop.set()
    watcher.join()
    assert seen <= {0o700, 0o600}
    assert 0o600 in seen, "the watcher must have seen at least one file for this test to mean anything"
    assert list(tmp_path.iterdir()) == []


def test_one_context_serves_all_clients_of_one_authority_and_certificate():
    contexts = TlsContexts()
    first = contexts.get(ca=AUTHORITY.pem)
    assert contexts.get(ca=AUTHORITY.pem) is first
    assert contexts.get(ca=AUTHORITY.pem, certificate=CLIENT.certificate, key=CLIENT.key) is not first
    assert contexts.get(ca=Authority("other").pem) is not first
    assert first.verify_mode is ssl.CERT_REQUIRED
    assert first.check_hostname
    kept = len(contexts._contexts)
    del first
    gc.collect()
    assert len(contexts._contexts) < kept


def test_a_context_believes_its_own_authority_only():
    context = TlsContexts().get(ca=AUTHORITY.pem)
    assert context.cert_store_stats()["x509_ca"] == 1


def test_a_connection_does_not_show_its_credentials():
    text = config({"token": "canary"})
    assert "canary" not in repr(Connection.from_kubeconfig(text))


async def test_in_a_pod_the_mounted_token_is_used_and_read_again(tmp_path, server):
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_text(server.authority.pem)
    host, port = server.url.removeprefix("https://").split(":")
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    store = Store(Connection.in_cluster(environ, tmp_path))
    server.answers(answer(NOTHING), refuse(401, "expired"), answer(NOTHING))

    await store.get(NAMESPACE, None, "a")
    (tmp_path / "token").write_text("second")
    await store.get(NAMESPACE, None, "a")

    assert [asked.headers["authorization"] for asked in server.asked] == [
        "Bearer first",
        "Bearer first",
        "Bearer second",
    ]
    await store.close()


def test_outside_of_a_pod_that_is_said(tmp_path):
    with pytest.raises(Refused, match="not inside a pod"):
        Connection.in_cluster({}, tmp_path)


async def test_a_missing_token_file_is_refused(tmp_path):
    credentials = TokenFileCredentials(ssl.create_default_context(), tmp_path / "token")
    with pytest.raises(Refused, match="cannot be read"):
        await credentials.current()


async def test_our_own_kubeconfig_may_name_files(tmp_path, server):
    (tmp_path / "ca.pem").write_text(server.authority.pem)
    pair = server.authority.client("me")
    (tmp_path / "me.pem").write_text(pair.certificate)
    (tmp_path / "me.key").write_text(pair.key)
    document = yaml.safe_load(config({"client-certificate": "me.pem", "client-key": "me.key"}, server=server.url))
    document["clusters"][0]["cluster"] = {"server": server.url, "certificate-authority": "ca.pem"}
    text = yaml.safe_dump(document)
    with pytest.raises(BadInput):
        Connection.from_kubeconfig(text)

    store = Store(Connection.from_kubeconfig(text, trusted=True, folder=tmp_path))
    server.answers(answer(NOTHING))
    assert await store.get(NAMESPACE, None, "a") == NOTHING
    await store.close()


def plugin(tmp_path: Path, body: str) -> dict[str, object]:
    script = tmp_path / "plugin.py"
    script.write_text(body)
    return {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": [str(script)]}


COUNTING = """
import json, pathlib
count = pathlib.Path(__file__).with_name("count")
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
status = {"token": f"token-{number}"}
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}))
"""


async def test_our_own_kubeconfig_may_run_a_plugin_once_and_again_after_a_401(tmp_path, server):
    document = yaml.safe_load(server.kubeconfig())
    document["users"][0]["user"] = {"exec": plugin(tmp_path, COUNTING)}
    store = Store(Connection.from_kubeconfig(yaml.safe_dump(document), trusted=True))
    server.answers(answer(NOTHING), answer(NOTHING), refuse(401, "expired"), answer(NOTHING))
    for _ in range(3):
        await store.get(NAMESPACE, None, "a")
    assert [asked.headers["authorization"] for asked in server.asked] == [
        "Bearer token-1",
        "Bearer token-1",
        "Bearer token-1",
        "Bearer token-2",
    ]
    await store.close()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import sys; sys.exit('canary')", "failed"),
        ("print('canary')", "failed"),
        (COUNTING.replace('{"token": f"token-{number}"}', "{}"), "neither a token nor a certificate"),
    ],
)
async def test_a_plugin_that_fails_is_no_login_without_credentials(tmp_path, server, body, message):
    document = yaml.safe_load(server.kubeconfig())
    document["users"][0]["user"] = {"exec": plugin(tmp_path, body)}
    store = Store(Connection.from_kubeconfig(yaml.safe_dump(document), trusted=True))
    server.answers(answer(NOTHING))
    with pytest.raises(Refused, match=message) as caught:
        await store.get(NAMESPACE, None, "a")
    assert "canary" not in str(caught.value)
    assert server.asked == []
    await store.close()


def test_a_context_for_a_pinned_authority_is_cheap():
    """Loading the system's authorities costs 25 ms or more; a fleet of a thousand children cannot pay that."""
    started = time.process_time()
    for _ in range(20):
        TlsContexts().get(ca=AUTHORITY.pem)
    assert (time.process_time() - started) / 20 < 0.010


def test_base64_with_line_breaks_is_read():
    wrapped = base64.encodebytes(AUTHORITY.pem.encode()).decode()
    assert Connection.from_kubeconfig(config(cluster={"certificate-authority-data": wrapped})).ca == AUTHORITY.pem


def test_the_umask_is_not_what_protects_the_key(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = os.umask(0)
    try:
        Connection.from_kubeconfig(config(PAIR))
    finally:
        os.umask(before)
    assert list(tmp_path.iterdir()) == []
