"""The command lines of the three processes, and how to know one of ours by its command line. Pure.

The last flag of kube-apiserver and kube-controller-manager, `--cert-dir`, is without effect (the certificates are named
one by one). It carries a tag made of version and settings, so that anybody who lists processes can tell whose they are,
and so that two API servers on one port can be told apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Final

from atoll.fleet.authentication import OWN_ISSUER

from . import pki
from .layout import Layout
from .values import PlaneSpec, PlaneState, Ports, Role

MEMBER_NAME: Final = "atoll"

LEFT_OUT_CONTROLLERS: Final = (
    "cloud-node-lifecycle-controller",
    "device-taint-eviction-controller",
    "ephemeral-volume-controller",
    "node-ipam-controller",
    "node-lifecycle-controller",
    "node-route-controller",
    "persistentvolume-attach-detach-controller",
    "persistentvolume-expander-controller",
    "service-lb-controller",
    "taint-eviction-controller",
    "ttl-controller",
)
"""They serve nodes, disks and clouds, none of which a plane has."""

AUDIT_POLICY: Final = b"""apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, nonResourceURLs: ["/readyz*", "/livez*", "/healthz*", "/version"]}
- {level: Metadata}
"""
"""Who did what to which object; no bodies, hence no secrets."""


AUTHENTICATION_FLAG: Final = "--authentication-config="


def etcd_url(port: int) -> str:
    """Return the URL of an etcd port."""
    return f"https://127.0.0.1:{port}"


def member_flags(layout: Layout, ports: Ports) -> tuple[str, ...]:
    """Return who the only member of this etcd is; a restore has to be told the same."""
    peer = etcd_url(ports.etcd_peer)
    return (
        f"--name={MEMBER_NAME}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={MEMBER_NAME}={peer}",
        f"--initial-cluster-token={layout.root.name}",
    )


def build_etcd_command(program: Path, layout: Layout, ports: Ports) -> tuple[str, ...]:
    """Return the command line of etcd: loopback, TLS and client certificates on both ports."""
    client = etcd_url(ports.etcd)
    return (
        str(program),
        f"--data-dir={layout.etcd}",
        *member_flags(layout, ports),
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={etcd_url(ports.etcd_peer)}",
        "--client-cert-auth=true",
        f"--trusted-ca-file={layout.authority(pki.ETCD_AUTHORITY)}",
        f"--cert-file={layout.identity(pki.ETCD_SERVER)}",
        f"--key-file={layout.identity(pki.ETCD_SERVER)}",
        "--peer-client-cert-auth=true",
        f"--peer-trusted-ca-file={layout.authority(pki.ETCD_AUTHORITY)}",
        f"--peer-cert-file={layout.identity(pki.ETCD_PEER)}",
        f"--peer-key-file={layout.identity(pki.ETCD_PEER)}",
        "--log-level=warn",
        "--log-outputs=stderr",
    )


def build_api_server_command(program: Path, layout: Layout, state: PlaneState) -> tuple[str, ...]:
    """Return the command line of kube-apiserver."""
    spec = state.spec
    audit = (
        (
            f"--audit-policy-file={layout.audit_policy}",
            f"--audit-log-path={layout.audit_log}",
            "--audit-log-maxsize=10",
            "--audit-log-maxbackup=2",
        )
        if spec.audit_log
        else ()
    )
    login = (f"{AUTHENTICATION_FLAG}{layout.authentication(spec.authentication)}",) if spec.authentication else ()
    settings = (
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={state.ports.api}",
        "--permit-port-sharing=true",
        f"--tls-cert-file={layout.identity(pki.API_SERVER)}",
        f"--tls-private-key-file={layout.identity(pki.API_SERVER)}",
        f"--client-ca-file={layout.authority(pki.CLUSTER_AUTHORITY)}",
        f"--etcd-servers={etcd_url(state.ports.etcd)}",
        f"--etcd-cafile={layout.authority(pki.ETCD_AUTHORITY)}",
        f"--etcd-certfile={layout.identity(pki.API_SERVER_TO_ETCD)}",
        f"--etcd-keyfile={layout.identity(pki.API_SERVER_TO_ETCD)}",
        f"--service-account-issuer={OWN_ISSUER}",
        f"--service-account-key-file={layout.identity(pki.SERVICE_ACCOUNT)}",
        f"--service-account-signing-key-file={layout.identity(pki.SERVICE_ACCOUNT)}",
        f"--service-cluster-ip-range={spec.service_cidr}",
        "--authorization-mode=Node,RBAC",
        "--anonymous-auth=false",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--endpoint-reconciler-type=none",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
        # Watches are told to end when the server ends; without this they hold it until its limit.
        "--shutdown-watch-termination-grace-period=2s",
        *audit,
        *login,
        *spec.api_args,
    )
    return (str(program), *settings, tag_flag(layout, Role.API_SERVER, build_tag(spec.version, settings)))


def build_controller_manager_command(program: Path, layout: Layout, spec: PlaneSpec) -> tuple[str, ...]:
    """Return the command line of kube-controller-manager; it listens on no port."""
    settings = (
        f"--kubeconfig={layout.controller_manager_kubeconfig}",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={layout.identity(pki.SERVICE_ACCOUNT)}",
        f"--root-ca-file={layout.authority(pki.CLUSTER_AUTHORITY)}",
        "--controllers=" + ",".join(("*", *(f"-{name}" for name in LEFT_OUT_CONTROLLERS))),
        "--secure-port=0",
        # Each controller has a token of its own made when it starts: 4 s at the default of 20 calls per second.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    )
    return (str(program), *settings, tag_flag(layout, Role.CONTROLLER_MANAGER, build_tag(spec.version, settings)))


def build_tag(version: str, settings: Sequence[str]) -> str:
    """Return version and a digest of the flags."""
    return f"{version}-{hashlib.sha256(chr(0).join(settings).encode()).hexdigest()[:8]}"


def tag_flag(layout: Layout, role: Role, tag: str) -> str:
    """Return the flag that carries a tag."""
    return f"{marker(layout, role)}{tag}"


def marker(layout: Layout, role: Role) -> str:
    """Return what an argument of every process of this role and plane begins with."""
    return f"--data-dir={layout.etcd}" if role is Role.ETCD else f"--cert-dir={layout.run}/{role}@"


def parse_role(layout: Layout, argv: Sequence[str]) -> tuple[Role, str] | None:
    """Tell which process of the plane this is, and its tag; None for a stranger."""
    if not argv:
        return None
    program = PurePath(argv[0]).name
    for role in Role:
        start = marker(layout, role)
        if program != role.value:
            continue
        for argument in argv[1:]:
            if role is Role.ETCD and argument == start:
                return role, ""
            if role is not Role.ETCD and argument.startswith(start):
                return role, argument.removeprefix(start)
    return None


def find_authentication(argv: Sequence[str]) -> Path | None:
    """Return the file in which an API server was told how people log in; None when it trusts no issuer."""
    found = (argument for argument in argv if argument.startswith(AUTHENTICATION_FLAG))
    return next((Path(argument.removeprefix(AUTHENTICATION_FLAG)) for argument in found), None)


def find_tag(argv: Sequence[str]) -> str:
    """Return the tag of a command line that we built; empty for etcd."""
    last = argv[-1]
    return last.rpartition("@")[2] if last.startswith("--cert-dir=") else ""
