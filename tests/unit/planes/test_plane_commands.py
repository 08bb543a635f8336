"""Command lines: what they promise, and how our own processes are known by them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from atoll.planes.commands import (
    build_api_server_command,
    build_controller_manager_command,
    build_etcd_command,
    find_authentication,
    find_tag,
    parse_role,
)
from atoll.planes.layout import Layout
from atoll.planes.values import PlaneSpec, PlaneState, Ports, Role

LAYOUT = Layout(Path("/home/planes/c1"))
SPEC = PlaneSpec(id="c1", name="web", version="v1.36.4", pod_cidr="10.0.0.0/16", service_cidr="10.1.0.0/20")
STATE = PlaneState(spec=SPEC, ports=Ports(api=23000, etcd=23001, etcd_peer=23002))
API_SERVER = build_api_server_command(Path("/bin/kube-apiserver"), LAYOUT, STATE)
ETCD = build_etcd_command(Path("/bin/etcd"), LAYOUT, STATE.ports)
MANAGER = build_controller_manager_command(Path("/bin/kube-controller-manager"), LAYOUT, SPEC)


def test_each_process_is_known_by_its_command_line() -> None:
    assert parse_role(LAYOUT, ETCD) == (Role.ETCD, "")
    assert parse_role(LAYOUT, API_SERVER) == (Role.API_SERVER, find_tag(API_SERVER))
    assert parse_role(LAYOUT, MANAGER) == (Role.CONTROLLER_MANAGER, find_tag(MANAGER))
    assert find_tag(API_SERVER).startswith("v1.36.4-")


def test_strangers_are_not_ours_even_with_our_words_on_their_command_line() -> None:
    other = Layout(Path("/home/planes/c11"))
    assert [parse_role(other, argv) for argv in (ETCD, API_SERVER, MANAGER)] == [None, None, None]
    assert parse_role(LAYOUT, ()) is None
    assert parse_role(LAYOUT, ("grep", *ETCD[1:])) is None
    assert parse_role(LAYOUT, ("/bin/etcd", "--data-dir=/home/planes/c1/etcd-other")) is None


def test_a_tag_changes_with_the_version_and_with_each_setting() -> None:
    states = (
        STATE,
        replace(STATE, spec=replace(SPEC, version="v1.35.8")),
        replace(STATE, spec=replace(SPEC, audit_log=True)),
        replace(STATE, spec=replace(SPEC, api_args=("--v=2",))),
    )
    tags = [find_tag(build_api_server_command(Path("/x/kube-apiserver"), LAYOUT, state)) for state in states]
    assert len(set(tags)) == 4


def test_a_plane_that_trusts_an_issuer_is_told_by_a_file_of_its_own_and_still_takes_nobody_without_a_name() -> None:
    commands = [
        build_api_server_command(Path("/x/kube-apiserver"), LAYOUT, replace(STATE, spec=spec))
        for spec in (replace(SPEC, authentication="{}"), replace(SPEC, authentication="[]"))
    ]
    files = [find_authentication(command) for command in commands]
    assert find_authentication(API_SERVER) is None
    assert files == [LAYOUT.authentication("{}"), LAYOUT.authentication("[]")]
    assert files[0] != files[1]
    assert all("--anonymous-auth=false" in command for command in commands)
    assert len({find_tag(command) for command in (*commands, API_SERVER)}) == 3


def test_where_the_program_lies_does_not_change_the_tag() -> None:
    assert find_tag(API_SERVER) == find_tag(build_api_server_command(Path("/x/kube-apiserver"), LAYOUT, STATE))


def test_nothing_listens_beyond_loopback_and_nobody_is_anonymous() -> None:
    assert {"--bind-address=127.0.0.1", "--anonymous-auth=false", "--authorization-mode=Node,RBAC"} <= set(API_SERVER)
    assert {"--client-cert-auth=true", "--peer-client-cert-auth=true"} <= set(ETCD)
    assert "--secure-port=0" in MANAGER
    urls = [argument.split("=", 1)[1] for argument in ETCD if "urls=" in argument]
    assert all(url.startswith("https://127.0.0.1:") for url in urls)
    assert len(urls) == 4


def test_the_audit_log_is_kept_on_request_only() -> None:
    with_log = build_api_server_command(
        Path("/bin/kube-apiserver"), LAYOUT, replace(STATE, spec=replace(SPEC, audit_log=True))
    )
    assert not [argument for argument in API_SERVER if argument.startswith("--audit")]
    assert "--audit-log-path=/home/planes/c1/log/audit.log" in with_log
