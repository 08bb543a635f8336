"""Every rule in the CRDs refuses what it is there for, on a real API server, and says so in its own words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from atoll.api.crds import build_crds

from .conftest import OLDER, Server, install_crds, serving
from .manifests import AKS, EKS, GKE, KEY, KUBEADM, SELECTOR, SPECS, UID, build

pytestmark = pytest.mark.e2e

KINDS = tuple(SPECS)
NO_LOCAL = {"local": None}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A change that one rule refuses; with `before`, the change is an update of an object with that change."""

    kind: str
    rule: str
    """Beginning of the rule's message."""
    change: dict[str, Any]
    before: dict[str, Any] | None = None
    words: str = ""
    """What the refusal says, where the rule has an expression for its message."""
    name: str = ""

    @property
    def label(self) -> str:
        """Return a name for the test."""
        return f"{self.kind}: {self.rule[:60]} {str(self.change)[:40]}"


def cloud(kind: str, block: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a change of a ClusterSet to another provider."""
    return {"provider": {**NO_LOCAL, kind: block}, **more}


def kubeadm(*, own: list[dict[str, Any]] | None = None, **block: Any) -> dict[str, Any]:
    """Return a change of a ClusterSet to kubeadm, with one member or those given."""
    return cloud("kubeadm", {**KUBEADM, **block}, clusters=own or [{"name": "dev"}])


def gates(*entries: dict[str, Any]) -> dict[str, Any]:
    """Return a change of a ClusterSet to one wave with these gates."""
    return {"upgrade": {"waves": [{"name": "canary", "clusterSelector": SELECTOR, "gates": list(entries)}]}}


def without(block: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a block without one of its keys."""
    return {name: value for name, value in block.items() if name != key}


SIZES = {"name": "n", "minSize": 3, "maxSize": 1}
NAME = "metadata.name must be a DNS label"
ONE_BLOCK = "spec.provider must have exactly one"
EMPTY = "an empty selector is refused"
EXPRESSIONS = "matchExpressions must have values"
KEYS = "label keys must be written as"
RESERVED = "labels must not use keys under"
ENDPOINT = "spec.provider.kubeadm.controlPlaneEndpoint cannot be changed"
OWN_ENDPOINT = "kubeadm.controlPlaneEndpoint of a member cannot be changed"
NODES = "spec.provider.kubeadm.configRef and podNetwork cannot be changed"
OWN_NODES = "spec.clusters[].kubeadm.configRef and podNetwork cannot be changed"

CASES = (
    *(
        Case(kind=kind, rule=NAME, change={}, name=name, words=f"metadata.name `{name}` must be a DNS label")
        for kind in ("ClusterSet", "HostPool", "Environment", "Tenant", "Regime")
        for name in ("a--b", "a" * 25, "a.b")
    ),
    # ── ClusterSet: provider ──
    Case(
        kind="ClusterSet",
        rule=ONE_BLOCK,
        change={"provider": {"eks": EKS, "kubeadm": KUBEADM, "local": None}},
        words="spec.provider must have exactly one block; it has kubeadm and eks. Remove one.",
    ),
    Case(
        kind="ClusterSet",
        rule=ONE_BLOCK,
        change={"provider": NO_LOCAL},
        words="it has none. Add one of local, kubeadm, eks, gke, aks, existing.",
    ),
    Case(
        kind="ClusterSet",
        rule=ONE_BLOCK,
        change={"provider": {"eks": EKS, "gke": GKE}},
        words="it has local and eks and gke. Keep one.",
    ),
    Case(kind="ClusterSet", rule="spec.provider cannot change its kind", before={}, change=cloud("eks", EKS)),
    Case(
        kind="ClusterSet",
        rule="spec.clusters must use the block of spec.provider",
        change={"clusters": [{"name": "dev", "eks": EKS}]},
    ),
    Case(kind="ClusterSet", rule="spec.provider.kubeadm.hostPoolRef must be set", change=cloud("kubeadm", {})),
    *(
        Case(
            kind="ClusterSet",
            rule=f"spec.provider.{kind}.{key} must be set",
            change=cloud(
                kind, without(block, key), clusters=[{"name": "dev", kind: {key: block[key]}}, {"name": "prod"}]
            ),
        )
        for kind, block in (("eks", EKS), ("gke", GKE), ("aks", AKS))
        for key in block
    ),
    *(
        Case(
            kind="ClusterSet",
            rule=f"{kind}.{key} cannot be changed",
            before=cloud(kind, block),
            change=cloud(kind, {**block, key: value}),
        )
        for kind, block, key, value in (
            ("eks", EKS, "region", "eu-west-2"),
            ("gke", GKE, "project", "other"),
            ("gke", GKE, "location", "europe-west3"),
            ("aks", AKS, "subscriptionID", UID.replace("a", "b")),
            ("aks", AKS, "resourceGroup", "other"),
            ("aks", AKS, "location", "northeurope"),
        )
    ),
    Case(
        kind="ClusterSet",
        rule="eks.region cannot be changed",
        before=cloud("eks", EKS, clusters=[{"name": "dev", "eks": {"region": "eu-west-1"}}]),
        change=cloud("eks", EKS, clusters=[{"name": "dev", "eks": {"region": "eu-west-2"}}]),
    ),
    Case(
        kind="ClusterSet",
        rule="spec.provider.existing.kubeconfigSecretRef must stand",
        change=cloud("existing", {"kubeconfigSecretRef": {"name": "x"}}),
    ),
    Case(kind="ClusterSet", rule="spec.clusters must name existing.kubeconfigSecretRef", change=cloud("existing", {})),
    # ── ClusterSet: kubeadm ──
    Case(
        kind="ClusterSet",
        rule="kubeadm.controlPlaneEndpoint must be set as host:port",
        change=kubeadm(controlPlaneHosts=3),
    ),
    Case(
        kind="ClusterSet",
        rule="kubeadm.controlPlaneEndpoint must be set as host:port",
        change=kubeadm(own=[{"name": "dev", "kubeadm": {"controlPlaneHosts": 3}}]),
    ),
    Case(
        kind="ClusterSet",
        rule="spec.provider.kubeadm.controlPlaneEndpoint must not serve several members",
        change=kubeadm(controlPlaneEndpoint="lb:6443", own=[{"name": "a"}, {"name": "b"}]),
    ),
    Case(
        kind="ClusterSet",
        rule=ENDPOINT,
        before=kubeadm(controlPlaneEndpoint="lb:6443"),
        change=kubeadm(controlPlaneEndpoint="other:6443"),
    ),
    Case(
        kind="ClusterSet",
        rule=OWN_ENDPOINT,
        before=kubeadm(own=[{"name": "dev", "kubeadm": {"controlPlaneEndpoint": "lb:6443"}}]),
        change=kubeadm(own=[{"name": "dev", "kubeadm": {"controlPlaneEndpoint": "other:6443"}}]),
    ),
    Case(
        kind="ClusterSet",
        rule=OWN_ENDPOINT,
        before=kubeadm(own=[{"name": "dev", "kubeadm": {"controlPlaneEndpoint": "lb:6443"}}]),
        change=kubeadm(),
    ),
    Case(kind="ClusterSet", rule=NODES, before=kubeadm(), change=kubeadm(configRef={"name": "flags"})),
    Case(
        kind="ClusterSet",
        rule=NODES,
        before=kubeadm(podNetwork={"bridge": {}}),
        change=kubeadm(podNetwork={"manifestsRef": {"name": "other"}}),
    ),
    Case(
        kind="ClusterSet",
        rule=OWN_NODES,
        before=kubeadm(own=[{"name": "dev"}]),
        change=kubeadm(own=[{"name": "dev", "kubeadm": {"configRef": {"name": "flags"}}}]),
    ),
    Case(
        kind="ClusterSet",
        rule=OWN_NODES,
        before=kubeadm(own=[{"name": "dev", "kubeadm": {"podNetwork": {"manifestsRef": {"name": "a"}}}}]),
        change=kubeadm(own=[{"name": "dev"}]),
    ),
    Case(
        kind="ClusterSet",
        rule="kubeadm.source must have exactly one",
        change=kubeadm(source={}),
        words="kubeadm.source must have exactly one block; it has none. Add one of bundlePath, packages, image.",
    ),
    Case(
        kind="ClusterSet",
        rule="kubeadm.podNetwork must have exactly one",
        change=kubeadm(podNetwork={"bridge": {}, "manifestsRef": {"name": "x"}}),
        words="it has bridge and manifestsRef. Remove one.",
    ),
    Case(kind="ClusterSet", rule=EMPTY, change=kubeadm(hostSelector={})),
    Case(
        kind="ClusterSet",
        rule=EXPRESSIONS,
        change=kubeadm(hostSelector={"matchExpressions": [{"key": "a", "operator": "In"}]}),
    ),
    Case(
        kind="ClusterSet",
        rule=EXPRESSIONS,
        change=kubeadm(hostSelector={"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}),
    ),
    # ── ClusterSet: clouds ──
    Case(
        kind="ClusterSet",
        rule="endpointAccess must leave public or private",
        change=cloud("eks", {**EKS, "endpointAccess": {"public": False, "private": False}}),
    ),
    Case(
        kind="ClusterSet",
        rule="minSize must not be above maxSize",
        change=cloud("eks", {**EKS, "nodeGroups": [{**SIZES, "instanceTypes": ["m7i.large"]}]}),
    ),
    Case(
        kind="ClusterSet",
        rule="minSize must not be above maxSize",
        change=cloud("gke", {**GKE, "nodePools": [{**SIZES, "machineType": "e2"}]}),
    ),
    Case(
        kind="ClusterSet",
        rule="minSize must not be above maxSize",
        change=cloud("aks", {**AKS, "agentPools": [{**SIZES, "vmSize": "D4"}]}),
    ),
    # ── ClusterSet: labels, network, gates ──
    Case(kind="ClusterSet", rule=KEYS, change={"labels": {"a/b/c": "x"}}),
    Case(kind="ClusterSet", rule=RESERVED, change={"labels": {"topology.kubernetes.io/zone": "x"}}),
    Case(kind="ClusterSet", rule=RESERVED, change={"labels": {"k8s.io/x": "x"}}),
    Case(kind="ClusterSet", rule=RESERVED, change={"clusters": [{"name": "dev", "labels": {"atoll.dev/x": "y"}}]}),
    Case(
        kind="ClusterSet",
        rule="spec.network.addressBlock must be a network address",
        change={"network": {"addressBlock": "10.128.0.1/10"}},
        words="spec.network.addressBlock 10.128.0.1/10 must be a network address",
    ),
    Case(
        kind="ClusterSet",
        rule="spec.network.addressBlock may only grow",
        before={"network": {"addressBlock": "10.128.0.0/11"}},
        change={"network": {"addressBlock": "10.128.0.0/12"}},
        words="Choose a block that contains 10.128.0.0/11.",
    ),
    Case(
        kind="ClusterSet",
        rule="spec.network.podPrefixLength must be above",
        change={"network": {"addressBlock": "10.128.0.0/16"}},
    ),
    Case(
        kind="ClusterSet",
        rule="spec.network.servicePrefixLength must be above",
        change={"network": {"addressBlock": "10.128.0.0/20", "podPrefixLength": 24}},
    ),
    Case(
        kind="ClusterSet",
        rule="a gate must have exactly one of approval, metric, job",
        change=gates({"name": "g"}),
        words="a gate must have exactly one block; it has none. Add one of approval, metric, job.",
    ),
    Case(
        kind="ClusterSet",
        rule="gate names must not begin with regime-",
        change=gates({"name": "regime-pci", "approval": {}}),
    ),
    Case(
        kind="ClusterSet",
        rule="minSoakSeconds must not be above soakSeconds",
        change={
            "upgrade": {
                "waves": [
                    {"name": "canary", "clusterSelector": SELECTOR, "soakSeconds": 10, "minSoakSeconds": 11},
                ]
            }
        },
    ),
    # ── ChildCluster ──
    Case(kind="ChildCluster", rule="metadata.name must be <spec.setName>--<spec.memberName>", change={}, name="other"),
    *(
        Case(kind="ChildCluster", rule=f"spec.{field} cannot be changed", before={}, change={field: value})
        for field, value in (("id", "other"), ("provider", "eks"))
    ),
    *(
        Case(kind="ChildCluster", rule=f"spec.{field} cannot be changed", before={}, change={field: "other"})
        for field in ("setName", "memberName")
    ),
    Case(
        kind="ChildCluster",
        rule="spec.clusterUID cannot be changed once it is set",
        before={"clusterUID": UID},
        change={"clusterUID": UID.replace("a", "b")},
    ),
    Case(
        kind="ChildCluster",
        rule="spec.clusterUID cannot be changed once it is set",
        before={"clusterUID": UID},
        change={},
    ),
    *(
        Case(
            kind="ChildCluster",
            rule="spec.cloud cannot be changed once it is set",
            before={"cloud": {"region": "eu-west-1"}},
            change={"cloud": cloud_now},
        )
        for cloud_now in ({"region": "eu-west-2"}, {"region": "eu-west-1", "project": "p"}, None)
    ),
    Case(
        kind="ChildCluster",
        rule="spec.network cannot be changed once the cluster lives",
        before={"clusterUID": UID},
        change={"clusterUID": UID, "network": {"podCIDR": "10.130.0.0/16"}},
    ),
    # ── HostPool, Host ──
    Case(
        kind="HostPool",
        rule="spec.hosts must not name one address twice",
        change={
            "hosts": [
                {"name": "h1", "address": "10.88.0.11", "hostKey": KEY},
                {"name": "h2", "address": "10.88.0.11", "hostKey": KEY},
            ]
        },
    ),
    Case(
        kind="HostPool",
        rule=KEYS,
        change={"hosts": [{"name": "h1", "address": "h1", "hostKey": KEY, "labels": {"a b": "x"}}]},
    ),
    Case(
        kind="HostPool",
        rule="spec.reimage must have exactly one",
        change={"reimage": {"command": ["/bin/true"], "webhook": {"url": "https://x"}}},
        words="it has command and webhook. Remove one.",
    ),
    Case(kind="Host", rule="metadata.name must be <spec.poolName>--<spec.hostName>", change={}, name="other"),
    Case(kind="Host", rule="spec.poolName cannot be changed", before={}, change={"poolName": "other"}),
    Case(kind="Host", rule="spec.hostName cannot be changed", before={}, change={"hostName": "other"}),
    # ── Environment ──
    Case(kind="Environment", rule=EMPTY, change={"placement": {"clusterSelector": {"matchLabels": None}}}),
    Case(
        kind="Environment",
        rule=EXPRESSIONS,
        change={"placement": {"clusterSelector": {"matchExpressions": [{"key": "a", "operator": "NotIn"}]}}},
    ),
    Case(kind="Environment", rule=KEYS, change={"labels": {"-a": "x"}}),
    Case(kind="Environment", rule=RESERVED, change={"labels": {"governance.atoll.dev/x": "y"}}),
    Case(
        kind="Environment",
        rule="spec.freezes must end after they begin",
        change={"freezes": [{"from": "2026-12-24T00:00:00Z", "to": "2026-12-23T00:00:00Z", "reason": "holidays"}]},
    ),
    # ── Tenant ──
    Case(
        kind="Tenant",
        rule="spec.environments must not ask for more than 256 placements",
        change={
            "environments": [
                {"name": f"e{n}", "clusters": 8, "namespaces": [{"name": f"n{i}"} for i in range(11)]} for n in range(3)
            ]
        },
    ),
    *(
        Case(
            kind="Tenant",
            rule="spec.members must not name system: or atoll.dev:",
            change={"members": [{"kind": "Group", "name": name, "role": "admin"}]},
        )
        for name in ("system:masters", "atoll.dev:operators")
    ),
    *(
        Case(kind="Tenant", rule="spec.environments must have either resources", change={"environments": [entry]})
        for entry in ({"name": "prod"}, {"name": "prod", "resources": {"cpu": 1}, "namespaces": [{"name": "a"}]})
    ),
    Case(
        kind="Tenant",
        rule="an entry of spec.network.allowTo must have exactly one",
        change={"network": {"allowTo": [{"tenant": "a", "environment": "b", "cidr": "10.0.0.0/8"}]}},
        words="an entry of spec.network.allowTo must have exactly one block; it has tenant and cidr. Remove one.",
    ),
    Case(
        kind="Tenant",
        rule="spec.network.allowTo must name tenant and environment together",
        change={"network": {"allowTo": [{"tenant": "a"}]}},
    ),
    # ── Regime, Rollout, Approval ──
    Case(
        kind="Regime",
        rule="spec.incompatibleWith must not name the regime itself",
        change={"incompatibleWith": ["one"]},
    ),
    Case(kind="Regime", rule="spec.labels must use keys without a prefix", change={"labels": {"a/b": "x"}}),
    Case(kind="Rollout", rule="spec.setName cannot be changed", before={}, change={"setName": "other"}),
    Case(kind="Rollout", rule="spec.target cannot be changed", before={}, change={"target": {"revision": "a2"}}),
    Case(kind="Rollout", rule="spec.requestedBy cannot be changed", before={}, change={"requestedBy": "mallory"}),
    Case(
        kind="Rollout",
        rule="spec.waves cannot be changed",
        before={},
        change={"waves": [{"name": "canary", "clusters": []}]},
    ),
    Case(
        kind="Rollout",
        rule="spec.action cannot leave Abort",
        before={"action": "Abort"},
        change={"action": "Run"},
    ),
    Case(
        kind="Approval",
        rule="an Approval cannot be changed",
        before={},
        change={"approver": {"username": "somebody-else"}},
    ),
)


def list_rules() -> Iterator[tuple[str, str]]:
    """List (kind, message) of every rule in the CRDs."""
    for crd in build_crds():
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        yield from ((crd["spec"]["names"]["kind"], message) for message in walk(schema))


def walk(node: dict[str, Any]) -> Iterator[str]:
    """List the messages of all rules of a schema."""
    yield from (rule["message"] for rule in node.get("x-kubernetes-validations", ()))
    for child in (*node.get("properties", {}).values(), node.get("items"), node.get("additionalProperties")):
        if isinstance(child, dict):
            yield from walk(child)


def test_each_rule_of_the_crds_has_a_case_here() -> None:
    untested = [
        (kind, message)
        for kind, message in dict.fromkeys(list_rules())
        if not any(case.kind == kind and message.startswith(case.rule) for case in CASES)
    ]
    assert untested == []


def test_no_case_here_is_about_a_rule_that_is_gone() -> None:
    rules = set(list_rules())
    gone = [case.label for case in CASES if not any(k == case.kind and m.startswith(case.rule) for k, m in rules)]
    assert gone == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_base_of_every_kind_is_accepted(server: Server, kind: str) -> None:
    server.must("create", "--dry-run=server", "--validate=strict", "-f", "-", body=build(kind))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_the_rule_refuses(server: Server, case: Case) -> None:
    wanted = build(case.kind, case.change, case.name)
    message = case.words or next(m for k, m in list_rules() if k == case.kind and m.startswith(case.rule))
    if case.before is None:
        answer = server.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", body=wanted)
    else:
        before = build(case.kind, case.before, case.name)
        server.must("create", "--validate=strict", "-f", "-", body=before)
        try:
            answer = server.kubectl("replace", "--dry-run=server", "--validate=strict", "-f", "-", body=wanted)
        finally:
            server.must("delete", "-f", "-", body=before)
    assert answer.code != 0
    assert message in answer.err


ACCEPTED = (
    ("ClusterSet", None, kubeadm(controlPlaneHosts=3, controlPlaneEndpoint="lb.example:6443", workerHosts=2)),
    (
        "ClusterSet",
        None,
        kubeadm(
            own=[{"name": n, "kubeadm": {"controlPlaneEndpoint": f"{n}:6443", "controlPlaneHosts": 3}} for n in "ab"]
        ),
    ),
    ("ClusterSet", None, cloud("eks", {}, clusters=[{"name": "dev", "eks": EKS}])),
    (
        "ClusterSet",
        None,
        cloud("existing", {}, clusters=[{"name": "a", "existing": {"kubeconfigSecretRef": {"name": "x"}}}]),
    ),
    ("ClusterSet", kubeadm(), kubeadm(podNetwork={"bridge": {}}, workerHosts=3)),
    (
        "ClusterSet",
        kubeadm(own=[{"name": "a"}]),
        kubeadm(own=[{"name": "a"}, {"name": "b", "kubeadm": {"configRef": {"name": "flags"}}}]),
    ),
    ("ClusterSet", {}, {"network": {"addressBlock": "10.0.0.0/8"}}),
    ("ClusterSet", None, {"clusters": [{"name": f"m{n}", "country": "NO"} for n in range(200)]}),
    ("ClusterSet", {}, {"version": "v1.37"}),
    ("ChildCluster", {}, {"clusterUID": UID, "hosts": ["rack--h1"], "version": "v1.37.0"}),
    ("Rollout", {}, {"action": "Abort"}),
    ("Tenant", None, {"network": {"allowTo": [{"cidr": "10.20.0.0/16", "ports": [{"port": 5432}]}]}}),
)


@pytest.mark.parametrize(("kind", "before", "change"), ACCEPTED, ids=lambda value: str(value)[:60])
def test_what_is_right_is_not_refused(
    server: Server, kind: str, before: dict[str, Any] | None, change: dict[str, Any]
) -> None:
    if before is None:
        server.must("create", "--dry-run=server", "--validate=strict", "-f", "-", body=build(kind, change))
        return
    old = build(kind, before)
    server.must("create", "-f", "-", body=old)
    try:
        server.must("replace", "--dry-run=server", "--validate=strict", "-f", "-", body=build(kind, change))
    finally:
        server.must("delete", "-f", "-", body=old)


def test_no_crd_has_a_condition_that_complains(server: Server) -> None:
    conditions = {
        (crd["metadata"]["name"], condition["type"]): condition["status"]
        for crd in server.get("crd")["items"]
        for condition in crd["status"]["conditions"]
    }
    wanted = {
        (crd["metadata"]["name"], condition): "True"
        for crd in build_crds()
        for condition in ("NamesAccepted", "Established")
    }
    assert conditions == wanted


def test_an_untouched_object_does_not_look_settled(server: Server) -> None:
    body = build("Environment", name="fresh")
    server.must("create", "-f", "-", body=body)
    try:
        assert server.get("aenv", "fresh", "-n", "fleet")["status"] == {"observedGeneration": -1}
    finally:
        server.must("delete", "-f", "-", body=body)


def test_a_member_gets_no_defaults_that_would_override_its_set(server: Server) -> None:
    body = build("ClusterSet", kubeadm(own=[{"name": "dev", "kubeadm": {"workerHosts": 5}}]), name="defaults")
    server.must("create", "-f", "-", body=body)
    try:
        stored = server.get("cset", "defaults", "-n", "fleet")["spec"]
    finally:
        server.must("delete", "-f", "-", body=body)
    assert stored["clusters"][0]["kubeadm"] == {"workerHosts": 5}
    assert stored["provider"]["kubeadm"] == {**KUBEADM, "controlPlaneHosts": 1, "workerHosts": 0}


def test_one_word_lists_all_kinds_and_columns_are_filled(server: Server) -> None:
    body = build("Rollout", name="columns")
    server.must("create", "-f", "-", body=body)
    try:
        listed = server.must("get", "atoll", "-n", "fleet")
        columns = server.must("get", "aro", "columns", "-n", "fleet", "--no-headers").split()
    finally:
        server.must("delete", "-f", "-", body=body)
    assert "rollout.atoll.dev/columns" in listed
    assert columns[:4] == ["columns", "apps", "v1.36.4", "Run"]


def test_children_are_found_by_field(server: Server) -> None:
    body = build("ChildCluster")
    server.must("create", "-f", "-", body=body)
    try:
        found = server.must("get", "child", "-n", "fleet", "--field-selector=spec.setName=apps", "-o", "name")
        none = server.must("get", "child", "-n", "fleet", "--field-selector=spec.setName=other", "-o", "name")
    finally:
        server.must("delete", "-f", "-", body=body)
    assert (found.strip(), none.strip()) == ("childcluster.atoll.dev/apps--dev", "")


def test_the_older_api_server_accepts_the_crds_too(tmp_path: Any) -> None:
    with serving(OLDER, tmp_path) as older:
        install_crds(older)
        older.must("create", "namespace", "fleet")
        for kind in KINDS:
            older.must("create", "--dry-run=server", "--validate=strict", "-f", "-", body=build(kind))
