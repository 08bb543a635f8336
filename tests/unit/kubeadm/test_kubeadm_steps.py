"""Operations as lists: which steps they have, and what each of them does to a host."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from atoll.fleet.cluster import OperationType
from atoll.hosts.command import Operation
from atoll.hosts.listing import list_actions
from atoll.providers.kubeadm.cleaning import clean_host
from atoll.providers.kubeadm.installing import (
    NODE_PROGRAMS,
    check_images,
    install_programs,
    load_images,
    prepare_system,
)
from atoll.providers.kubeadm.joining import delete_our_tokens, join_worker, make_token
from atoll.providers.kubeadm.networking import apply_manifests, render_conflist, render_routes_unit, set_up_bridge
from atoll.providers.kubeadm.starting import init_control_plane, make_identity
from atoll.providers.kubeadm.steps import Kind, plan_steps
from atoll.providers.kubeadm.upgrading import (
    apply_upgrade,
    drain_node,
    plan_upgrade,
    save_snapshot,
    swap_kubelet,
    uncordon_node,
    upgrade_node,
)
from atoll.providers.kubeadm.values import Before, NodeRecord

from .clusters import H1, H2, H3, cluster, operation

GOLDEN = Path(__file__).parent / "golden"
TOKEN = "abcdef.0123456789abcdef"
SECRET = TOKEN.partition(".")[2]
NODES = (
    NodeRecord(name="h1", address="10.88.0.11", role="ControlPlane", pod_cidr="10.128.0.0/24"),
    NodeRecord(name="h2", address="10.88.0.12", role="Worker", pod_cidr="10.128.1.0/24"),
)
BEFORE = Before(
    images=("registry.example.test/kept:1",),
    tables=("inet filter",),
    folders=("/var/lib/kubelet", "/etc/cni/net.d", "/etc/sysctl.d"),
    networks=("99-loopback.conf",),
    forwarding="0",
)


def compare(name: str, text: str, update_golden: bool) -> None:
    path = GOLDEN / name
    if update_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


PLANS = {
    "create": (operation(OperationType.CREATE), cluster(H1, H2, H3)),
    "create_alone": (operation(OperationType.CREATE), cluster(H1)),
    "hop": (operation(OperationType.CHANGE, "v1.36.4", "v1.35.8"), cluster(H1, H2, H3)),
    "hop_alone": (operation(OperationType.CHANGE, "v1.36.4", "v1.35.8"), cluster(H1)),
    "settings": (operation(OperationType.CHANGE, "v1.36.4", "v1.36.4"), cluster(H1, H2)),
    "repair": (operation(OperationType.REPAIR), cluster(H1, H2)),
    "delete": (operation(OperationType.DELETE), cluster(H1, H2, H3)),
}


@pytest.mark.parametrize("name", sorted(PLANS))
def test_the_steps_of_an_operation(name: str, update_golden: bool) -> None:
    todo, wanted = PLANS[name]
    compare(f"steps_{name}.txt", "".join(f"{step}\n" for step in plan_steps(todo, wanted)), update_golden)


def test_no_node_is_drained_before_images_plan_and_snapshot() -> None:
    kinds = [step.kind for step in plan_steps(*PLANS["hop"])]
    first_drain = kinds.index(Kind.DRAIN)
    assert {Kind.COPY, Kind.LOAD, Kind.PLAN, Kind.SNAPSHOT, Kind.APPLY} <= set(kinds[:first_drain])
    assert kinds[first_drain:].count(Kind.SWAP) == 3
    assert kinds.index(Kind.SERVICES) > max(index for index, kind in enumerate(kinds) if kind is Kind.UNCORDON)


def test_the_control_plane_is_cleaned_last() -> None:
    assert [step.nodes for step in plan_steps(*PLANS["delete"])] == [("h2", "h3"), ("h1",)]


def operations() -> dict[str, Operation]:
    wanted = cluster()
    archives = [
        ("kube-proxy.tar", ("registry.k8s.io/kube-proxy:v1.36.4",)),
        ("pause.tar", ("registry.k8s.io/pause:3.10.2",)),
    ]
    return {
        "prepare": _chain(
            prepare_system(has_module=True),
            install_programs("v1.36.4", NODE_PROGRAMS),
            load_images("v1.36.4", archives, sandbox="registry.k8s.io/pause:3.6", pause="registry.k8s.io/pause:3.10.2"),
            check_images("v1.36.4"),
        ),
        "init": init_control_plane(wanted, TOKEN, reset_first=False),
        "init_again": init_control_plane(wanted, TOKEN, reset_first=True),
        "identity": make_identity(wanted),
        "join": _chain(
            make_token(TOKEN, datetime(2026, 11, 21, tzinfo=UTC)),
            join_worker(wanted, H2, TOKEN, "sha256:0123", reset_first=False),
            delete_our_tokens(),
        ),
        "network": set_up_bridge(NODES[0], NODES, "10.128.0.0/16"),
        "manifests": apply_manifests({"b.yaml": "kind: B", "a.yaml": "kind: A"}),
        "upgrade": _chain(
            plan_upgrade(wanted),
            save_snapshot("v1.36.4", "change-9.db", ("change-2.db", "change-3.db", "change-1.db")),
            apply_upgrade(wanted),
            upgrade_node(wanted),
            drain_node("h2", "change-1"),
            swap_kubelet("v1.36.4"),
            uncordon_node("h2"),
        ),
        "clean": clean_host(
            BEFORE,
            ignored=("SystemVerification",),
            has_kubeadm=True,
            images=("registry.example.test/kept:1", "registry.k8s.io/pause:3.6"),
            tables=("inet filter", "ip kube-proxy"),
            networks=("99-loopback.conf", "10-atoll.conflist"),
        ),
    }


def _chain(*parts: Operation) -> Operation:
    for part in parts:
        yield from part


@pytest.mark.parametrize("name", sorted(operations()))
def test_what_is_done_to_a_host(name: str, update_golden: bool) -> None:
    lines = list_actions(operations()[name])
    assert not any(SECRET in line for line in lines), "a secret goes by standard input or file, and is masked"
    compare(f"actions_{name}.txt", "".join(f"{line}\n" for line in lines), update_golden)


def test_a_clean_host_keeps_what_was_its_own() -> None:
    text = "\n".join(list_actions(operations()["clean"]))
    assert "kept:1" not in text
    assert "nft delete table inet filter" not in text
    assert "99-loopback.conf" not in text
    assert "remove /var/lib/kubelet" not in text, "it was there before: it is emptied"
    assert "find /var/lib/kubelet -xdev -mindepth 1 -delete" in text


def test_the_routes_of_a_node_lead_to_all_others(update_golden: bool) -> None:
    compare("routes.service", render_routes_unit(NODES[0], NODES), update_golden)
    compare("atoll.conflist", render_conflist("10.128.0.0/24"), update_golden)
