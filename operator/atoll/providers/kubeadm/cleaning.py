"""A host is given back as it was: everything that came with the cluster goes, and that is proven. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from atoll.hosts.command import Command, Operation, RemovePath

from . import paths
from .facts import ANY_CODE
from .installing import NODE_PROGRAMS, remove_images
from .networking import BRIDGE, stop_routes
from .starting import reset_node
from .values import Before

EMPTIED: Final = (
    "/var/lib/kubelet",
    "/var/lib/etcd",
    "/var/lib/cni",
    paths.KUBERNETES,
    "/var/log/pods",
    "/var/log/containers",
)
"""Emptied where they were before, removed where they were not."""
OURS: Final = (
    paths.KUBELET_UNIT,
    paths.KUBEADM_DROP_IN,
    paths.ROUTES_UNIT,
    paths.SYSCTL,
    paths.MODULES,
    *(f"{paths.PROGRAMS}/{program}" for program in NODE_PROGRAMS),
)


def clean_host(
    before: Before,
    *,
    ignored: tuple[str, ...],
    has_kubeadm: bool,
    images: Sequence[str],
    tables: Sequence[str],
    networks: Sequence[str],
) -> Operation:
    """Undo a node and remove all that came with it. `images`, `tables`, `networks`: what is there now."""
    if has_kubeadm:
        # What it could not do is done below, and the proof at the end has the last word.
        yield from reset_node(ignored, why="its cluster is deleted", ok=frozenset({0, 1}))
    yield Command(argv=("systemctl", "disable", "--now", "kubelet"), why="stop the kubelet", ok=ANY_CODE, seconds=120)
    yield from stop_routes()
    yield Command(argv=("sh", "-c", _END_CONTAINERS), why="end what containers are left", seconds=180)
    yield from remove_images((name for name in images if name not in before.images), why="it came with the cluster")
    yield Command(argv=("ip", "link", "delete", BRIDGE), why="remove the pods' bridge", ok=ANY_CODE)
    yield Command(argv=("sh", "-c", _DROP_CHAINS), why="remove the rules of kubelet, kube-proxy and CNI", ok=ANY_CODE)
    for table in tables:
        if table not in before.tables:
            yield Command(argv=("nft", "delete", "table", *table.split()), why=f"remove the table {table}", ok=ANY_CODE)
    for name in networks:
        if name not in before.networks:
            yield RemovePath(path=f"{paths.CNI_CONFIGURATION}/{name}", why="it came with the cluster")
    for path in OURS:
        yield RemovePath(path=path, why="it came with the cluster")
    for path in EMPTIED:
        if path in before.folders:
            yield Command(
                argv=("find", path, "-xdev", "-mindepth", "1", "-delete"), why=f"empty {path}", ok=ANY_CODE, seconds=120
            )
        else:
            yield RemovePath(path=path, why="it came with the cluster")
    for path in sorted(set(paths.COMPONENT_FOLDERS) - set(EMPTIED) - set(before.folders)):
        yield Command(
            argv=("sh", "-c", _REMOVE_EMPTY, "sh", path), why=f"remove {path} if nobody else uses it", ok=ANY_CODE
        )
    if before.forwarding == "0":
        yield Command(argv=("sysctl", "--write", "net.ipv4.ip_forward=0"), why="forward no more packets", ok=ANY_CODE)
    yield Command(argv=("sh", "-c", _REMOVE_GROUPS), why="remove the pods' empty control groups", ok=ANY_CODE)
    yield Command(argv=("systemctl", "daemon-reload"), why="let systemd forget our units")
    yield Command(argv=("systemctl", "reset-failed"), why="forget what failed", ok=ANY_CODE)
    yield prove_clean(before)


def prove_clean(before: Before) -> Command:
    """Fail, naming it, if anything of the cluster is left."""
    gone = [*OURS, *(path for path in EMPTIED if path not in before.folders)]
    empty = [path for path in EMPTIED if path in before.folders]
    return Command(
        argv=("sh", "-c", _PROVE, "sh", *gone, "--", *empty),
        why="prove that nothing of the cluster is left",
        seconds=60,
    )


_END_CONTAINERS: Final = """\
points=
for task in $(ctr -n k8s.io tasks ls -q 2>/dev/null); do ctr -n k8s.io tasks kill --signal SIGKILL --all "$task"; done
n=0
while [ -n "$(ctr -n k8s.io tasks ls 2>/dev/null | grep -v -e '^TASK' -e STOPPED)" ] && [ $n -lt 50 ]; do
  sleep 0.2; n=$((n + 1))
done
for task in $(ctr -n k8s.io tasks ls -q 2>/dev/null); do ctr -n k8s.io tasks delete --force "$task"; done
for container in $(ctr -n k8s.io containers ls -q 2>/dev/null); do ctr -n k8s.io containers delete "$container"; done
while read -r _ _ _ _ point _; do
  case $point in /var/lib/kubelet/*) points="$point $points" ;; esac
done < /proc/self/mountinfo
for point in $points; do umount "$point" || umount -l "$point"; done
for name in /run/netns/cni-*; do
  if [ -e "$name" ]; then umount -l "$name"; rm -f "$name"; fi
done
true
"""
_DROP_CHAINS: Final = """\
for family in iptables ip6tables; do
  command -v "$family-save" >/dev/null || continue
  rules=$("$family-save") || continue
  case $rules in
    *KUBE-*|*CNI-*|*cali-*|*FLANNEL*|*CILIUM_*)
      printf '%s\\n' "$rules" | grep -v -e KUBE- -e CNI- -e cali- -e FLANNEL -e CILIUM_ | "$family-restore" ;;
  esac
done
true
"""
_REMOVE_EMPTY: Final = 'if [ -d "$1" ]; then find "$1" -xdev -depth -type d -empty -delete; fi'
_REMOVE_GROUPS: Final = """\
systemctl stop kubepods.slice 2>/dev/null
find /sys/fs/cgroup -depth -type d \\( -path '*/kubepods' -o -path '*/kubepods/*' -o -path '*/kubepods.slice*' \\) \\
  -exec rmdir {} + 2>/dev/null
true
"""
_PROVE: Final = """\
left=
note() { left="$left
$1"; }
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  if [ -e "$1" ] || [ -L "$1" ]; then note "$1"; fi
  shift
done
shift
for folder in "$@"; do
  if [ -n "$(find "$folder" -xdev -mindepth 1 2>/dev/null | head -n 1)" ]; then note "files in $folder"; fi
done
for program in kubelet kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do
  for process in $(ps -C "$program" -o pid= 2>/dev/null); do note "process $process ($program)"; done
done
if [ -n "$(ctr -n k8s.io containers ls -q 2>/dev/null)" ]; then note "containers in containerd"; fi
while read -r _ _ _ _ point _; do
  case $point in /var/lib/kubelet/*|/run/netns/cni-*) note "mount $point" ;; esac
done < /proc/self/mountinfo
for table in 'ip kube-proxy' 'ip6 kube-proxy' 'ip atoll'; do
  if nft list table $table >/dev/null 2>&1; then note "packet filter table $table"; fi
done
if ip link show cni0 >/dev/null 2>&1; then note 'bridge cni0'; fi
if [ -n "$left" ]; then printf 'still there:%s\\n' "$left" >&2; exit 1; fi
"""
