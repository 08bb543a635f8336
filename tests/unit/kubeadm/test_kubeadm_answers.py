"""What hosts print, and what it means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from atoll.fleet.cluster import ObservedCluster, OperationState, OperationType, Presence
from atoll.hosts.command import Result
from atoll.machines.demands import check_demands
from atoll.providers.kubeadm.facts import (
    parse_active,
    parse_api_version,
    parse_free,
    parse_kubelet_version,
    parse_nodes,
    parse_sandbox,
    require_output,
)
from atoll.providers.kubeadm.networking import find_lost_routes
from atoll.providers.kubeadm.observe import ClaimedHostView, summarise_views
from atoll.providers.kubeadm.preflight import check_hop
from atoll.providers.kubeadm.settings import parse_settings
from atoll.providers.kubeadm.upgrading import describe_blockers
from atoll.providers.kubeadm.values import ClusterRecord, NodeRecord, OperationRecord, Settings

from .clusters import operation

CONTAINERD_2 = """\
version = 2
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "registry.k8s.io/pause:3.6"
    stats_collect_period = 10
"""
CONTAINERD_3 = """\
version = 3
    [plugins.'io.containerd.cri.v1.images'.pinned_images]
      sandbox = 'registry.k8s.io/pause:3.10.1'
"""
DRAIN = """\
node/h2 already cordoned
Warning: ignoring DaemonSet-managed Pods: kube-system/kube-proxy-2vxzq
evicting pod shop/web-6c9f
error when evicting pods/"web-6c9f" -n "shop" (will retry after 5s): Cannot evict pod as it would violate the pod's \
disruption budget.
evicting pod shop/web-6c9f
error when evicting pods/"web-6c9f" -n "shop" (will retry after 5s): Cannot evict pod as it would violate the pod's \
disruption budget.
There are pending pods in node "h2" when an error occurred: error when waiting for pod "web-6c9f" in namespace "shop"
error: unable to drain node "h2" due to error: error when evicting pods/"web-6c9f" -n "shop": global timeout \
reached: 600s
"""
UNMANAGED = """\
error: unable to drain node "h2" due to error: cannot delete cannot delete Pods that declare no controller (use \
--force to override): shop/debug, continuing command...
"""


@pytest.mark.parametrize(
    ("text", "image"),
    [
        (CONTAINERD_2, "registry.k8s.io/pause:3.6"),
        (CONTAINERD_3, "registry.k8s.io/pause:3.10.1"),
        ("version = 2\n", ""),
    ],
)
def test_containerd_says_which_pause_image_it_wants(text: str, image: str) -> None:
    assert parse_sandbox(Result(code=0, out=text)) == image


def test_versions_and_states_are_read() -> None:
    assert parse_kubelet_version(Result(code=0, out="Kubernetes v1.36.4\n")) == "v1.36.4"
    assert parse_kubelet_version(Result(code=127, err="not found")) == ""
    manifest = "spec:\n  containers:\n  - image: registry.example.test:5000/kube-apiserver:v1.35.8\n"
    assert parse_api_version(Result(code=0, out=manifest)) == "v1.35.8"
    assert parse_api_version(Result(code=0)) == ""
    with pytest.raises(ValueError, match="damaged"):
        parse_api_version(Result(code=0, out="spec: {}"))
    assert parse_active(Result(code=3, out="active\nfailed\n")) == (True, False)
    assert parse_free("Filesystem 1-blocks Used Available Capacity Mounted on\n/dev/vda 9 4 5 44% /\n") == 5


def test_what_could_not_be_read_is_no_answer() -> None:
    with pytest.raises(ValueError, match="Permission denied"):
        require_output(Result(code=1, err="cat: Permission denied"))
    with pytest.raises(ValueError, match="too long"):
        require_output(Result(code=124, timed_out=True))
    with pytest.raises(ValueError, match="refused"):
        parse_nodes(Result(code=1, err="The connection to the server 10.88.0.11:6443 was refused"))


def test_pods_that_keep_a_node_from_being_drained_are_named() -> None:
    assert describe_blockers(Result(code=1, err=DRAIN)) == (
        "pod shop/web-6c9f: Cannot evict pod as it would violate the pod's disruption budget"
    )
    assert "pod shop/debug" in describe_blockers(Result(code=1, err=UNMANAGED))
    assert "declare no controller" in describe_blockers(Result(code=1, err=UNMANAGED))
    assert describe_blockers(Result(code=1, err="error: connection refused")) == ""


NODES = (
    NodeRecord(name="h1", address="10.88.0.11", role="ControlPlane", pod_cidr="10.128.0.0/24"),
    NodeRecord(name="h2", address="10.88.0.12", role="Worker", pod_cidr="10.128.1.0/24"),
)
RECORD = ClusterRecord(
    id="c0ffee00",
    fleet="fleet",
    name="web--prod",
    version="v1.35.8",
    endpoint="10.88.0.11:6443",
    pod_cidr="10.128.0.0/16",
    service_cidr="10.192.0.0/20",
    bridge=True,
    created=True,
    nodes=NODES,
)
H1_ROUTES = ("default via 10.88.0.1 dev host0 ", "10.128.1.0/24 via 10.88.0.12 dev host0")
H2_ROUTES = ("10.128.0.0/24 via 10.88.0.11 dev host0",)


def test_lost_routes_are_found() -> None:
    assert find_lost_routes("h1", NODES, H1_ROUTES) == ()
    assert find_lost_routes("h2", NODES, H1_ROUTES) == ("10.128.0.0/24",)
    assert find_lost_routes("h1", NODES, ("10.128.1.0/24 via 10.88.0.99 dev host0",)) == ("10.128.1.0/24",)


def summarise(*arguments) -> ObservedCluster:
    return summarise_views(*arguments, now=datetime(2026, 12, 1, tzinfo=UTC))


def first(**fields) -> ClaimedHostView:
    values = {
        "is_ours": True,
        "is_node": True,
        "kubelet_version": "v1.35.8",
        "api_version": "v1.35.8",
        "routes": H1_ROUTES,
        "cluster": RECORD,
        "operation": record(OperationType.CREATE, OperationState.SUCCEEDED),
    }
    return ClaimedHostView(node_name="h1", role="ControlPlane", **{**values, **fields})


def worker(**fields) -> ClaimedHostView:
    values = {"is_ours": True, "is_node": True, "kubelet_version": "v1.35.8", "routes": H2_ROUTES}
    return ClaimedHostView(node_name="h2", role="Worker", **{**values, **fields})


def record(kind: OperationType, state: OperationState) -> OperationRecord:
    return OperationRecord(
        id=f"{kind.value.lower()}-1",
        type=kind,
        from_version="",
        to_version="v1.35.8",
        state=state,
        step="s",
        steps_done=1,
        steps_total=2,
    )


def test_a_cluster_is_absent_only_when_every_host_says_so() -> None:
    nothing = ClaimedHostView(node_name="h1", role="ControlPlane")
    assert summarise((), None, None).presence is Presence.ABSENT
    assert summarise((nothing, ClaimedHostView(node_name="h2", role="Worker")), None, None).presence is Presence.ABSENT
    silent = ClaimedHostView(node_name="h2", role="Worker", silent="host h2 cannot be reached")
    assert summarise((nothing, silent), None, None).presence is Presence.UNKNOWN
    assert summarise((nothing, silent), None, None).message == "host h2 cannot be reached"
    assert summarise((nothing, worker()), None, None).presence is Presence.PARTIAL


def test_a_control_plane_that_cannot_be_asked_is_unknown() -> None:
    seen = summarise((ClaimedHostView(node_name="h1", role="ControlPlane", silent="cut"), worker()), None, None)
    assert (seen.presence, seen.message) == (Presence.UNKNOWN, "cut")


def test_a_settled_cluster_needs_nothing() -> None:
    seen = summarise((first(), worker()), None, None)
    assert (seen.presence, seen.version, seen.endpoint) == (Presence.PRESENT, "v1.35.8", "https://10.88.0.11:6443")
    assert (seen.needs_repair, seen.drift, seen.message) == ("", (), "")


def test_a_half_upgraded_cluster_is_as_old_as_its_oldest_part() -> None:
    failed = record(OperationType.CHANGE, OperationState.FAILED)
    half = first(api_version="v1.36.4", kubelet_version="v1.36.4", operation=failed)
    seen = summarise((half, worker()), None, None)
    assert (seen.version, seen.drift) == ("v1.35.8", ())
    unseen = summarise((half, ClaimedHostView(node_name="h2", role="Worker", silent="cut")), None, None)
    assert (unseen.version, unseen.presence, unseen.message) == ("v1.35.8", Presence.PRESENT, "cut")


def test_what_is_down_is_named_with_the_remedy() -> None:
    seen = summarise((first(kubelet=False), worker(containerd=False, routes=())), None, None)
    assert seen.needs_repair == (
        "the kubelet of h1 is not running (nobody looks after kube-apiserver there); containerd of h2 is not running; "
        "h2 has lost its routes to 10.128.0.0/24: a repair starts what is missing"
    )


def test_during_an_operation_nothing_needs_repair() -> None:
    moving = first(kubelet=False, operation=record(OperationType.CHANGE, OperationState.RUNNING))
    cut = summarise((moving, worker()), None, None)
    assert cut.operation is not None
    assert (cut.needs_repair, cut.operation.state) == ("", OperationState.INTERRUPTED)


def test_a_claimed_host_that_is_no_node_and_a_strange_kubelet_are_drift() -> None:
    extra = ClaimedHostView(node_name="h3", role="Worker")
    seen = summarise((first(), worker(kubelet_version="v1.35.9"), extra), None, None)
    assert seen.drift == (
        "host h3 is claimed and is no node yet: a change lets it join",
        "the kubelet of h2 is v1.35.9 and the cluster v1.35.8: a change puts the right one back",
    )


def test_progress_is_what_this_process_knows_while_it_works() -> None:
    todo = operation(OperationType.DELETE)
    told = record(OperationType.DELETE, OperationState.RUNNING)
    seen = summarise((ClaimedHostView(node_name="h1", role="ControlPlane"),), todo, told)
    assert seen.operation is not None
    assert (seen.presence, seen.operation.state) == (Presence.PARTIAL, OperationState.RUNNING)


@pytest.mark.parametrize(
    ("served", "target", "words"),
    [
        ("v1.35.8", "v1.36.4", ""),
        ("v1.36.3", "v1.36.4", ""),
        ("v1.36.4", "v1.36.4", ""),
        ("v1.34.1", "v1.36.4", "go through v1.35 first"),
        ("v1.36.4", "v1.35.8", "kubeadm cannot go back"),
        ("v1.36.4", "v1.36.3", "kubeadm cannot go back"),
    ],
)
def test_hops(served: str, target: str, words: str) -> None:
    found = check_hop(served, target)
    assert [words in finding.message for finding in found] == ([True] if words else [])


def test_what_this_version_cannot_do_is_refused_with_the_field() -> None:
    block = {
        "controlPlaneHosts": 3,
        "workerHosts": 2,
        "source": {"packages": {}},
        "ignorePreflightErrors": [{"name": "all", "reason": "lazy"}],
    }
    assert [finding.field.rpartition(".")[2] for finding in check_demands(block)] == [
        "controlPlaneHosts",
        "source",
        "ignorePreflightErrors",
    ]
    assert "later version" in check_demands(block)[0].message
    assert check_demands({})[0].field == "spec.provider.kubeadm.source"


def test_the_block_is_read_as_people_write_it() -> None:
    block = {
        "hostPoolRef": {"name": "rack-a"},
        "controlPlaneHosts": 1,
        "workerHosts": 2,
        "controlPlaneEndpoint": "api.example.test:443",
        "source": {"bundlePath": "/srv/bundle"},
        "podNetwork": {"manifestsRef": {"name": "net"}},
        "configRef": {"name": "conf"},
        "ignorePreflightErrors": [{"name": "Swap", "reason": "known"}],
    }
    assert parse_settings(block) == Settings(
        worker_hosts=2,
        control_plane_endpoint="api.example.test:443",
        bundle_path="/srv/bundle",
        manifests="net",
        config="conf",
        ignored=("Swap",),
    )
    bridged = parse_settings({**block, "podNetwork": {"bridge": {}}, "configRef": None})
    assert (bridged.manifests, bridged.config) == ("", "")
