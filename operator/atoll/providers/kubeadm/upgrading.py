"""A hop to another version, node by node. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from atoll.hosts.command import Command, Operation, RemovePath, Result, WriteFile

from . import paths
from .configuration import build_upgrade_configuration, render_documents
from .facts import ANY_CODE, CORDON_ANNOTATION
from .installing import install_programs
from .values import Cluster

APPLY_SECONDS: Final = 1800.0
DRAIN_SECONDS: Final = 600
KEPT_SNAPSHOTS: Final = 2
_ETCD_FILES: Final = (
    "--endpoints=https://127.0.0.1:2379",
    f"--cacert={paths.PKI}/etcd/ca.crt",
    f"--cert={paths.PKI}/etcd/healthcheck-client.crt",
    f"--key={paths.PKI}/etcd/healthcheck-client.key",
)


def write_upgrade_configuration(cluster: Cluster) -> Operation:
    """Write what kubeadm is given on each node."""
    yield WriteFile(
        path=paths.UPGRADE_CONFIGURATION,
        content=render_documents(build_upgrade_configuration(cluster)),
        why="write what upgrade is given",
        mode=0o600,
    )


def plan_upgrade(cluster: Cluster) -> Operation:
    """Ask kubeadm whether it would do it: nothing moves if it would not."""
    yield from write_upgrade_configuration(cluster)
    yield Command(
        argv=("kubeadm", "config", "validate", "--config", paths.UPGRADE_CONFIGURATION),
        why="let kubeadm check its configuration",
    )
    yield Command(
        argv=("kubeadm", "upgrade", "plan", "--config", paths.UPGRADE_CONFIGURATION),
        why=f"ask kubeadm whether it can go to {cluster.version}",
        seconds=180,
    )


def save_snapshot(version: str, name: str, kept: Sequence[str]) -> Operation:
    """Take a snapshot of etcd, prove that it can be read, and drop all but the newest. `kept`: those that are there."""
    part, final = f"{paths.SNAPSHOTS}/{name}.part", f"{paths.SNAPSHOTS}/{name}"
    yield Command(argv=("mkdir", "-p", "-m", "0700", paths.SNAPSHOTS), why="make the folder of the snapshots")
    yield RemovePath(path=part, why="an earlier try was cut short")
    yield Command(
        argv=(paths.bundle_program(version, "etcdctl"), *_ETCD_FILES, "snapshot", "save", part),
        why="take a snapshot of etcd",
        seconds=300,
    )
    yield Command(
        argv=(paths.bundle_program(version, "etcdutl"), "snapshot", "status", part, "--write-out=json"),
        why="prove that the snapshot can be read",
        seconds=120,
    )
    yield Command(argv=("mv", "-fT", part, final), why="keep the snapshot")
    older = sorted((entry for entry in kept if entry != name), reverse=True)[KEPT_SNAPSHOTS - 1 :]
    for entry in older:
        yield RemovePath(path=f"{paths.SNAPSHOTS}/{entry}", why=f"only the {KEPT_SNAPSHOTS} newest snapshots are kept")


def apply_upgrade(cluster: Cluster) -> Operation:
    """Bring the control plane's pods and the add-ons to the version. kubeadm goes on where it was cut short."""
    yield from write_upgrade_configuration(cluster)
    yield Command(
        argv=("kubeadm", "upgrade", "apply", "--config", paths.UPGRADE_CONFIGURATION, "--yes"),
        why=f"bring the control plane to {cluster.version}",
        seconds=APPLY_SECONDS,
    )


def upgrade_node(cluster: Cluster) -> Operation:
    """Bring a worker's configuration to the version."""
    yield from write_upgrade_configuration(cluster)
    yield Command(
        argv=("kubeadm", "upgrade", "node", "--config", paths.UPGRADE_CONFIGURATION),
        why=f"bring the node's configuration to {cluster.version}",
        seconds=600,
    )


def drain_node(name: str, operation_id: str, *, seconds: int = DRAIN_SECONDS) -> Operation:
    """Cordon a node in our name, and send its pods away.

    The annotation says that the cordon is ours, so that we take it back, and never one that people have set.
    """
    yield Command(
        argv=(*paths.KUBECTL, "annotate", "node", name, f"{CORDON_ANNOTATION}={operation_id}", "--overwrite"),
        why=f"note on {name} that Atoll cordons it",
        seconds=60,
    )
    yield from evict_pods(name, seconds=seconds)


def evict_pods(name: str, *, seconds: int = DRAIN_SECONDS) -> Operation:
    """Send the pods of a node away."""
    yield Command(
        argv=(
            *paths.KUBECTL,
            "drain",
            name,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            f"--timeout={seconds}s",
        ),
        why=f"drain {name}",
        seconds=seconds + 30,
    )


def uncordon_node(name: str) -> Operation:
    """Let pods come back to a node that we cordoned."""
    yield Command(argv=(*paths.KUBECTL, "uncordon", name), why=f"let pods come back to {name}", seconds=60)
    yield Command(
        argv=(*paths.KUBECTL, "annotate", "node", name, f"{CORDON_ANNOTATION}-"),
        why="the cordon is gone",
        seconds=60,
        ok=ANY_CODE,
    )


def swap_kubelet(version: str) -> Operation:
    """Replace the kubelet; containers go on meanwhile."""
    yield Command(argv=("systemctl", "stop", "kubelet"), why="stop the kubelet", seconds=120)
    yield from install_programs(version, ("kubelet", "kubectl"))
    yield Command(argv=("systemctl", "daemon-reload"), why="let systemd read its units")
    yield Command(argv=("systemctl", "start", "kubelet"), why=f"start the kubelet {version}")


_BUDGET: Final = re.compile(
    r"error when evicting pods/\"(?P<pod>[^\"]+)\" -n \"(?P<namespace>[^\"]+)\"[^\n]*?: (?P<why>[^\n]+)"
)
_PODS_LIST: Final = re.compile(r"cannot delete (?P<why>[^:\n]*): (?P<pods>[^\n]+)")


def describe_blockers(result: Result) -> str:
    """Name what stopped a drain: each pod with its reason, out of what kubectl printed."""
    text = f"{result.out}\n{result.err}"
    found: dict[str, str] = {}
    for match in _BUDGET.finditer(text):
        # The first is the cause; the last one only says that time was up.
        found.setdefault(f"{match['namespace']}/{match['pod']}", match["why"].strip().rstrip("."))
    for match in _PODS_LIST.finditer(text):
        for pod in match["pods"].split(","):
            found.setdefault(pod.strip(), match["why"].strip())
    return "; ".join(f"pod {pod}: {why}" for pod, why in sorted(found.items()))
