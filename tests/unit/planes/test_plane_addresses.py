"""Ports are free, distinct and the planes' own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import Refused
from atoll.planes.addresses import FIRST_PORT, LAST_PORT, choose_ports
from atoll.planes.values import Ports

PORTS = st.integers(FIRST_PORT, LAST_PORT)


@given(plane_id=st.text(), taken=st.sets(PORTS), busy=st.sets(PORTS))
def test_ports_are_distinct_and_neither_taken_nor_busy(plane_id: str, taken: set[int], busy: set[int]) -> None:
    ports = choose_ports(plane_id, taken, lambda port: port not in busy)
    chosen = {ports.api, ports.etcd, ports.etcd_peer}
    assert len(chosen) == 3
    assert not chosen & (taken | busy)
    assert all(FIRST_PORT <= port <= LAST_PORT for port in chosen)


def test_the_same_plane_gets_the_same_ports() -> None:
    assert choose_ports("c1", (), lambda _: True) == choose_ports("c1", (), lambda _: True)


def test_the_last_free_ports_are_found_behind_the_end_of_the_range() -> None:
    free = (FIRST_PORT, FIRST_PORT + 1, FIRST_PORT + 2)
    ports = choose_ports("c1", (), lambda port: port in free)
    assert ports == Ports(api=free[0], etcd=free[1], etcd_peer=free[2])


def test_no_free_ports_is_said() -> None:
    with pytest.raises(Refused, match="no three free ports between 23000 and 29999"):
        choose_ports("c1", (), lambda _: False)
