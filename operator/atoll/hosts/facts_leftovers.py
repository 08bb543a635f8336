"""What an earlier cluster has left on a machine, or what a cluster has there: one short phrase each.

A host goes back into its pool only when this finds nothing, so it looks at what `kubeadm reset` leaves behind too:
network configuration, links, tables of the packet filter, containers, mounts, units. Programs and unit files that came
with packages or the host's image are no leftovers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from .sections import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOwner:
    """Whose journal is on the host. Empty id: nobody's."""

    id: str = ""
    role: str = ""
    fleet: str = ""
    cluster: str = ""


def parse_owner(text: str) -> HostOwner:
    """Read owner.json. What cannot be read belongs to somebody all the same."""
    if not text:
        return HostOwner()
    try:
        owner = json.loads(text)
        names = {name: str(owner.get(name, "")) for name in ("role", "fleet", "cluster")}
        return HostOwner(id=str(owner["clusterID"]), **names)
    except (ValueError, KeyError, AttributeError, TypeError):
        return HostOwner(id="(unreadable owner.json)")


def parse_leftovers(text: str) -> tuple[str, ...]:
    """Read one phrase per line, each once."""
    return tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


_FILES: Final = """\
find /etc/kubernetes -mindepth 1 ! -type d | head -n 20
for folder in /var/lib/kubelet /var/lib/etcd /var/lib/cni /var/lib/calico /var/lib/cilium /var/lib/atoll \\
  /var/lib/atoll.leaving /var/lib/rancher /var/lib/k0s; do
  if [ -n "$(ls -A "$folder" | head -n 1)" ]; then echo "files in $folder"; fi
done
for file in /etc/cni/net.d/*.conf /etc/cni/net.d/*.conflist /etc/cni/net.d/*.json /etc/systemd/system/kubelet.service \\
  /etc/systemd/system/kubelet.service.d/*.conf /etc/systemd/system/atoll-routes.service /etc/sysctl.d/*atoll* \\
  /etc/modules-load.d/*atoll*; do
  if [ -e "$file" ]; then echo "$file"; fi
done
"""
_NETWORK: Final = """\
for path in /sys/class/net/*; do
  link=${path##*/}
  case $link in cni[0-9]*|flannel*|cali*|cilium*|lxc*|vxlan.calico|kube-*|nodelocaldns|weave|datapath|antrea-gw*)
    echo "link $link" ;;
  esac
done
for name in /run/netns/cni-*; do if [ -e "$name" ]; then echo "network namespace ${name##*/}"; fi; done
if command -v nft >/dev/null; then
  nft list chains | while read -r word one two _; do
    case $word in
      table) table="$one $two" ;;
      chain) case $one in KUBE-*|CNI-*|cali-*|FLANNEL*|CILIUM_*) echo "packet filter chains in table $table" ;; esac ;;
    esac
  done | sort -u
  nft list tables | while read -r _ family table; do
    case $table in kube-proxy|atoll|*cilium*|*calico*|*flannel*) echo "packet filter table $family $table" ;; esac
  done
fi
if [ -s /proc/net/ip_tables_names ] && command -v iptables-legacy-save >/dev/null; then
  if iptables-legacy-save | grep -q -E '^:(KUBE-|CNI-|cali-|FLANNEL|CILIUM_)'; then
    echo 'packet filter chains in legacy iptables'
  fi
fi
"""
_RUNNING: Final = """\
if [ -S /run/containerd/containerd.sock ]; then
  count=$(timeout 5 ctr --namespace k8s.io containers ls -q | wc -l)
  if [ "$count" -gt 0 ]; then echo "$count containers of Kubernetes in containerd"; fi
fi
cat /proc/[0-9]*/comm | sort -u | while read -r name; do
  case $name in
    kubelet|kube-apiserver|kube-controller|kube-scheduler|kube-proxy|etcd|coredns|flanneld|calico-node|cilium-agent|\\
    k3s*|k0s*|rke2*) echo "process $name" ;;
  esac
done
while read -r _ _ _ _ point _; do
  case $point in /var/lib/kubelet/*|/run/netns/cni-*) echo "mount $point" ;; esac
done < /proc/self/mountinfo | head -n 20
for unit in /run/systemd/transient/atoll-job-*; do
  if [ -e "$unit" ]; then echo "unit ${unit##*/}"; fi
done
"""

OWNER: Final = Section(name="owner", script="head -c 4000 /var/lib/atoll/owner.json", parse=parse_owner)
LEFTOVERS: Final = Section(name="leftovers", script=_FILES + _NETWORK + _RUNNING, parse=parse_leftovers)
