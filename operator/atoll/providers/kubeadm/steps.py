"""Which steps an operation has, for people and for carrying them out. Pure.

A step is begun again after a crash, and everything in it finds out what is done already: by the journal of its jobs, or
by looking. So the list may be walked as often as it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from atoll.fleet.cluster import Operation, OperationType

from .values import Cluster, Node


class Kind(StrEnum):
    """What a step does; its key in the ids of jobs."""

    TAKE = "take"
    COPY = "copy"
    PREPARE = "prepare"
    INIT = "init"
    IDENTITY = "identity"
    JOIN = "join"
    NETWORK = "network"
    READY = "ready"
    RECORD = "record"
    RENEW = "renew"
    LOAD = "load"
    PLAN = "plan"
    SNAPSHOT = "snapshot"
    APPLY = "apply"
    CONFIGURE = "configure"
    DRAIN = "drain"
    SWAP = "swap"
    UNCORDON = "uncordon"
    SERVICES = "services"
    TIDY = "tidy"
    START = "start"
    CLEAN = "clean"
    LOGIN = "login"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step."""

    kind: Kind
    name: str
    """For people: what is being done."""
    why: str
    nodes: tuple[str, ...]
    """Whose hosts it works on."""

    def __str__(self) -> str:
        return f"{self.name} [{', '.join(self.nodes)}]: {self.why}"


def plan_steps(operation: Operation, cluster: Cluster) -> tuple[Step, ...]:
    """Expand an operation into its steps."""
    match operation.type:
        case OperationType.CREATE:
            return _plan_create(cluster)
        case OperationType.CHANGE:
            is_hop = operation.from_version != operation.to_version
            return _plan_hop(cluster) if is_hop else _plan_settings(cluster)
        case OperationType.REPAIR:
            return _plan_repair(cluster)
        case OperationType.DELETE:
            return _plan_delete(cluster)
        case OperationType.REVERT | OperationType.DRILL:
            return ()


def _plan_create(cluster: Cluster) -> tuple[Step, ...]:
    every, first = _names(cluster.nodes), _names((cluster.control_plane,))
    version = cluster.version
    return (
        _step(Kind.TAKE, "take the hosts", "nobody else may use them from now on", every),
        _step(Kind.COPY, "copy programs and images", f"{version} is not on the hosts yet", every),
        _step(Kind.PREPARE, "prepare the hosts", "kubeadm needs its programs, images and kernel settings", every),
        _step(Kind.INIT, "make the control plane", f"kubeadm makes {cluster.ref.name} at {version}", first),
        _step(Kind.IDENTITY, "make Atoll's identity", "Atoll does not use the administrator's", first),
        *_join(cluster),
        *_finish(cluster),
    )


def _plan_settings(cluster: Cluster) -> tuple[Step, ...]:
    every, first = _names(cluster.nodes), _names((cluster.control_plane,))
    return (
        _step(Kind.TAKE, "take the hosts", "there may be new ones", every),
        _step(Kind.COPY, "copy programs and images", "what is lost or changed is put back", every),
        _step(Kind.PREPARE, "prepare the hosts", "what is lost or changed is put back", every),
        _step(Kind.RENEW, "renew old certificates", "they would end, and the cluster with them", first),
        _step(Kind.IDENTITY, "make Atoll's identity", "a young certificate lasts longer", first),
        _step(Kind.LOGIN, "write how people log in", "the API server reads it again by itself", first),
        *_join(cluster),
        *_finish(cluster),
    )


def _plan_hop(cluster: Cluster) -> tuple[Step, ...]:
    every, first = _names(cluster.nodes), _names((cluster.control_plane,))
    version = cluster.version
    return (
        _step(Kind.COPY, "copy programs and images", f"{version} is not on the hosts yet", every),
        _step(Kind.LOAD, "load images and kubeadm", "nothing is fetched once a node has been drained", every),
        _step(Kind.PLAN, "ask kubeadm's own plan", "nothing moves if kubeadm would refuse", first),
        _step(Kind.SNAPSHOT, "take a snapshot of etcd", "there shall be a way back, by hand at least", first),
        _step(Kind.APPLY, "upgrade the control plane", f"API servers go before kubelets to {version}", first),
        *(step for node in cluster.nodes for step in _hop_node(cluster, node)),
        _step(Kind.READY, "wait until the cluster is ready", "every node, and names are served", first),
        _step(Kind.SERVICES, "check a Service on each node", "a new kube-proxy can break what it found", every),
        _step(Kind.IDENTITY, "make Atoll's identity", "a young certificate lasts longer", first),
        _step(Kind.LOGIN, "write how people log in", "the API server reads it again by itself", first),
        _step(Kind.TIDY, "remove the old images", "they are of no use any more", every),
        _step(Kind.RECORD, "record", "what runs now is written down", every),
    )


def _hop_node(cluster: Cluster, node: Node) -> tuple[Step, ...]:
    one = (node.name,)
    # With nowhere to go, draining would only make pods wait; the kubelet can be swapped under them.
    alone = len(cluster.nodes) == 1
    is_first = node == cluster.control_plane
    drain = _step(Kind.DRAIN, f"drain {node.name}", "its pods shall not see the kubelet change", one)
    uncordon = _step(Kind.UNCORDON, f"let pods back to {node.name}", "it is ready and the API is steady", one)
    configure = _step(Kind.CONFIGURE, f"configure {node.name}", "kubeadm brings its configuration along", one)
    return (
        *(() if is_first else (configure,)),
        *(() if alone else (drain,)),
        _step(Kind.SWAP, f"swap the kubelet of {node.name}", f"it goes to {cluster.version}", one),
        *(() if alone else (uncordon,)),
    )


def _plan_repair(cluster: Cluster) -> tuple[Step, ...]:
    every = _names(cluster.nodes)
    return (
        _step(Kind.START, "start what is missing", "containerd, kubelet and routes shall run on each host", every),
        *_finish(cluster),
    )


def _plan_delete(cluster: Cluster) -> tuple[Step, ...]:
    first = _names((cluster.control_plane,))
    workers = _names(cluster.workers)
    return (
        *((_step(Kind.CLEAN, "clean the workers", "each host goes back as it was", workers),) if workers else ()),
        _step(Kind.CLEAN, "clean the control plane", "last, for it holds the journal", first),
    )


def _join(cluster: Cluster) -> tuple[Step, ...]:
    if not cluster.workers:
        return ()
    return (
        _step(Kind.JOIN, "let workers join", "with a token that is deleted after its use", _names(cluster.workers)),
    )


def _finish(cluster: Cluster) -> tuple[Step, ...]:
    every, first = _names(cluster.nodes), _names((cluster.control_plane,))
    return (
        _step(Kind.NETWORK, "connect the pods", "nodes are not ready without a pod network", every),
        _step(Kind.READY, "wait until the cluster is ready", "every node, and names are served", first),
        _step(Kind.RECORD, "record", "what runs now is written down", every),
    )


def _names(nodes: tuple[Node, ...]) -> tuple[str, ...]:
    return tuple(node.name for node in nodes)


def _step(kind: Kind, name: str, why: str, nodes: tuple[str, ...]) -> Step:
    return Step(kind=kind, name=name, why=why, nodes=nodes)
