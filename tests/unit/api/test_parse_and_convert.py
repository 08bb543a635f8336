"""Manifests, as the design writes them, become the values that the core decides on; wrong ones are told why not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from atoll.api import convert
from atoll.api.kinds import KINDS
from atoll.api.meta import to_api_name
from atoll.api.parse import parse_resource
from atoll.errors import BadInput
from atoll.fleet import observed, spec
from atoll.fleet.cluster import OperationType
from atoll.fleet.values import Requirement, Resources, Selector, Share, Version, thaw


def read(text: str, kind: str, name: str = "one") -> dict[str, Any]:
    """Read the YAML below an object's head."""
    head = {"apiVersion": "atoll.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "fleet"}}
    return {**head, **yaml.safe_load(text)}


META = spec.Meta(name="one", namespace="fleet")

CLUSTER_SET = """
spec:
  version: v1.36.4
  provider:
    kubeadm:
      hostPoolRef: {name: rack-a}
      controlPlaneHosts: 1
      workerHosts: 2
      hostSelector: {matchLabels: {zone: a}}
      source: {bundlePath: /srv/bundle}
      podNetwork: {bridge: {}}
      configRef: {name: tuning}
      ignorePreflightErrors: [{name: SystemVerification, reason: v1 cgroups}]
  clusters:
  - name: dev
    labels: {stage: dev}
    country: DE
    region: eu-central
    regimes: [gdpr]
    capabilities: [mesh]
    workloadClasses: [public]
    reservedFor: {tenants: [a]}
    capacity: {cpu: "16", memory: 64Gi, pods: "110", storage: 500Gi}
    kubeadm: {workerHosts: 5, controlPlaneHosts: 1}
  - {name: prod}
  regimes: []
  capabilities: [faas]
  labels: {cost-center: "4711"}
  network: {addressBlock: 10.128.0.0/10, podPrefixLength: 16, servicePrefixLength: 20}
  authentication: {oidc: {issuerURL: "https://id.example", clientID: atoll, usernameClaim: email, groupsClaim: groups}}
  upgrade:
    waves:
    - name: canary
      clusterSelector: {matchLabels: {stage: dev}}
      maxConcurrent: 25%
      soakSeconds: 600
      gates:
      - {name: sign-off, approval: {count: 1, groups: [sre]}}
      - {name: slo, metric: {url: "https://prom", query: up, max: "0.01", secretRef: {name: t}}}
      - {name: smoke, job: {manifestsRef: {name: smoke}}}
    maxConcurrent: 3
    maxConcurrentPerRegion: 1
    failureBudget: 0
    onFailure: Revert
    windows: [{cron: "0 22 * * 1-4", durationMinutes: 180, timeZone: Europe/Berlin}]
    retry: 2
  verification: {sampleApplication: true}
  backup: {drillBeforeHop: false, drillCron: ""}
  confirmRemoval: [old]
  deletionPolicy: Delete
  deletionProtection: true
  paused: {reason: freeze, until: "2026-12-01T00:00:00Z"}
"""


def test_the_cluster_set_of_the_design() -> None:
    assert thaw_settings(convert.convert_cluster_set(read(CLUSTER_SET, "ClusterSet"))) == spec.ClusterSet(
        meta=META,
        version=Version(1, 36, 4),
        provider=spec.ProviderBlock(
            kind="kubeadm",
            settings={
                "hostPoolRef": {"name": "rack-a"},
                "workerHosts": 2,
                "hostSelector": {"matchLabels": {"zone": "a"}},
                "source": {"bundlePath": "/srv/bundle"},
                "podNetwork": {"bridge": {}},
                "configRef": {"name": "tuning"},
                "ignorePreflightErrors": [{"name": "SystemVerification", "reason": "v1 cgroups"}],
            },
        ),
        members=(
            spec.Member(
                name="dev",
                labels={"stage": "dev"},
                country="DE",
                region="eu-central",
                regimes=("gdpr",),
                capabilities=("mesh",),
                workload_classes=("public",),
                reserved_for=("a",),
                capacity=Resources.parse({"cpu": 16, "memory": "64Gi", "pods": 110, "storage": "500Gi"}),
                settings={"workerHosts": 5, "controlPlaneHosts": 1},
            ),
            spec.Member(name="prod"),
        ),
        capabilities=("faas",),
        labels={"cost-center": "4711"},
        network=spec.Network(address_block="10.128.0.0/10", pod_prefix_length=16, service_prefix_length=20),
        authentication={
            "oidc": {
                "issuerURL": "https://id.example",
                "clientID": "atoll",
                "usernameClaim": "email",
                "groupsClaim": "groups",
            }
        },
        upgrade=spec.Upgrade(
            waves=(
                spec.Wave(
                    name="canary",
                    selector=Selector(match_labels={"stage": "dev"}),
                    max_concurrent=Share(25, percent=True),
                    soak_seconds=600,
                    gates=(
                        spec.Gate(name="sign-off", kind="approval", settings={"count": 1, "groups": ["sre"]}),
                        spec.Gate(
                            name="slo",
                            kind="metric",
                            settings={
                                "url": "https://prom",
                                "query": "up",
                                "max": "0.01",
                                "intervalSeconds": 30,
                                "secretRef": {"name": "t"},
                            },
                        ),
                        spec.Gate(name="smoke", kind="job", settings={"manifestsRef": {"name": "smoke"}}),
                    ),
                ),
            ),
            max_concurrent=Share(3),
            max_concurrent_per_region=1,
            failure_budget=Share(0),
            on_failure="Revert",
            windows=(spec.Window(cron="0 22 * * 1-4", duration_minutes=180, time_zone="Europe/Berlin"),),
            retry=2,
        ),
        confirm_removal=("old",),
        deletion_policy=spec.DeletionPolicy.DELETE,
        deletion_protection=True,
        paused=spec.Paused(reason="freeze", until=datetime(2026, 12, 1, tzinfo=UTC)),
    )


def thaw_settings(cluster_set: spec.ClusterSet) -> spec.ClusterSet:
    """Return the set with plain JSON in place of frozen JSON, which tuples would make unequal to lists."""
    from dataclasses import replace

    waves = tuple(
        replace(wave, gates=tuple(replace(gate, settings=thaw(gate.settings)) for gate in wave.gates))
        for wave in cluster_set.upgrade.waves
    )
    return replace(
        cluster_set,
        provider=replace(cluster_set.provider, settings=thaw(cluster_set.provider.settings)),
        upgrade=replace(cluster_set.upgrade, waves=waves),
        authentication=thaw(cluster_set.authentication),
    )


def test_the_smallest_cluster_set_gets_the_defaults() -> None:
    body = read("spec: {version: v1.36, provider: {local: {}}, clusters: [{name: dev}]}", "ClusterSet")
    assert convert.convert_cluster_set(body) == spec.ClusterSet(
        meta=META,
        version=Version(1, 36),
        provider=spec.ProviderBlock(kind="local"),
        members=(spec.Member(name="dev"),),
    )


def test_defaults_that_a_server_fills_in_change_no_setting() -> None:
    """Or a revision would differ between `atoll plan` offline and the operator."""
    bare = "spec: {version: v1.36, provider: {eks: {region: r, endpointAccess: {public: true}}}, clusters: [{name: a}]}"
    filled = bare.replace("public: true", "public: true, private: true").replace("region: r", "region: r, addons: []")
    offline, online = (convert.convert_cluster_set(read(text, "ClusterSet")) for text in (bare, filled))
    assert offline == online
    assert thaw(offline.provider.settings) == {"region": "r", "endpointAccess": {"public": True}}


def test_the_environment_of_the_design() -> None:
    body = read(
        """
        spec:
          topology: CrossEnvironment
          placement:
            clusterSelector: {matchExpressions: [{key: stage, operator: In, values: [prod]}]}
            requiredCapabilities: [mesh]
            spread: {topologyKey: region, maxSkew: 1}
            headroomPercent: 10
          allowedTenants: []
          maxPerTenant: {cpu: "32", memory: 128Gi}
          maxUnavailableClusters: 1
          regimes: [gdpr]
          isolation: Cluster
          labels: {stage: prod}
          freezes: [{from: "2026-12-20T00:00:00Z", to: "2027-01-02T00:00:00Z", reason: holidays}]
        status: {tenantCount: 2}
        """,
        "Environment",
    )
    assert convert.convert_environment(body) == spec.Environment(
        meta=META,
        topology=spec.Topology.CROSS_ENVIRONMENT,
        selector=Selector(match_expressions=(Requirement(key="stage", operator="In", values=("prod",)),)),
        required_capabilities=("mesh",),
        spread=spec.Spread(topology_key="region"),
        headroom_percent=10,
        allowed_tenants=(),
        max_per_tenant=Resources.parse({"cpu": 32, "memory": "128Gi"}),
        max_unavailable_clusters=1,
        regimes=("gdpr",),
        isolation=spec.Isolation.CLUSTER,
        labels={"stage": "prod"},
        freezes=(
            spec.Freeze(
                start=datetime(2026, 12, 20, tzinfo=UTC), end=datetime(2027, 1, 2, tzinfo=UTC), reason="holidays"
            ),
        ),
        status={"tenantCount": 2},
    )


def test_an_environment_that_says_nothing() -> None:
    assert convert.convert_environment(read("spec: {}", "Environment")) == spec.Environment(meta=META)


def test_the_tenant_of_the_design() -> None:
    body = read(
        """
        spec:
          members: [{kind: Group, name: payments-devs, role: developer}]
          environments:
          - {name: dev, resources: {cpu: "4", memory: 8Gi, pods: "40"}}
          - name: prod
            namespaces: [{name: api, workloadClass: public, resources: {cpu: 2}}]
            clusters: 2
            isolation: Hosts
          regimes: [pci]
          capabilities: [mesh]
          network:
            allowFrom: [{tenant: web, environment: prod}]
            allowTo: [{cidr: 10.20.0.0/16, ports: [{port: 5432}]}]
          deletionPolicy: Delete
        """,
        "Tenant",
    )
    tenant = convert.convert_tenant(body)
    assert thaw(tenant.network) == {
        "allowFrom": [{"tenant": "web", "environment": "prod"}],
        "allowTo": [{"cidr": "10.20.0.0/16", "ports": [{"port": 5432, "protocol": "TCP"}]}],
    }
    assert tenant == spec.Tenant(
        meta=META,
        members=(spec.TenantMember(kind="Group", name="payments-devs", role="developer"),),
        environments=(
            spec.TenantEnvironment(
                name="dev",
                namespaces=(spec.TenantNamespace(resources=Resources.parse({"cpu": 4, "memory": "8Gi", "pods": 40})),),
            ),
            spec.TenantEnvironment(
                name="prod",
                namespaces=(
                    spec.TenantNamespace(name="api", workload_class="public", resources=Resources.parse({"cpu": 2})),
                ),
                clusters=2,
                isolation=spec.Isolation.HOSTS,
            ),
        ),
        regimes=("pci",),
        capabilities=("mesh",),
        network=tenant.network,
        deletion_policy=spec.DeletionPolicy.DELETE,
    )


def test_the_regime_of_the_design() -> None:
    body = read(
        """
        spec:
          title: PCI DSS 4.0
          countries: [DE, FR, "NO"]
          exclusive: true
          incompatibleWith: [internal]
          isolation: Cluster
          podSecurity: restricted
          versions: {maxMinorsBehind: 2}
          upgrade: {minSoakSeconds: 3600, approvals: 2}
          labels: {compliance: pci}
        """,
        "Regime",
    )
    assert convert.convert_regime(body) == spec.Regime(
        meta=META,
        title="PCI DSS 4.0",
        countries=("DE", "FR", "NO"),
        exclusive=True,
        incompatible_with=("internal",),
        isolation=spec.Isolation.CLUSTER,
        pod_security="restricted",
        max_minors_behind=2,
        upgrade=spec.RegimeUpgrade(min_soak_seconds=3600, approvals=2),
        labels={"compliance": "pci"},
    )


def test_a_regime_that_says_nothing_about_upgrades() -> None:
    filled_in = read("spec: {upgrade: {minSoakSeconds: 0, approvals: 0}}", "Regime")
    assert convert.convert_regime(filled_in) == spec.Regime(meta=META)


def test_a_child_with_an_operation_under_way() -> None:
    body = read(
        """
        spec:
          {id: k3v9, setName: apps, memberName: dev, provider: local, version: v1.36.4, revision: a1~v1.35.8,
           network: {podCIDR: 10.128.0.0/16, serviceCIDR: 10.129.0.0/20}, clusterUID: u, hosts: [rack--h1]}
        status:
          observedGeneration: 1
          revision: a0
          operation: {id: op1, type: Change, state: Failed, fromVersion: v1.35.8, toVersion: v1.36.4, rollout: apps-1,
            step: start, stepsDone: 1, stepsTotal: 5, startedTime: "2026-11-21T09:00:00Z", message: broken}
          history: [{from: "", to: v1.35.8, startedTime: "2026-11-20T09:00:00Z", seconds: 9, result: Succeeded}]
        """,
        "ChildCluster",
        "apps--dev",
    )
    body["metadata"]["annotations"] = {"atoll.dev/rollout": "apps-1"}
    child = convert.convert_child_cluster(body)
    assert child == observed.ChildCluster(
        meta=spec.Meta(name="apps--dev", namespace="fleet", annotations={"atoll.dev/rollout": "apps-1"}),
        id="k3v9",
        set_name="apps",
        member_name="dev",
        provider="local",
        version=Version(1, 36, 4),
        revision="a1~v1.35.8",
        pod_cidr="10.128.0.0/16",
        service_cidr="10.129.0.0/20",
        cluster_uid="u",
        hosts=("rack--h1",),
        rollout="apps-1",
        operation=observed.OperationStatus(
            id="op1",
            type=OperationType.CHANGE,
            started_time=datetime(2026, 11, 21, 9, tzinfo=UTC),
            from_version="v1.35.8",
            to_version="v1.36.4",
            step="start",
            steps_done=1,
            steps_total=5,
            message="broken",
            failed=True,
            rollout="apps-1",
        ),
        done_revision="a0",
        history=child.status["history"],
        body=child.body,
        status=child.status,
    )
    assert thaw(child.body) == body


def test_a_rollout() -> None:
    body = read(
        """
        spec:
          setName: apps
          target: {version: v1.36.4, revision: a1, retry: 1}
          requestedBy: alice
          action: Pause
          waves: [{name: canary, clusters: [dev], maxConcurrent: 2, soakSeconds: 5, gates: [regime-pci]}]
        """,
        "Rollout",
    )
    assert convert.convert_rollout(body) == observed.Rollout(
        meta=META,
        set_name="apps",
        target_version=Version(1, 36, 4),
        target_revision="a1",
        retry=1,
        requested_by="alice",
        action="Pause",
        waves=(
            observed.RolloutWave(
                name="canary", clusters=("dev",), max_concurrent=2, soak_seconds=5, gates=("regime-pci",)
            ),
        ),
    )


def test_bookkeeping_of_an_object() -> None:
    body = read("spec: {}", "Environment")
    body["metadata"] |= {
        "uid": "u",
        "resourceVersion": "7",
        "generation": 3,
        "labels": {"a": "b"},
        "annotations": None,
        "finalizers": ["atoll.dev/finalizer"],
        "creationTimestamp": "2026-11-21T09:00:00Z",
        "deletionTimestamp": "2026-11-21T10:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
    }
    meta = convert.convert_environment(body).meta
    assert meta == spec.Meta(
        name="one",
        namespace="fleet",
        uid="u",
        resource_version="7",
        generation=3,
        labels={"a": "b"},
        finalizers=("atoll.dev/finalizer",),
        creation_time=datetime(2026, 11, 21, 9, tzinfo=UTC),
        deletion_time=datetime(2026, 11, 21, 10, tzinfo=UTC),
    )
    assert meta.deleting


SET = "spec: {version: v1.36.4, provider: {local: {}}, clusters: [{name: dev}]}"


@pytest.mark.parametrize(
    ("kind", "text", "field", "told"),
    [
        ("ClusterSet", SET.replace("version: v1.36.4, ", ""), "spec.version", "is missing. Add it."),
        ("ClusterSet", SET.replace("v1.36.4", "1.36"), "spec.version", "`1.36` must be a text|cannot be used"),
        ("ClusterSet", SET.replace("v1.36.4", "v2.0"), "spec.version", "`v2.0` must match"),
        ("ClusterSet", SET.replace("name: dev", "name: dev, country: NO"), "spec.clusters[dev].country", 'write "NO"'),
        ("ClusterSet", SET.replace("name: dev", "nam: dev"), "spec.clusters[0].name", "is missing. Add it."),
        ("ClusterSet", SET.replace("local: {}", ""), "spec.provider", "it has none. Add one of local, kubeadm"),
        (
            "ClusterSet",
            SET.replace("local: {}", "local: {}, eks: {}"),
            "spec.provider",
            "it has local and eks. Keep one.",
        ),
        (
            "ClusterSet",
            SET.replace("name: dev", "name: dev, eks: {}"),
            "spec.clusters[dev].eks",
            "has a block eks, and the set's provider is local. Remove eks from the member.",
        ),
        (
            "ClusterSet",
            SET.replace("name: dev", "name: dev, capacity: {cpu: 16 cores}"),
            "spec.clusters[dev].capacity.cpu",
            "`16 cores` must match",
        ),
        (
            "ClusterSet",
            SET.replace("[{name: dev}]", "[{name: dev}], upgrade: {waves: [{name: w, clusterSelector: {}}]}"),
            "spec.upgrade.waves[w].clusterSelector",
            "is empty and would select nothing",
        ),
        (
            "ClusterSet",
            SET.replace(
                "[{name: dev}]",
                "[{name: dev}], upgrade: {waves: [{name: w, clusterSelector: {matchLabels: {a: b}}, "
                "gates: [{name: g}]}]}",
            ),
            "spec.upgrade.waves[w].gates[g]",
            "must have exactly one of approval, metric, job; it has none",
        ),
        ("Environment", "spec: {topology: Shared}", "spec.topology", "must be one of 'SharedCluster'"),
        (
            "Environment",
            "spec: {placement: {headroomPercent: 95}}",
            "spec.placement.headroomPercent",
            "95 must be at most 90",
        ),
        (
            "Environment",
            "spec: {placement: {headroomPercent: '5'}}",
            "spec.placement.headroomPercent",
            "`5` cannot be used",
        ),
        ("Environment", "spec: {maxUnavailableClusters: true}", "spec.maxUnavailableClusters", "cannot be used"),
        ("Tenant", "spec: {environments: [{name: prod}]}", "spec.environments[prod]", "either resources or namespaces"),
        ("Tenant", "spec: {environments: [{name: a--b}]}", "spec.environments[a--b].name", "`a--b` must match"),
        ("Regime", f"spec: {{title: {'x' * 129}}}", "spec.title", "must have at most 128 characters"),
        ("Regime", "spec: {countries: [NO]}", "spec.countries[0]", 'write "NO"'),
    ],
)
def test_what_cannot_be_used_is_named_with_its_remedy(kind: str, text: str, field: str, told: str) -> None:
    converters: dict[str, Callable[[Any], Any]] = {
        "ClusterSet": convert.convert_cluster_set,
        "Environment": convert.convert_environment,
        "Tenant": convert.convert_tenant,
        "Regime": convert.convert_regime,
    }
    with pytest.raises(BadInput) as caught:
        converters[kind](read(text, kind))
    assert caught.value.field == field
    assert any(part in str(caught.value) for part in told.split("|"))


def test_fields_of_a_newer_crd_are_passed_over() -> None:
    assert convert.convert_regime(read("spec: {title: x, invented: {later: true}}", "Regime")).title == "x"


def test_a_status_that_another_version_wrote_spoils_no_spec() -> None:
    body = read("spec: {title: x}\nstatus: {observedGeneration: many, conditions: [{type: 5}]}", "Regime")
    assert convert.convert_regime(body).title == "x"


def test_an_object_that_is_none_of_ours_is_refused() -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    with pytest.raises(BadInput, match="apiVersion `v1` with kind `ConfigMap` is none of ours"):
        parse_resource(body)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_no_name_of_a_field_is_spelt_twice(kind: Any) -> None:
    aliases = [field.alias for field in kind.model.model_fields["spec"].annotation.model_fields.values()]
    assert len(set(aliases)) == len(aliases)


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("role_arn", "roleARN"),
        ("subnet_ids", "subnetIDs"),
        ("issuer_url", "issuerURL"),
        ("client_id", "clientID"),
        ("subscription_id", "subscriptionID"),
        ("pod_cidr", "podCIDR"),
        ("service_cidr", "serviceCIDR"),
        ("cluster_uid", "clusterUID"),
        ("url", "url"),
        ("from_", "from"),
        ("max_concurrent_per_region", "maxConcurrentPerRegion"),
    ],
)
def test_names_follow_the_conventions_of_the_api(attribute: str, name: str) -> None:
    assert to_api_name(attribute) == name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "x", "local"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(version=JSON, provider=JSON, clusters=JSON, upgrade=JSON)
def test_no_nonsense_ends_in_anything_but_a_named_refusal(
    version: Any, provider: Any, clusters: Any, upgrade: Any
) -> None:
    body = {
        "metadata": {"name": "x"},
        "spec": {"version": version, "provider": provider, "clusters": clusters, "upgrade": upgrade},
    }
    told = ""
    try:
        convert.convert_cluster_set(body)
    except BadInput as error:
        told = error.field
    assert told == "" or told.startswith("spec")
