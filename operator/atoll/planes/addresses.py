"""Loopback ports for planes."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Callable, Container
from typing import Final

import psutil

from atoll.errors import Refused

from .values import Ports

FIRST_PORT: Final = 23000
LAST_PORT: Final = 29999
"""Below what Linux hands out to clients (32768 and up)."""


def choose_ports(plane_id: str, taken: Container[int], is_free: Callable[[int], bool]) -> Ports:
    """Choose three ports, beginning at a place that depends on the id, so that two homes seldom meet."""
    count = LAST_PORT - FIRST_PORT + 1
    start = zlib.crc32(plane_id.encode()) % count
    chosen: list[int] = []
    for offset in range(count):
        port = FIRST_PORT + (start + offset) % count
        if port not in taken and is_free(port):
            chosen.append(port)
            if len(chosen) == 3:
                return Ports(api=chosen[0], etcd=chosen[1], etcd_peer=chosen[2])
    raise Refused(f"no three free ports between {FIRST_PORT} and {LAST_PORT} on 127.0.0.1: end what holds them")


def is_port_free(port: int) -> bool:
    """Tell whether we could listen on a loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Ended connections of a former server do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def describe_holder(port: int) -> str:
    """Say which process listens on a port, as far as the system tells us."""
    try:
        for entry in psutil.net_connections("tcp"):
            if entry.status == psutil.CONN_LISTEN and entry.laddr and entry.laddr.port == port and entry.pid:
                return f"{psutil.Process(entry.pid).name()} (process {entry.pid})"
    except psutil.Error:
        pass
    return "a process that we may not see"
