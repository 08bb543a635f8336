"""Which of two API servers on one port gets the connections.

While a version changes, the old and the new API server listen on the same port, and the kernel spreads new connections
over both. Left alone that fails in three ways (all seen): a new API server accepts connections before its caches are
filled, and for a moment answers 403 to everybody who is not system:masters; its own calls to itself may reach the other
one, which does not know it, and then it takes long to become ready or gives up; and an old one that ends resets what
still waits in its queue.

So a filter is attached to the group of sockets. It leads clients to one of them by its place in the group (the older is
at 0), and to the other one our own probes, which come from an address of their own (`PROBE_ADDRESS`), and the new API
server's calls to itself. These are known by an option of TCP that Go sends if its environment says so (`MARKED`) and
that other clients do not send.

Linux lets us do so (kernel 5.10, with MPTCP) for processes of our own that we may trace. Elsewhere `attach_steering`
says False, and a change has a gap. A place that does not exist falls back to random, so that no filter can cut a plane
off, whoever of the two dies. The filter stays with the sockets, not with us.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from typing import Final

import psutil

PROBE_ADDRESS: Final = "127.65.84.79"
"""Where our probes come from while two API servers share a port."""

UNMARKED: Final = {"GODEBUG": "multipathtcp=0"}
"""Environment of what shall listen and connect with plain TCP; sockets that listen with MPTCP take no filter."""

MARKED: Final = {"GODEBUG": "multipathtcp=3"}
"""The same, but its own connections carry the mark: they offer MPTCP, which our servers then decline."""

_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_PIDFD_GETFD: Final = 438
_LOAD_WORD: Final = 0x20
_LOAD_HALF: Final = 0x28
_JUMP_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_NETWORK_HEADER: Final = 0x100000000 - 0x100000
_SOURCE_ADDRESS: Final = _NETWORK_HEADER + 12
_TCP_OPTIONS: Final = _NETWORK_HEADER + 20 + 20
_OPTION_WORDS: Final = 10
_MULTIPATH_CAPABLE: Final = 0x1E04
"""Kind 30, length 4: how the option begins in the first packet of a connection."""


def build_filter(*, clients: int, probes: int) -> bytes:
    """Return the program: probes and marked connections to place `probes`, all others to place `clients`.

    A load behind the packet's end means place 0, so `clients` has to be 0 where the two differ.
    """
    if clients == probes:
        return pack((_RETURN, 0, 0, clients))
    if clients != 0:
        raise ValueError("clients go to place 0 or everybody goes to the same place")
    address = int.from_bytes(socket.inet_aton(PROBE_ADDRESS), "big")
    tests = [(_LOAD_WORD, _SOURCE_ADDRESS, address)]
    tests += [(_LOAD_HALF, _TCP_OPTIONS + 4 * word, _MULTIPATH_CAPABLE) for word in range(_OPTION_WORDS)]
    program = []
    for number, (load, offset, value) in enumerate(tests):
        left = 2 * (len(tests) - number - 1)
        program += [(load, 0, 0, offset), (_JUMP_EQUAL, left + 1, 0, value)]
    return pack(*program, (_RETURN, 0, 0, clients), (_RETURN, 0, 0, probes))


def pack(*instructions: tuple[int, int, int, int]) -> bytes:
    """Return instructions (code, jump if true, jump if false, constant) as the kernel reads them."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def has_marks() -> bool:
    """Tell whether this kernel knows MPTCP, without which connections bear no mark."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP).close()
    except (OSError, AttributeError):
        return False
    return True


def attach_steering(pid: int, port: int, *, clients: int, probes: int) -> bool:
    """Attach the filter to the group that the listening socket of `pid` on `port` belongs to; False if we cannot."""
    if sys.platform != "linux" or not has_marks():
        return False
    try:
        listening = [
            entry.fd
            for entry in psutil.Process(pid).net_connections("tcp4")
            if entry.status == psutil.CONN_LISTEN and entry.laddr.port == port and entry.fd >= 0
        ]
        if not listening:
            return False
        process = os.pidfd_open(pid)
        try:
            borrowed = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, listening[0], 0)
        finally:
            os.close(process)
        if borrowed < 0:
            return False
        program = build_filter(clients=clients, probes=probes)
        buffer = ctypes.create_string_buffer(program, len(program))
        with socket.socket(fileno=borrowed) as shared:
            head = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
            shared.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, head)
    except (OSError, psutil.Error):
        return False
    return True
