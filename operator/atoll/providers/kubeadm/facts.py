"""What there is to know about a host: commands that change nothing, and what their answers mean. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import yaml
from cryptography import x509

from atoll.hosts.command import Command, Fact, Result, Secret

from . import paths
from .documents import NodeMark, parse_before, parse_cluster, parse_mark, parse_operation, parse_owner
from .renewing import Certificates
from .values import Before, ClusterRecord, OperationRecord

ANY_CODE: Final = frozenset(range(256))
"""The answer is judged by its parser."""
_IF_THERE: Final = 'if test -e "$1"; then cat -- "$1"; fi'
"""Tells "there is no such file" (nothing) from "it cannot be read" (an error)."""
_WHICH_ARE_THERE: Final = 'for path in "$@"; do if test -e "$path"; then printf "%s\\n" "$path"; fi; done'
_LIST_FOLDER: Final = 'if test -d "$1"; then ls -1A -- "$1"; fi'


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node as the API server shows it."""

    name: str
    ready: bool
    version: str
    pod_cidr: str
    unschedulable: bool
    cordoned_by: str
    """Id of the operation of ours that cordoned it."""


CORDON_ANNOTATION: Final = "atoll.dev/cordoned-by"


def file_text(path: str) -> Fact[str]:
    """Read a file; empty when there is none."""
    return Fact(command=_shell(_IF_THERE, path, why=f"read {path}"), parse=require_output)


def which_are_there(*wanted: str) -> Fact[tuple[str, ...]]:
    """See which of some paths exist."""
    return Fact(command=_shell(_WHICH_ARE_THERE, *wanted, why="see what is there"), parse=_lines)


def list_folder(path: str) -> Fact[tuple[str, ...]]:
    """List a folder; empty when there is none."""
    return Fact(command=_shell(_LIST_FOLDER, path, why=f"list {path}"), parse=_lines)


def _file(path: str, parse: Callable[[str], Any]) -> Fact[Any]:
    return Fact(command=_shell(_IF_THERE, path, why=f"read {path}"), parse=lambda result: parse(require_output(result)))


def _shell(script: str, *arguments: str, why: str) -> Command:
    """Run a fixed text; what varies goes in as arguments."""
    return Command(argv=("sh", "-c", script, "sh", *arguments), why=why, ok=ANY_CODE)


def require_output(result: Result) -> str:
    """Return what a command printed; ValueError when it failed."""
    if result.timed_out:
        raise ValueError("it took too long")
    if result.code != 0:
        raise ValueError((result.err or result.out).strip()[-500:] or f"it ended with {result.code}")
    return result.out


def _lines(result: Result) -> tuple[str, ...]:
    return tuple(line.strip() for line in require_output(result).splitlines() if line.strip())


OWNER: Final[Fact[str]] = _file(paths.OWNER, parse_owner)
CLUSTER: Final[Fact[ClusterRecord | None]] = _file(paths.CLUSTER, parse_cluster)
OPERATION: Final[Fact[OperationRecord | None]] = _file(paths.OPERATION, parse_operation)
BEFORE: Final[Fact[Before | None]] = _file(paths.BEFORE, parse_before)
MARK: Final[Fact[NodeMark | None]] = _file(paths.NODE, parse_mark)

