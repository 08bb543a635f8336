"""The filter that leads connections, run here by a small interpreter of the same instructions."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.planes.steering import PROBE_ADDRESS, build_filter

PLAIN = b"\x02\x04\xff\xd7" + b"\x04\x02\x08\x0a" + bytes(8) + b"\x01\x03\x03\x07"
MARK = b"\x1e\x04\x01\x01"


def packet(source: str, options: bytes) -> bytes:
    """The first packet of a connection, from its network header on."""
    return bytes(12) + socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + bytes(20) + options


def run(program: bytes, data: bytes) -> int:
    """Do what the kernel does; a load behind the end returns 0."""
    instructions = [struct.unpack_from("=HBBI", program, offset) for offset in range(0, len(program), 8)]
    place, register = 0, 0
    while True:
        code, if_true, if_false, constant = instructions[place]
        place += 1
        if code == 0x06:
            return int(constant)
        if code == 0x15:
            place += if_true if register == constant else if_false
            continue
        size, offset = {0x20: 4, 0x28: 2}[code], constant - (0x100000000 - 0x100000)
        if offset + size > len(data):
            return 0
        register = int.from_bytes(data[offset : offset + size], "big")


def test_clients_go_to_the_old_one_and_probes_and_marked_connections_to_the_new_one() -> None:
    program = build_filter(clients=0, probes=1)
    assert run(program, packet("127.0.0.1", PLAIN)) == 0
    assert run(program, packet(PROBE_ADDRESS, PLAIN)) == 1
    assert run(program, packet("127.0.0.1", PLAIN + MARK)) == 1


@given(words=st.integers(0, 9))
def test_the_mark_is_found_wherever_it_stands(words: int) -> None:
    options = b"\x01\x01\x01\x01" * words + MARK
    assert run(build_filter(clients=0, probes=1), packet("127.0.0.1", options)) == 1


@given(options=st.binary(max_size=40).filter(lambda text: MARK[:2] not in text))
def test_no_other_options_pass_for_the_mark(options: bytes) -> None:
    assert run(build_filter(clients=0, probes=1), packet("127.0.0.1", options)) == 0


@pytest.mark.parametrize("place", [0, 1])
def test_one_place_for_all_is_one_place_for_all(place: int) -> None:
    program = build_filter(clients=place, probes=place)
    assert {run(program, packet(source, PLAIN + MARK)) for source in ("127.0.0.1", PROBE_ADDRESS)} == {place}


def test_clients_behind_place_0_are_refused_because_short_packets_go_there() -> None:
    with pytest.raises(ValueError, match="place 0"):
        build_filter(clients=1, probes=0)
