"""Certificates are renewed before they end. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from atoll.hosts.command import Command, Operation

LIFE_LEFT: Final = 0.3
"""Renewed when so much of the life of one is left: a hop renews all of them, so this is for clusters that stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Those of a control-plane host, ours included; authorities live longer, and are not renewed."""

    since: datetime
    """Of the one that ends first."""
    until: datetime
    first_end: datetime
    """When the first of all ends, authorities included."""


def are_old(certificates: Certificates, now: datetime) -> bool:
    """Say whether it is time to renew."""
    return (certificates.until - now) < LIFE_LEFT * (certificates.until - certificates.since)


def renew_certificates() -> Operation:
    """Renew all certificates of kubeadm's, and restart what has read the old ones."""
    yield Command(argv=("kubeadm", "certs", "renew", "all"), why="renew the certificates", seconds=120)
    for component in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        yield Command(
            argv=("sh", "-c", _RESTART, "sh", component),
            why=f"restart {component}: it has read the old certificate",
            seconds=60,
        )


_RESTART: Final = """\
for container in $(ctr -n k8s.io containers ls -q "labels.\\"io.kubernetes.container.name\\"==$1"); do
  ctr -n k8s.io tasks kill --signal SIGTERM "$container" 2>/dev/null
done
true
"""
"""The kubelet starts it again."""