IMAGES: Final[Fact[tuple[str, ...]]] = Fact(
    command=Command(argv=("ctr", "-n", "k8s.io", "images", "ls", "-q"), why="list the images", ok=ANY_CODE),
    parse=_lines,
)
TABLES: Final[Fact[tuple[str, ...]]] = Fact(
    command=Command(argv=("nft", "list", "tables"), why="list the packet filter's tables", ok=ANY_CODE),
    parse=lambda result: tuple(line.removeprefix("table ") for line in _lines(result)),
)
FOLDERS: Final[Fact[tuple[str, ...]]] = Fact(
    command=_shell(_WHICH_ARE_THERE, *paths.COMPONENT_FOLDERS, why="see which folders are there"), parse=_lines
)
NETWORKS: Final[Fact[tuple[str, ...]]] = Fact(
    command=_shell(_LIST_FOLDER, paths.CNI_CONFIGURATION, why="list the pod networks' configurations"), parse=_lines
)
SNAPSHOTS: Final[Fact[tuple[str, ...]]] = Fact(
    command=_shell(_LIST_FOLDER, paths.SNAPSHOTS, why="list the snapshots of etcd"), parse=_lines
)
FORWARDING: Final[Fact[str]] = Fact(
    command=Command(argv=("cat", "/proc/sys/net/ipv4/ip_forward"), why="see whether the host forwards", ok=ANY_CODE),
    parse=lambda result: require_output(result).strip(),
)
PROGRAMS: Final[Fact[tuple[str, ...]]] = Fact(
    command=_shell(
        _WHICH_ARE_THERE,
        *(f"{paths.PROGRAMS}/{program}" for program in ("kubeadm", "kubelet", "kubectl")),
        why="see which programs are there",
    ),
    parse=_lines,
)
ADMIN: Final[Fact[bool]] = Fact(
    command=_shell(_WHICH_ARE_THERE, paths.ADMIN, paths.KUBELET_KUBECONFIG, why="see whether kubeadm was here"),
    parse=lambda result: bool(_lines(result)),
)
ROUTES: Final[Fact[tuple[str, ...]]] = Fact(
    command=Command(argv=("ip", "-o", "route", "show"), why="list the routes", ok=ANY_CODE), parse=_lines
)
FREE_BYTES: Final[Fact[int]] = Fact(
    command=Command(argv=("df", "-PB1", "/var/lib"), why="see how much room there is", ok=ANY_CODE),
    parse=lambda result: parse_free(require_output(result)),
)
KUBECONFIG_DIGEST: Final[Fact[str]] = Fact(
    command=_shell('if test -e "$1"; then sha256sum -- "$1"; fi', paths.KUBECONFIG, why="see our identity's digest"),
    parse=lambda result: require_output(result).partition(" ")[0],
)
KUBECONFIG: Final[Fact[Secret]] = Fact(
    command=_shell(_IF_THERE, paths.KUBECONFIG, why="read our identity"),
    parse=lambda result: Secret(require_output(result)),
)
RUNNING_JOBS: Final[Fact[tuple[str, ...]]] = Fact(
    command=Command(
        argv=(
            "systemctl",
            "list-units",
            "--plain",
            "--no-legend",
            "--full",
            "--state=active,activating,deactivating",
            "atoll-job-*",
        ),
        why="see which jobs run",
        ok=ANY_CODE,
    ),
    parse=lambda result: tuple(line.split()[0] for line in _lines(result)),
)
MODULE: Final[Fact[bool]] = Fact(
    command=Command(argv=("modprobe", "--dry-run", "br_netfilter"), why="look for br_netfilter", ok=ANY_CODE),
    parse=lambda result: result.code == 0,
)


AUTHENTICATION: Final[Fact[str]] = Fact(
    command=_shell('if test -e "$1"; then sha256sum -- "$1"; fi', paths.AUTHENTICATION, why="see how people log in"),
    parse=lambda result: require_output(result).partition(" ")[0],
)
_TAKEN: Final = (
    '"$@" --request-timeout=10s get --raw=/metrics | '
    "sed -n 's/^apiserver_authentication_config_controller_last_config_info{.*hash=\"sha256:\\([0-9a-f]*\\)\".*/\\1/p'"
)
TAKEN: Final[Fact[str]] = Fact(
    # An API server that does not answer, or tells no such thing, tells nothing here.
    command=_shell(_TAKEN, *paths.KUBECTL, why="see by which file the API server knows people"),
    parse=lambda result: result.out.strip(),
)
"""Digest of the file that the API server has taken; empty when it does not tell."""


def parse_active(result: Result) -> tuple[bool, ...]:
    """Read the answers of `systemctl is-active a b …`, one per unit."""
    return tuple(line.strip() == "active" for line in result.out.splitlines() if line.strip())


SERVICES: Final[Fact[tuple[bool, ...]]] = Fact(
    command=Command(
        argv=("systemctl", "is-active", "containerd", "kubelet"), why="see whether the node works", ok=ANY_CODE
    ),
    parse=parse_active,
)


def parse_kubelet_version(result: Result) -> str:
    """Read `kubelet --version`; empty when there is none."""
    match = re.search(r"Kubernetes (v\d+\.\d+\.\d+\S*)", result.out)
    return match.group(1) if match else ""


KUBELET_VERSION: Final[Fact[str]] = Fact(
    command=Command(argv=(f"{paths.PROGRAMS}/kubelet", "--version"), why="ask the kubelet's version", ok=ANY_CODE),
    parse=parse_kubelet_version,
)


