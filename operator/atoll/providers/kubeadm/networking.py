"""The pod network: a bridge on each host and routes between them, or manifests of people's choice. Pure.

The bridge needs nothing from outside and enforces no NetworkPolicy. It serves hosts that share a segment: the way to
the pods of a node leads over that node's address.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from atoll.hosts.command import Command, Operation, RemovePath, WriteFile

from . import paths
from .facts import ANY_CODE
from .values import NodeRecord

BRIDGE: Final = "cni0"
TABLE: Final = "ip atoll"
MANIFESTS: Final = f"{paths.NETWORK}/manifests"


def set_up_bridge(own: NodeRecord, nodes: Sequence[NodeRecord], pod_cidr: str) -> Operation:
    """Set up a node's bridge, and its routes to the pods of the others, now and after each reboot."""
    yield WriteFile(
        path=paths.MASQUERADE, content=render_masquerade(pod_cidr), why="write what hides pods from the world"
    )
    yield WriteFile(
        path=paths.ROUTES_UNIT, content=render_routes_unit(own, nodes), why="write the routes to the other nodes' pods"
    )
    yield Command(argv=("systemctl", "daemon-reload"), why="let systemd read the unit")
    yield Command(argv=("systemctl", "enable", paths.ROUTES_SERVICE), why="set the routes with each start of the host")
    yield Command(argv=("systemctl", "restart", paths.ROUTES_SERVICE), why="set the routes now")
    # Last: this is what the kubelet waits for before it calls the node ready.
    yield WriteFile(path=paths.CONFLIST, content=render_conflist(own.pod_cidr), why="let pods have addresses")


def apply_manifests(manifests: Mapping[str, str]) -> Operation:
    """Apply manifests on the control-plane host."""
    yield RemovePath(path=MANIFESTS, why="no older manifest shall be applied")
    for number, key in enumerate(sorted(manifests)):
        yield WriteFile(path=f"{MANIFESTS}/{number:03d}.yaml", content=manifests[key], why=f"write {key}", mode=0o600)
    yield Command(
        argv=(
            *paths.KUBECTL,
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=atoll",
            f"--filename={MANIFESTS}",
        ),
        why="apply the manifests of the pod network",
        seconds=180,
    )


def stop_routes(ok: frozenset[int] = ANY_CODE) -> Operation:
    """Take our routes back."""
    yield Command(
        argv=("systemctl", "disable", "--now", paths.ROUTES_SERVICE), why="take the routes to other nodes back", ok=ok
    )


def list_routes(own: str, nodes: Sequence[NodeRecord]) -> tuple[tuple[str, str], ...]:
    """Return (destination, gateway) of every route that a node needs."""
    return tuple((node.pod_cidr, node.address) for node in nodes if node.name != own and node.pod_cidr)


def find_lost_routes(own: str, nodes: Sequence[NodeRecord], routes: Sequence[str]) -> tuple[str, ...]:
    """Return the destinations that should have a route and have none. `routes`: lines of `ip route`."""
    there = {tuple(line.split()[:3]) for line in routes}
    return tuple(
        destination for destination, gateway in list_routes(own, nodes) if (destination, "via", gateway) not in there
    )


def render_conflist(pod_cidr: str) -> str:
    """Return the CNI configuration of one node."""
    ranges = [[{"subnet": pod_cidr}]]
    body = {
        "cniVersion": "1.0.0",
        "name": "atoll",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "hairpinMode": True,
                # The plug-in would hide pods from each other, too; our own rule hides them from the world only.
                "ipMasq": False,
                "ipam": {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]},
            },
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }
    return json.dumps(body, indent=2) + "\n"


def render_masquerade(pod_cidr: str) -> str:
    """Return the rule that lets pods reach the world behind their node's address."""
    return (
        f"table {TABLE}\n"
        f"delete table {TABLE}\n"
        f"table {TABLE} {{\n"
        "  chain postrouting {\n"
        "    type nat hook postrouting priority srcnat; policy accept;\n"
        f'    ip saddr {pod_cidr} ip daddr != {pod_cidr} oifname != "{BRIDGE}" masquerade\n'
        "  }\n"
        "}\n"
    )


def render_routes_unit(own: NodeRecord, nodes: Sequence[NodeRecord]) -> str:
    """Return the unit that sets a node's routes and takes them back."""
    routes = list_routes(own.name, nodes)
    return "\n".join(
        [
            "[Unit]",
            "Description=Routes of Atoll to the pods of other nodes",
            "Wants=network-online.target",
            "After=network-online.target systemd-networkd.service",
            # It takes away routes that it does not know when it is restarted.
            "PartOf=systemd-networkd.service",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            "Type=oneshot",
            "RemainAfterExit=yes",
            f"ExecStart=nft -f {paths.MASQUERADE}",
            *(f"ExecStart=ip route replace {destination} via {gateway}" for destination, gateway in routes),
            *(f"ExecStop=-ip route del {destination} via {gateway}" for destination, gateway in routes),
            f"ExecStop=-nft delete table {TABLE}",
            "Restart=on-failure",
            "RestartSec=1",
            "",
            "[Install]",
            "WantedBy=multi-user.target",
            "",
        ]
    )
