"""The bridge that the hosts hang on: one segment, reached from the machine, leading nowhere else.

What marks a bridge as ours is its alias in the kernel, which names the rig's folder; it outlives any crash of ours.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from .failure import RigFailure
from .local import run_local

BRIDGE_PREFIX = "atoll-rig"
_FIRST_HOST = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A bridge and its addresses; the machine has the first one."""

    bridge: str
    subnet: IPv4Network

    @property
    def gateway(self) -> IPv4Interface:
        """The machine's own address on it."""
        return IPv4Interface((self.subnet.network_address + 1, self.subnet.prefixlen))


def build_segment(number: int) -> Segment:
    """Build the segment of a rig's number: 0 is `atoll-rig0` with 10.88.0.0/24, 1 is `atoll-rig1` with 10.88.1.0/24."""
    return Segment(bridge=f"{BRIDGE_PREFIX}{number}", subnet=IPv4Network(f"10.88.{number}.0/24"))


def choose_address(segment: Segment, taken: frozenset[IPv4Address]) -> IPv4Address:
    """Choose the lowest free address for a host, from .11 on."""
    for number in range(_FIRST_HOST, segment.subnet.num_addresses - 1):
        address = segment.subnet.network_address + number
        if address not in taken:
            return address
    raise RigFailure(f"{segment.subnet} is full: take hosts down that nobody needs")


def make_bridge(segment: Segment, owner: Path) -> bool:
    """Make the bridge unless it is there; says whether it made it. Raises RigFailure when it is somebody else's."""
    link = _show_link(segment.bridge)
    if link is None:
        _check_free(segment)
        run_local("ip", "link", "add", segment.bridge, "type", "bridge")
        run_local("ip", "link", "set", segment.bridge, "alias", str(owner))
    elif link.get("ifalias") != str(owner):
        raise RigFailure(
            f"the bridge {segment.bridge} belongs to {link.get('ifalias') or 'somebody else'}. "
            "Take that rig down, or choose another segment (--segment, ATOLL_RIG_SEGMENT: 0 to 255)."
        )
    run_local("ip", "address", "replace", str(segment.gateway), "dev", segment.bridge)
    run_local("ip", "link", "set", segment.bridge, "up")
    return link is None


def remove_bridge(segment: Segment, owner: Path) -> None:
    """Remove the bridge if it is ours. Raises RigFailure when something still hangs on it."""
    link = _show_link(segment.bridge)
    if link is None or link.get("ifalias") != str(owner):
        return
    if ports := list_ports(segment):
        raise RigFailure(f"{segment.bridge} still carries {', '.join(ports)}")
    run_local("ip", "link", "delete", segment.bridge)


def list_ports(segment: Segment) -> tuple[str, ...]:
    """List what hangs on the bridge."""
    if _show_link(segment.bridge) is None:
        return ()
    return tuple(sorted(link["ifname"] for link in _ip("link", "show", "master", segment.bridge)))


def remove_port(machine: str) -> None:
    """Remove a dead host's link now: the kernel takes its time, and the next boot needs the name."""
    run_local("ip", "link", "delete", "dev", f"vb-{machine}", check=False)
    if _show_link(f"vb-{machine}") is not None:
        raise RigFailure(f"the link vb-{machine} cannot be removed")


def is_usable(segment: Segment, owner: Path) -> bool:
    """Say whether nobody else has the bridge or the addresses."""
    link = _show_link(segment.bridge)
    return link.get("ifalias") == str(owner) if link else not find_overlap(segment, _list_routes())


def is_any_bridge_left() -> bool:
    """Say whether any rig of this machine is up."""
    return any(link["ifname"].startswith(BRIDGE_PREFIX) for link in _ip("link", "show", "type", "bridge"))


def find_overlap(segment: Segment, routes: tuple[str, ...]) -> str:
    """Find a route of somebody else into our subnet; empty when there is none."""
    for route in routes:
        if route != "default" and ipaddress.ip_network(route, strict=False).overlaps(segment.subnet):
            return route
    return ""


def _check_free(segment: Segment) -> None:
    if overlap := find_overlap(segment, _list_routes()):
        raise RigFailure(
            f"{segment.subnet} is in use on this machine (route to {overlap}). "
            "Choose another segment (--segment, ATOLL_RIG_SEGMENT: 0 to 255)."
        )


def _list_routes() -> tuple[str, ...]:
    return tuple(route["dst"] for route in _ip("-4", "route", "show", "table", "all"))


def _show_link(name: str) -> dict[str, Any] | None:
    done = run_local("ip", "-json", "-details", "link", "show", "dev", name, check=False)
    if done.returncode != 0:
        return None
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found[0]


def _ip(*arguments: str) -> list[dict[str, Any]]:
    done = run_local("ip", "-json", *arguments)
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return [entry for entry in found if entry]
