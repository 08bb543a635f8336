"""What must hold of a cluster when all is mended: one identity, one API server, the right nodes, nothing done twice."""

from __future__ import annotations

from tests.e2e.hosts.rig import RigHost
from tests.support.home import condition_of

from . import breaking
from .scenario import FaultFailed
from .scene import CHILD, Scene

PROCESSES = ("kube-apiserver", "etcd", "kube-controller", "kube-scheduler")
"""As the kernel cuts their names."""


def check_cluster(scene: Scene, version: str, *, inits: int) -> None:
    """Compare the cluster with what it must be; it is Ready."""
    home = scene.home
    kubeconfig = home.child_kubeconfig(CHILD)
    uid = home.get("namespace", "kube-system", namespace="", kubeconfig=kubeconfig)["metadata"]["uid"]
    if not uid == scene.child()["spec"]["clusterUID"] == scene.uid:
        raise FaultFailed(f"the cluster is {uid}, pinned is {scene.uid}")
    found = {
        item["metadata"]["name"]: (item["status"]["nodeInfo"]["kubeletVersion"], condition_of(item, "Ready")["status"])
        for item in home.get("node", namespace="", kubeconfig=kubeconfig)["items"]
    }
    if found != {host.name: (version, "True") for host in scene.hosts}:
        raise FaultFailed(f"nodes are {found}")
    for host in scene.hosts:
        wanted = 1 if host is scene.first else 0
        counts = {name: count_processes(host, name) for name in PROCESSES}
        if set(counts.values()) != {wanted}:
            raise FaultFailed(f"{host.name} has {counts}")
    called = breaking.count_calls(scene.first, "init ")
    if called != inits:
        raise FaultFailed(f"kubeadm init was called {called} times, and {inits} are right")
    left = home.kubectl("get", "secrets", "-n", "kube-system", "-o", "name", kubeconfig=kubeconfig).stdout
    if "bootstrap-token-" in left:
        raise FaultFailed(f"a token is left: {left}")
    if trouble := scene.traceback():
        raise FaultFailed(f"the operator's log holds a traceback: {trouble}")


def count_processes(host: RigHost, name: str) -> int:
    """Return how many processes of a name are on a host."""
    return len(host.run("pgrep", "-x", name[:15], check=False).stdout.split())


def list_operations(host: RigHost) -> tuple[str, ...]:
    """List the operations whose jobs a host remembers."""
    jobs = host.run("ls", "/var/lib/atoll/jobs", check=False).stdout.split()
    return tuple(sorted({job.partition(".")[0] for job in jobs}))