def parse_api_version(result: Result) -> str:
    """Read the version out of the API server's manifest; empty when there is none."""
    text = require_output(result)
    if not text.strip():
        return ""
    try:
        image = str(yaml.safe_load(text)["spec"]["containers"][0]["image"])
    except (yaml.YAMLError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{paths.API_SERVER_MANIFEST} is damaged ({type(error).__name__})") from error
    return image.partition("@")[0].rpartition(":")[2]


API_VERSION: Final[Fact[str]] = Fact(
    command=_shell(_IF_THERE, paths.API_SERVER_MANIFEST, why="see the API server's version"), parse=parse_api_version
)


def parse_sandbox(result: Result) -> str:
    """Read the pause image out of containerd's configuration, of version 2 or 3."""
    match = re.search(r"^\s*sandbox(?:_image)?\s*=\s*[\"']([^\"']+)[\"']", require_output(result), re.MULTILINE)
    return match.group(1) if match else ""


SANDBOX: Final[Fact[str]] = Fact(
    command=Command(argv=("containerd", "config", "dump"), why="see which pause image containerd wants", ok=ANY_CODE),
    parse=parse_sandbox,
)


def parse_free(text: str) -> int:
    """Read the bytes that are left out of `df -PB1`."""
    words = text.splitlines()[-1].split()
    return int(words[3])


_CERTIFICATES: Final = """\
cat /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt 2>/dev/null
for file in /etc/kubernetes/admin.conf /etc/kubernetes/controller-manager.conf /etc/kubernetes/scheduler.conf "$1"; do
  if [ -e "$file" ]; then sed -n 's/^ *client-certificate-data: *//p' "$file" | base64 -d; fi
done
true
"""


def parse_certificates(result: Result) -> Certificates | None:
    """Read all certificates of a control-plane host; None when there is none."""
    pem = require_output(result)
    if not pem.strip():
        return None
    loaded = x509.load_pem_x509_certificates(pem.encode())
    first = min((entry for entry in loaded if not _is_authority(entry)), key=_end, default=None)
    if first is None:
        return None
    return Certificates(
        since=first.not_valid_before_utc, until=_end(first), first_end=min(_end(entry) for entry in loaded)
    )


def _end(certificate: x509.Certificate) -> datetime:
    return certificate.not_valid_after_utc


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


CERTIFICATES: Final[Fact[Certificates | None]] = Fact(
    # Only public parts: no key leaves the host for this.
    command=_shell(_CERTIFICATES, paths.KUBECONFIG, why="see when certificates expire"),
    parse=parse_certificates,
)


def kubectl(*arguments: str, why: str, seconds: float = 30.0) -> Command:
    """Ask the API server, on the control-plane host."""
    return Command(
        argv=(*paths.KUBECTL, "--request-timeout=10s", *arguments),
        why=why,
        ok=ANY_CODE,
        seconds=seconds,
    )


def parse_nodes(result: Result) -> tuple[NodeView, ...]:
    """Read `kubectl get nodes -o json`."""
    return tuple(_parse_node(item) for item in json.loads(require_output(result))["items"])


def _parse_node(item: dict[str, Any]) -> NodeView:
    conditions = {entry["type"]: entry["status"] for entry in item["status"].get("conditions", ())}
    return NodeView(
        name=item["metadata"]["name"],
        ready=conditions.get("Ready") == "True",
        version=item["status"]["nodeInfo"]["kubeletVersion"],
        pod_cidr=item["spec"].get("podCIDR", ""),
        unschedulable=bool(item["spec"].get("unschedulable", False)),
        cordoned_by=item["metadata"].get("annotations", {}).get(CORDON_ANNOTATION, ""),
    )


NODES: Final[Fact[tuple[NodeView, ...]]] = Fact(
    command=kubectl("get", "nodes", "--output=json", why="ask the API server for the nodes"), parse=parse_nodes
)


def parse_names_are_served(result: Result) -> bool:
    """Say whether CoreDNS has a pod that is ready."""
    return int(json.loads(require_output(result)).get("status", {}).get("availableReplicas", 0)) > 0


NAMES_ARE_SERVED: Final[Fact[bool]] = Fact(
    command=kubectl(
        "get", "deployment", "coredns", "--namespace=kube-system", "--output=json", why="see whether names are served"
    ),
    parse=parse_names_are_served,
)
INIT_FINISHED: Final[Fact[bool]] = Fact(
    # The last thing that init makes.
    command=kubectl(
        "get",
        "daemonset",
        "kube-proxy",
        "--namespace=kube-system",
        "--output=name",
        why="see whether init was finished",
    ),
    parse=lambda result: result.code == 0 and "kube-proxy" in result.out,
)
ANSWERS: Final[Fact[bool]] = Fact(
    command=kubectl(
        "get", "pods", "--all-namespaces", "--request-timeout=2s", "--output=name", why="see whether the API is steady"
    ),
    parse=lambda result: result.code == 0,
)
ETCD_HEALTH: Final[Fact[bool]] = Fact(
    command=kubectl("get", "--raw=/readyz/etcd", why="ask whether etcd is well"),
    parse=lambda result: result.code == 0 and result.out.strip() == "ok",
)
