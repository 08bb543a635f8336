"""What comes onto a host before kubeadm: programs, images, the kubelet's unit, kernel settings. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from atoll.hosts.command import Action, Command, Operation, RemovePath, WriteFile

from . import paths
from .documents import render
from .facts import ANY_CODE
from .values import Before

NODE_PROGRAMS: Final = ("kubeadm", "kubelet", "kubectl")
ETCD_PROGRAMS: Final = ("etcdctl", "etcdutl")
"""Not installed: they run from the bundle's folder, on the control-plane host."""

KUBELET_UNIT: Final = """\
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
"""
"""As in the packages of the Kubernetes project, and the drop-in, too."""

KUBEADM_DROP_IN: Final = """\
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"""  # noqa: E501 - systemd and upstream write it in one line

KERNEL_SETTINGS: Final = "net.ipv4.ip_forward = 1\n-net.bridge.bridge-nf-call-iptables = 1\n"

PINNED: Final = "io.cri-containerd.pinned=pinned"
"""An image out of a bundle could not be pulled again: the kubelet's garbage collection shall leave it."""


def note_before(before: Before) -> Operation:
    """Write down what the host was like, once."""
    yield WriteFile(
        path=paths.BEFORE,
        content=render(before),
        why="note what the host was like, for the day when it is cleaned",
        mode=0o600,
    )


def install_programs(version: str, programs: Iterable[str]) -> Operation:
    """Install programs of a version out of the bundle."""
    for program in programs:
        yield Command(
            argv=(
                "install",
                "--mode=0755",
                paths.bundle_program(version, program),
                f"{paths.PROGRAMS}/{program}",
            ),
            why=f"install {program} {version}",
            seconds=120,
        )


def load_images(
    version: str, archives: Iterable[tuple[str, tuple[str, ...]]], *, sandbox: str, pause: str
) -> Operation:
    """Load image archives (file name, names of its images) into containerd, and remove the archives.

    `sandbox`: the pause image that containerd's own configuration asks for; the bundle's `pause` gets that name, so
    that nobody's configuration is rewritten.
    """
    folder = paths.bundle_images(version)
    for archive, names in archives:
        yield _ctr("import", f"{folder}/{archive}", why=f"load {', '.join(names) or archive}", seconds=300)
        for name in names:
            yield _ctr("label", name, PINNED, why=f"keep {name} from garbage collection")
    if pause and sandbox and sandbox != pause:
        yield _ctr("tag", "--force", pause, sandbox, why=f"let {pause} serve as {sandbox}, which containerd asks for")
        yield _ctr("label", sandbox, PINNED, why=f"keep {sandbox} from garbage collection")
    yield RemovePath(path=folder, why="the archives have been loaded")


def remove_images(names: Iterable[str], why: str) -> Operation:
    """Remove images that nobody needs any more."""
    for name in names:
        yield _ctr("rm", "--sync", name, why=f"remove {name}: {why}", ok=ANY_CODE, seconds=120)


def check_images(version: str) -> Operation:
    """Check that containerd has all images that kubeadm will ask for: nothing is pulled from anywhere."""
    yield Command(
        argv=("sh", "-c", _CHECK_IMAGES, "sh", version),
        why=f"check that all images of {version} are there",
        seconds=60,
    )


_CHECK_IMAGES: Final = """\
wanted=$(kubeadm config images list --kubernetes-version "$1") || exit 1
there=$(ctr -n k8s.io images ls -q) || exit 1
missing=
for image in $wanted; do
  printf '%s\\n' "$there" | grep -q -x -F -- "$image" || missing="$missing $image"
done
if [ -n "$missing" ]; then echo "the bundle lacks:$missing" >&2; exit 1; fi
"""


def prepare_system(*, has_module: bool) -> Operation:
    """Let the host forward packets, also after a reboot, and give it the kubelet's unit."""
    if has_module:
        yield WriteFile(path=paths.MODULES, content="br_netfilter\noverlay\n", why="load what containers need at boot")
        yield Command(
            argv=("modprobe", "--all", "br_netfilter", "overlay"), why="load what containers need", ok=ANY_CODE
        )
    yield WriteFile(path=paths.SYSCTL, content=KERNEL_SETTINGS, why="let the host forward packets after a reboot, too")
    yield Command(argv=("sysctl", "--write", "net.ipv4.ip_forward=1"), why="let the host forward packets")
    yield Command(
        argv=("sysctl", "--write", "net.bridge.bridge-nf-call-iptables=1"),
        why="let Services work inside a host, too, where the kernel needs to be told",
        ok=ANY_CODE,
    )
    yield WriteFile(path=paths.KUBELET_UNIT, content=KUBELET_UNIT, why="let systemd run the kubelet")
    yield WriteFile(path=paths.KUBEADM_DROP_IN, content=KUBEADM_DROP_IN, why="let kubeadm configure the kubelet")
    yield Command(argv=("systemctl", "daemon-reload"), why="let systemd read the unit")
    yield Command(argv=("systemctl", "enable", "kubelet"), why="let the kubelet start with the host")


def restart_kubelet() -> Operation:
    """Restart the kubelet; pods go on."""
    yield Command(argv=("systemctl", "restart", "kubelet"), why="let the kubelet run what is installed now")


def _ctr(*arguments: str, why: str, ok: frozenset[int] = frozenset({0}), seconds: float = 30.0) -> Action:
    return Command(argv=("ctr", "--namespace", "k8s.io", "images", *arguments), why=why, ok=ok, seconds=seconds)
