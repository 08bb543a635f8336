"""plane.json and operation.json survive the way to text and back; damage is named."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import BadInput
from atoll.planes.documents import (
    ProcessRecord,
    parse_journal,
    parse_plane,
    parse_process,
    render_journal,
    render_plane,
    render_process,
)
from atoll.planes.layout import build_layout
from atoll.planes.values import Journal, PlaneSpec, PlaneState, Ports, Snapshot, Wanted
from atoll.ports import OperationState, OperationType

SNAPSHOT = Snapshot(id="op-1", version="v1.35.8", taken_time=datetime(2026, 1, 2, tzinfo=UTC), revision=7, total_keys=3)
STATES = st.builds(
    PlaneState,
    spec=st.builds(
        PlaneSpec,
        id=st.text(),
        name=st.text(),
        version=st.text(),
        pod_cidr=st.text(),
        service_cidr=st.text(),
        audit_log=st.booleans(),
        api_args=st.lists(st.text()).map(tuple),
        authentication=st.text(),
    ),
    ports=st.builds(Ports, api=st.integers(), etcd=st.integers(), etcd_peer=st.integers()),
    wanted=st.sampled_from(Wanted),
    created=st.booleans(),
    orphaned=st.booleans(),
    snapshot=st.sampled_from([None, SNAPSHOT]),
)
JOURNALS = st.builds(
    Journal,
    id=st.text(),
    type=st.sampled_from(OperationType),
    from_version=st.text(),
    to_version=st.text(),
    step=st.text(),
    steps_done=st.integers(),
    steps_total=st.integers(),
    state=st.sampled_from(OperationState),
    message=st.text(),
)


@given(STATES)
def test_a_plane_is_read_as_it_was_written(state: PlaneState) -> None:
    assert parse_plane(render_plane(state), "plane.json") == state


def test_a_plane_of_an_earlier_atoll_trusts_no_issuer() -> None:
    spec = PlaneSpec(id="c1", name="n", version="v1.35.8", pod_cidr="", service_cidr="", authentication="{}")
    state = PlaneState(spec=spec, ports=Ports(api=1, etcd=2, etcd_peer=3), snapshot=SNAPSHOT)
    body = json.loads(render_plane(state))
    del body["authentication"], body["snapshot"]["authentication"]
    old = parse_plane(json.dumps(body).encode(), "plane.json")
    assert old == replace(state, spec=replace(spec, authentication=""))


@given(JOURNALS)
def test_a_journal_is_read_as_it_was_written(journal: Journal) -> None:
    assert parse_journal(render_journal(journal), "operation.json") == journal


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b'{"id": 1}', b"\xff"])
def test_damaged_documents_are_named(text: bytes) -> None:
    with pytest.raises(BadInput, match=r"/x/plane\.json cannot be read .*: restore it, or delete the plane"):
        parse_plane(text, "/x/plane.json")
    with pytest.raises(BadInput, match=r"/x/operation\.json cannot be read"):
        parse_journal(text, "/x/operation.json")
    assert parse_process(text) is None


def test_a_process_file_is_read_as_it_was_written() -> None:
    record = ProcessRecord(pid=7, create_time=1.5, executable="/bin/etcd")
    assert parse_process(render_process(record)) == record


@pytest.mark.parametrize("plane_id", ["", "..", "a/b", "A", "-a", "a-", "a" * 64, "a\n", ".ports.lock"])
def test_an_id_that_could_leave_the_folder_is_refused(plane_id: str) -> None:
    with pytest.raises(BadInput, match="cannot name a plane"):
        build_layout(Path("/home"), plane_id)
