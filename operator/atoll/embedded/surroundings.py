"""What the operator finds around it: a pod or a machine, and the addresses that are taken there."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import psutil


def list_own_blocks() -> tuple[str, ...]:
    """List the IPv4 blocks of this machine's interfaces: no child may have addresses from them."""
    blocks = set()
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family is socket.AF_INET and address.netmask:
                blocks.add(str(ipaddress.ip_network(f"{address.address}/{address.netmask}", strict=False)))
    return tuple(sorted(blocks))


def is_in_pod(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> bool:
    """Say whether this process runs in a pod."""
    environ = os.environ if environ is None else environ
    folder = folder or Path("/var/run/secrets/kubernetes.io/serviceaccount")
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) and folder.is_dir()
