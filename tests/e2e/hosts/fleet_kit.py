"""The fleet of the host stories: one pool, and a set of one cluster on two of its hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from tests.e2e.hosts.rig import Rig, RigHost

Json = dict[str, Any]
API = "atoll.dev/v1alpha1"

RIG_CONFIGURATION = {
    "cluster.yaml": {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        # With one control plane, a kubelet that replaces etcd waits half a minute for an API server that has no etcd.
        "apiServer": {"extraArgs": [{"name": "request-timeout", "value": "5s"}]},
    },
    "kubelet.yaml": {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
    },
    "kube-proxy.yaml": {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    },
}
"""What hosts need that share the kernel of the machine that they run on, and waits that tests can do without."""


def build_key_secret(rig: Rig) -> Json:
    """The login key, as people store it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "rack-key", "namespace": "fleet"},
        "type": "kubernetes.io/ssh-auth",
        "stringData": {"ssh-privatekey": rig.private_key},
    }


def build_configuration() -> Json:
    """The ConfigMap of `configRef`."""
    data = {name: yaml.safe_dump(document) for name, document in RIG_CONFIGURATION.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rig", "namespace": "fleet"}, "data": data}


def build_pool(hosts: Sequence[RigHost], **more: Any) -> Json:
    """A pool of these hosts."""
    listed = [
        {"name": host.name, "address": host.address, "hostKey": host.host_key, "labels": {"zone": "a"}}
        for host in hosts
    ]
    spec = {"ssh": {"user": "root", "keySecretRef": {"name": "rack-key"}}, "hosts": listed, **more}
    return {"apiVersion": API, "kind": "HostPool", "metadata": {"name": "rack", "namespace": "fleet"}, "spec": spec}


def build_set(rig: Rig, version: str, *, workers: int = 1, name: str = "racks", **kubeadm: Any) -> Json:
    """A set of one cluster with one control-plane host."""
    block = {
        "hostPoolRef": {"name": "rack"},
        "controlPlaneHosts": 1,
        "workerHosts": workers,
        "hostSelector": {"matchLabels": {"zone": "a"}},
        "source": {"bundlePath": str(rig.bundle_path)},
        "podNetwork": {"bridge": {}},
        "configRef": {"name": "rig"},
        "ignorePreflightErrors": [{"name": "SystemVerification", "reason": "throw-away hosts on control groups v1"}],
        **kubeadm,
    }
    spec = {
        "version": version,
        "provider": {"kubeadm": block},
        "clusters": [{"name": "dev", "labels": {"stage": "dev"}}],
        "network": {"addressBlock": "10.160.0.0/12"},
        "upgrade": {"waves": [{"name": "all", "clusterSelector": {"matchLabels": {"stage": "dev"}}}]},
        "deletionPolicy": "Delete",
    }
    return {"apiVersion": API, "kind": "ClusterSet", "metadata": {"name": name, "namespace": "fleet"}, "spec": spec}
