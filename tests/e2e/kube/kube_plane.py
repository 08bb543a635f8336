"""A real control plane for the tests of this folder: etcd, kube-apiserver and kube-controller-manager as processes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import ipaddress
import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from atoll.errors import AtollError
from atoll.kube.connect import Connection
from atoll.kube.store import Store
from tests.support.binaries import find_program

KUBERNETES = "v1.36.4"
ETCD = "etcd-v3.6.8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    certificate: str
    key: str


class Authority:
    """Signs the certificates of one plane."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plane")])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = self._builder(self._name, self._key).add_extension(constraints, critical=True)
        self.pem = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def sign(self, name: str, group: str = "") -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = (
            self._builder(x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Pair(certificate=certificate.public_bytes(serialization.Encoding.PEM).decode(), key=private_pem(key))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )


def private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


class Plane:
    """One plane in one folder. `stop` ends every process that it has started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = Authority()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._etcd_url = ""
        self.ca = self._authority.pem
        self.url = ""
        self.api_server: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        service_accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._write("ca.pem", self.ca)
        self._write("sa.key", private_pem(service_accounts))
        server = self._authority.sign("kube-apiserver")
        self._write("server.pem", server.certificate)
        self._write("server.key", server.key)
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._etcd_url = client
        self._run(
            f"{ETCD}/etcd",
            f"--data-dir={self._folder}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=error",
        )
        self.url, self.api_server = await self.start_api_server()
        self._write("manager.kubeconfig", self.kubeconfig("system:kube-controller-manager"))
        self._run(
            f"{KUBERNETES}/kube-controller-manager",
            f"--kubeconfig={self._folder}/manager.kubeconfig",
            "--leader-elect=false",
            f"--service-account-private-key-file={self._folder}/sa.key",
            f"--root-ca-file={self._folder}/ca.pem",
            "--use-service-account-credentials=true",
            f"--secure-port={free_port()}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self._folder}/manager",
        )

    async def start_api_server(self, *extra: str) -> tuple[str, subprocess.Popen[bytes]]:
        """Start one more API server on the same data; return its URL and process once it is ready."""
        port = free_port()
        url = f"https://127.0.0.1:{port}"
        process = self._run(
            f"{KUBERNETES}/kube-apiserver",
            f"--etcd-servers={self._etcd_url}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--tls-cert-file={self._folder}/server.pem",
            f"--tls-private-key-file={self._folder}/server.key",
            f"--client-ca-file={self._folder}/ca.pem",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._folder}/sa.key",
            f"--service-account-signing-key-file={self._folder}/sa.key",
            "--authorization-mode=Node,RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--allow-privileged",
            "--endpoint-reconciler-type=none",
            "--profiling=false",
            *(extra or ("--anonymous-auth=false",)),
        )
        store = Store(Connection.from_kubeconfig(self.kubeconfig(url=url)), seconds=2.0)
        try:
            await self._until_ready(store, process)
        finally:
            await store.close()
        return url, process

    def kubeconfig(self, name: str = "admin", group: str = "system:masters", *, url: str = "") -> str:
        """Return a self-contained kubeconfig of a new identity."""
        pair = self._authority.sign(name, group if name == "admin" else "")
        user = {"client-certificate-data": encode(pair.certificate), "client-key-data": encode(pair.key)}
        cluster = {"server": url or self.url, "certificate-authority-data": encode(self.ca)}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "it",
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                "clusters": [{"name": "it", "cluster": cluster}],
                "users": [{"name": "it", "user": user}],
            }
        )

    def stop(self) -> None:
        """End all processes: those that talk to etcd first, because they wait long for one that is gone."""
        for process in reversed(self._processes):
            end(process)
        self._processes.clear()

    def _run(self, program: str, *flags: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{Path(program).name}-{len(self._processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [find_program(*program.split("/", 1)), *flags],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={"HOME": str(self._folder)},
            )
        self._processes.append(process)
        return process

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_text(text)

    async def _until_ready(self, store: Store, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.poll() is None, f"kube-apiserver ended; see its log in {self._folder}"
            with contextlib.suppress(AtollError):
                if (await store.raw_get("/readyz"))[0] == 200:
                    return
            await asyncio.sleep(0.1)
        raise AssertionError(f"kube-apiserver was not ready within a minute; see its log in {self._folder}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop one process, with force when it takes long."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the CPU time that a process has used so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
