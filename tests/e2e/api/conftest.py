"""One real API server for this folder: etcd and kube-apiserver as processes on free loopback ports.

Everybody is told apart by impersonation (`--as`), which admission policies see as the real user.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from atoll.api.crds import build_crds
from atoll.api.identity import Identity
from atoll.api.policies import build_validating_policies
from atoll.api.policies_people import build_mutating_policies
from tests.support.binaries import find_program

ETCD = "etcd-v3.6.8"
NEWEST = "v1.36.4"
OLDER = "v1.35.8"
OPERATOR = "system:serviceaccount:atoll-system:atoll"
DELEGATE = "gitops"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What kubectl said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running API server."""

    kubeconfig: Path
    binary: Path

    def kubectl(self, *args: str, body: Any = None, as_user: str = "", groups: tuple[str, ...] = ()) -> Answer:
        """Run kubectl; `body` (one object or several) goes to its standard input."""
        argv = [str(self.binary), f"--kubeconfig={self.kubeconfig}", "--request-timeout=20s", *args]
        if as_user:
            argv += [f"--as={as_user}", *(f"--as-group={group}" for group in groups)]
        documents = body if isinstance(body, (list, tuple)) else [body]
        # As JSON, because kubectl reads some texts that PyYAML leaves unquoted, such as y, as booleans.
        text = "\n---\n".join(json.dumps(document) for document in documents) if body is not None else ""
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, check=False)
        return Answer(code=done.returncode, out=done.stdout, err=done.stderr)

    def must(self, *args: str, body: Any = None, as_user: str = "", groups: tuple[str, ...] = ()) -> str:
        """Run kubectl and return its output; it has to succeed."""
        answer = self.kubectl(*args, body=body, as_user=as_user, groups=groups)
        assert answer.code == 0, f"kubectl {' '.join(args)}: {answer.err}{answer.out}"
        return answer.out

    def get(self, *args: str) -> Any:
        """Return what `kubectl get -o json` prints."""
        return json.loads(self.must("get", *args, "-o", "json"))


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(url: str, log: Path, process: subprocess.Popen[bytes], token: str = "") -> None:
    """Wait until `url` answers 200 while the process lives."""
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-3000:]
        with contextlib.suppress(urllib.error.URLError, OSError):
            request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
            with urllib.request.urlopen(request, timeout=2, context=trusting) as answer:
                if answer.status == 200:
                    return
        time.sleep(0.2)
    raise AssertionError(f"{url} did not answer: {log.read_text()[-3000:]}")


@contextlib.contextmanager
def running(argv: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process as long as the block lasts."""
    with log.open("wb") as sink:
        process = subprocess.Popen(argv, stdout=sink, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)


@contextlib.contextmanager
def serving(version: str, folder: Path) -> Iterator[Server]:
    """Run etcd and kube-apiserver of one version; both are gone when the block ends."""
    etcd_port, peer_port, api_port = free_port(), free_port(), free_port()
    token = "a-token-for-this-test-run"
    (folder / "tokens.csv").write_text(f'{token},root,root,"system:masters"\n')
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    sa_key = folder / "sa.key"
    sa_key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    etcd_url = f"http://127.0.0.1:{etcd_port}"
    peer_url = f"http://127.0.0.1:{peer_port}"
    etcd = [
        str(find_program(ETCD, "etcd")),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={etcd_url}",
        f"--advertise-client-urls={etcd_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",
    ]
    api = [
        str(find_program(version, "kube-apiserver")),
        f"--etcd-servers={etcd_url}",
        f"--secure-port={api_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--cert-dir={folder / 'certs'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=AlwaysAllow",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={sa_key}",
        f"--service-account-signing-key-file={sa_key}",
        "--endpoint-reconciler-type=none",
        "--profiling=false",
    ]
    api_url = f"https://127.0.0.1:{api_port}"
    kubeconfig = folder / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "root"}}],
                "clusters": [
                    {
                        "name": "test",
                        "cluster": {
                            "server": api_url,
                            "certificate-authority": str(folder / "certs" / "apiserver.crt"),
                        },
                    }
                ],
                "users": [{"name": "root", "user": {"token": token}}],
            }
        )
    )
    etcd_log, api_log = folder / "etcd.log", folder / "api.log"
    with running(etcd, etcd_log) as etcd_process:
        wait_for(f"{etcd_url}/health", etcd_log, etcd_process)
        with running(api, api_log) as api_process:
            wait_for(f"{api_url}/readyz", api_log, api_process, token)
            yield Server(kubeconfig=kubeconfig, binary=find_program(version, "kubectl"))


def install_crds(server: Server) -> None:
    """Apply all CRDs with strict validation and wait until they are served."""
    crds = build_crds()
    server.must("apply", "--server-side", "--validate=strict", "-f", "-", body=crds)
    names = [f"crd/{crd['metadata']['name']}" for crd in crds]
    server.must("wait", "--for=condition=Established", "--timeout=30s", *names)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield the newest API server with our CRDs and a fleet `fleet`."""
    with serving(NEWEST, tmp_path_factory.mktemp("api")) as running_server:
        install_crds(running_server)
        running_server.must("create", "namespace", "fleet")
        yield running_server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield an API server of its own with our CRDs and all our policies in force, and a fleet `fleet`."""
    with serving(NEWEST, tmp_path_factory.mktemp("guarded")) as running_server:
        install_crds(running_server)
        labelled = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "fleet", "labels": {"atoll.dev/fleet": "true"}},
        }
        running_server.must("create", "-f", "-", body=labelled)
        policies = (
            *build_validating_policies(Identity(usernames=(OPERATOR,), groups=("atoll.dev:operators",)), (DELEGATE,)),
            *build_mutating_policies((DELEGATE,)),
        )
        running_server.must("apply", "--server-side", "--validate=strict", "-f", "-", body=policies)
        wait_until_in_force(running_server)
        yield running_server


def wait_until_in_force(server: Server) -> None:
    """Wait until each policy bites: a new one takes a few seconds."""
    probe = {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": "Host",
        "metadata": {"name": "rack--probe", "namespace": "fleet"},
        "spec": {"poolName": "rack", "hostName": "probe"},
    }
    approval = {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": "Approval",
        "metadata": {"name": "probe", "namespace": "fleet"},
        "spec": {
            "rolloutRef": {"name": "probe-1", "uid": "1"},
            "wave": "w",
            "gate": "g",
            "approver": {"username": "nobody-at-all"},
        },
    }
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        refusals = [server.kubectl("create", "--dry-run=server", "-f", "-", body=body) for body in (probe, approval)]
        if all("denied request" in refusal.err for refusal in refusals):
            # The others came with the same apply; this is the time that their watch needs.
            time.sleep(2)
            return
        time.sleep(0.3)
    raise AssertionError("the policies did not come into force")
