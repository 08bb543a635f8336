"""kubeadm's own configuration (v1beta4), from values to YAML. Pure.

Only what differs from kubeadm's defaults is said, so that its next version keeps its own good defaults.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

import yaml

from .merge import API_VERSIONS, LOGIN_ARGUMENT, LOGIN_VOLUME, merge
from .paths import AUTHENTICATION, CRI_SOCKET, LOGIN
from .values import API_PORT, Cluster, Node, choose_node_prefix

KUBEADM: Final = API_VERSIONS["ClusterConfiguration"]
KUBELET: Final = API_VERSIONS["KubeletConfiguration"]
KUBE_PROXY: Final = API_VERSIONS["KubeProxyConfiguration"]
DEFAULT_NODE_PREFIX: Final = 24
TOKEN_TTL: Final = "15m0s"  # noqa: S105 - how long a token lives, and not a token

Document = dict[str, Any]


class _PlainDumper(yaml.SafeDumper):
    """Writes equal values in full each time: people read these files."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never use anchors."""
        del data
        return True


def build_cluster_configuration(cluster: Cluster) -> Document:
    """Return what the cluster is."""
    own: Document = {
        "apiVersion": KUBEADM,
        "kind": "ClusterConfiguration",
        "clusterName": cluster.ref.name,
        "kubernetesVersion": cluster.version,
        "controlPlaneEndpoint": cluster.endpoint,
        "networking": {
            "podSubnet": cluster.pod_cidr,
            "serviceSubnet": cluster.service_cidr,
            "dnsDomain": "cluster.local",
        },
        "apiServer": {"certSANs": [cluster.control_plane.address], **build_login(cluster)},
    }
    prefix = choose_node_prefix(cluster.pod_cidr)
    if prefix != DEFAULT_NODE_PREFIX:
        own["controllerManager"] = {"extraArgs": [{"name": "node-cidr-mask-size", "value": str(prefix)}]}
    return merge(own, cluster.overrides.get("ClusterConfiguration", {}))


def build_login(cluster: Cluster) -> Document:
    """Return what lets the API server read how people log in; from the beginning, as adding it would mean a restart."""
    if not cluster.reads_authentication:
        return {}
    volume = {"name": LOGIN_VOLUME, "hostPath": LOGIN, "mountPath": LOGIN, "readOnly": True}
    return {
        "extraArgs": [{"name": LOGIN_ARGUMENT, "value": AUTHENTICATION}],
        "extraVolumes": [{**volume, "pathType": "DirectoryOrCreate"}],
    }


def build_init_configuration(cluster: Cluster, token: str = "") -> Document:
    """Return how the first control-plane node is made. With a token it is secret."""
    node = cluster.control_plane
    registration = build_registration(node, cluster.settings.ignored)
    if not cluster.workers:
        # Nobody else could run anything.
        registration["taints"] = []
    document: Document = {
        "apiVersion": KUBEADM,
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": node.address, "bindPort": API_PORT},
        "nodeRegistration": registration,
    }
    if token:
        # Without any, kubeadm would make one that lives for a day.
        document["bootstrapTokens"] = [{"token": token, "ttl": TOKEN_TTL, "description": "made by Atoll for init"}]
    return document


def build_join_configuration(cluster: Cluster, node: Node, token: str, ca_hash: str) -> Document:
    """Return how a worker joins. Secret."""
    return {
        "apiVersion": KUBEADM,
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {"apiServerEndpoint": cluster.endpoint, "token": token, "caCertHashes": [ca_hash]}
        },
        "nodeRegistration": build_registration(node, cluster.settings.ignored),
    }


def build_upgrade_configuration(cluster: Cluster) -> Document:
    """Return how nodes are brought to the cluster's version."""
    ignored = {"ignorePreflightErrors": list(cluster.settings.ignored)} if cluster.settings.ignored else {}
    return {
        "apiVersion": KUBEADM,
        "kind": "UpgradeConfiguration",
        "apply": {"kubernetesVersion": cluster.version, "imagePullPolicy": "IfNotPresent", **ignored},
        "node": {"imagePullPolicy": "IfNotPresent", **ignored},
        "plan": {"kubernetesVersion": cluster.version, **ignored},
    }


def build_reset_configuration(ignored: tuple[str, ...]) -> Document:
    """Return how a node is undone."""
    document: Document = {
        "apiVersion": KUBEADM,
        "kind": "ResetConfiguration",
        "criSocket": CRI_SOCKET,
        "cleanupTmpDir": True,
        "force": True,
    }
    if ignored:
        document["ignorePreflightErrors"] = list(ignored)
    return document


def build_kubelet_configuration(cluster: Cluster) -> Document:
    """Return how the kubelets of the cluster work."""
    own: Document = {"apiVersion": KUBELET, "kind": "KubeletConfiguration", "cgroupDriver": "systemd"}
    return merge(own, cluster.overrides.get("KubeletConfiguration", {}))


def build_kube_proxy_configuration(cluster: Cluster) -> Document:
    """Return how the kube-proxies of the cluster work."""
    own: Document = {"apiVersion": KUBE_PROXY, "kind": "KubeProxyConfiguration"}
    return merge(own, cluster.overrides.get("KubeProxyConfiguration", {}))


def build_registration(node: Node, ignored: tuple[str, ...]) -> Document:
    """Return how a node calls itself: its name is that of the host in its pool, whatever the machine's own name is."""
    registration: Document = {
        "name": node.name,
        "criSocket": CRI_SOCKET,
        "imagePullPolicy": "IfNotPresent",
        "kubeletExtraArgs": [{"name": "node-ip", "value": node.address}],
    }
    if ignored:
        registration["ignorePreflightErrors"] = list(ignored)
    return registration


def render_init(cluster: Cluster, token: str = "") -> str:
    """Return all that init is given. With a token it is secret."""
    return render_documents(
        build_init_configuration(cluster, token),
        build_cluster_configuration(cluster),
        build_kubelet_configuration(cluster),
        build_kube_proxy_configuration(cluster),
    )


def render_documents(*documents: Mapping[str, Any]) -> str:
    """Return documents as one YAML text."""
    return yaml.dump_all((dict(document) for document in documents), Dumper=_PlainDumper, sort_keys=False)


def is_address(text: str) -> bool:
    """Say whether a text is an IP address, as the node-ip and the advertised address must be."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
