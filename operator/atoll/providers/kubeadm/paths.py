"""Where things lie on a host. Everything of Atoll's own is below `/var/lib/atoll`, which only root can read."""

from __future__ import annotations

from typing import Final

ATOLL: Final = "/var/lib/atoll"
OWNER: Final = f"{ATOLL}/owner.json"
CLUSTER: Final = f"{ATOLL}/cluster.json"
"""What the cluster is; on its control-plane host."""
OPERATION: Final = f"{ATOLL}/operation.json"
"""The latest operation; on the control-plane host."""
BEFORE: Final = f"{ATOLL}/before.json"
"""What the host was like before it got into the cluster: cleaning removes what came with it and nothing else."""
NODE: Final = f"{ATOLL}/node.json"
"""The last thing that init and join write: with it, the host is a node; without it, it may be half of one."""
KUBECONFIG: Final = f"{ATOLL}/kubeconfig"
"""Atoll's own identity in the cluster. Secret."""
JOBS: Final = f"{ATOLL}/jobs"
"""The journals of all jobs; kept by the transport."""
SNAPSHOTS: Final = f"{ATOLL}/snapshots"
BUNDLE: Final = f"{ATOLL}/bundle"
NETWORK: Final = f"{ATOLL}/network"
CONFIGURATION: Final = f"{ATOLL}/kubeadm"
INIT_CONFIGURATION: Final = f"{CONFIGURATION}/init.yaml"
JOIN_CONFIGURATION: Final = f"{CONFIGURATION}/join.yaml"
RESET_CONFIGURATION: Final = f"{CONFIGURATION}/reset.yaml"
UPGRADE_CONFIGURATION: Final = f"{CONFIGURATION}/upgrade.yaml"
CLUSTER_CONFIGURATION: Final = f"{CONFIGURATION}/cluster.yaml"
"""What init was given, without its token."""

KUBERNETES: Final = "/etc/kubernetes"
ADMIN: Final = f"{KUBERNETES}/admin.conf"
KUBELET_KUBECONFIG: Final = f"{KUBERNETES}/kubelet.conf"
KUBECTL: Final = ("kubectl", "--kubeconfig", ADMIN, "--cache-dir", f"{ATOLL}/cache")
"""Asks as the cluster's administrator, on the control-plane host; nothing is left in root's home."""
PKI: Final = f"{KUBERNETES}/pki"
API_SERVER_MANIFEST: Final = f"{KUBERNETES}/manifests/kube-apiserver.yaml"
LOGIN: Final = f"{KUBERNETES}/atoll"
"""A folder that the API server sees, and not a single file: a mounted file would stay the old one for ever."""
AUTHENTICATION: Final = f"{LOGIN}/authentication.json"
"""How people log in: the API server reads it again by itself."""
PROGRAMS: Final = "/usr/bin"
CNI_CONFIGURATION: Final = "/etc/cni/net.d"
CONFLIST: Final = f"{CNI_CONFIGURATION}/10-atoll.conflist"
UNITS: Final = "/etc/systemd/system"
KUBELET_UNIT: Final = f"{UNITS}/kubelet.service"
KUBELET_DROP_INS: Final = f"{UNITS}/kubelet.service.d"
KUBEADM_DROP_IN: Final = f"{KUBELET_DROP_INS}/10-kubeadm.conf"
ROUTES_SERVICE: Final = "atoll-routes.service"
ROUTES_UNIT: Final = f"{UNITS}/{ROUTES_SERVICE}"
MASQUERADE: Final = f"{NETWORK}/masquerade.nft"
SYSCTL: Final = "/etc/sysctl.d/99-atoll.conf"
MODULES: Final = "/etc/modules-load.d/atoll.conf"
CRI_SOCKET: Final = "unix:///run/containerd/containerd.sock"

COMPONENT_FOLDERS: Final = (
    KUBERNETES,
    "/var/lib/kubelet",
    "/var/lib/etcd",
    "/var/lib/cni",
    CNI_CONFIGURATION,
    "/var/log/pods",
    "/var/log/containers",
    "/usr/libexec/kubernetes",
    "/var/run/kubernetes",
    KUBELET_DROP_INS,
    "/etc/sysctl.d",
    "/etc/modules-load.d",
)
"""Folders that kubeadm, kubelet and the pod network fill. Some of them may have been there before."""


def bundle_program(version: str, program: str) -> str:
    """Return where a program of a version waits on the host."""
    return f"{BUNDLE}/{version}/bin/{program}"


def bundle_images(version: str) -> str:
    """Return the folder with the image archives of a version on the host."""
    return f"{BUNDLE}/{version}/images"
