"""kubeadm's configuration: what it says, word for word, and what people may lay over it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from atoll.errors import BadInput
from atoll.providers.kubeadm.configuration import (
    build_cluster_configuration,
    build_init_configuration,
    build_join_configuration,
    build_kubelet_configuration,
    build_reset_configuration,
    build_upgrade_configuration,
    render_documents,
    render_init,
)
from atoll.providers.kubeadm.merge import OWN_FIELDS, merge, parse_overrides
from atoll.providers.kubeadm.values import Settings

from .clusters import H1, H2, SETTINGS, cluster

PLAIN = build_cluster_configuration(cluster())["apiServer"]
GOLDEN = Path(__file__).parent / "golden"
TOKEN = "abcdef.0123456789abcdef"

TEXTS = {
    "init.yaml": render_init(cluster(), TOKEN),
    "join.yaml": render_documents(build_join_configuration(cluster(), H2, TOKEN, "sha256:0123")),
    "upgrade.yaml": render_documents(build_upgrade_configuration(cluster())),
    "reset.yaml": render_documents(build_reset_configuration(SETTINGS.ignored)),
}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_what_kubeadm_is_given(name: str, update_golden: bool) -> None:
    path = GOLDEN / name
    if update_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(TEXTS[name])
    assert TEXTS[name] == path.read_text()


def test_without_workers_the_control_plane_runs_everything() -> None:
    alone = build_init_configuration(cluster(H1), TOKEN)
    assert alone["nodeRegistration"]["taints"] == []
    assert "taints" not in build_init_configuration(cluster(H1, H2), TOKEN)["nodeRegistration"]


def test_nothing_is_ignored_that_nobody_named() -> None:
    strict = cluster(settings=Settings(bundle_path="/bundle"))
    assert "ignorePreflightErrors" not in render_init(strict, TOKEN)
    assert "ignorePreflightErrors" not in render_documents(build_upgrade_configuration(strict))
    assert "ignorePreflightErrors" not in build_reset_configuration(())


def test_what_is_kept_holds_no_token() -> None:
    assert "bootstrapTokens" in render_init(cluster(), TOKEN)
    assert "bootstrapTokens" not in render_init(cluster())
    assert TOKEN not in render_init(cluster())


@pytest.mark.parametrize(
    ("pod_cidr", "share"),
    [("10.128.0.0/16", None), ("10.0.0.0/20", None), ("10.0.0.0/22", "26"), ("10.0.0.0/26", "28")],
)
def test_a_small_pod_network_is_shared_in_small_pieces(pod_cidr: str, share: str | None) -> None:
    arguments = build_cluster_configuration(cluster(pod_cidr=pod_cidr)).get("controllerManager", {})
    expected = {} if share is None else {"extraArgs": [{"name": "node-cidr-mask-size", "value": share}]}
    assert arguments == expected


def test_the_endpoint_is_the_control_plane_unless_people_name_one() -> None:
    named = cluster(settings=Settings(control_plane_endpoint="api.example.test:443"))
    assert build_cluster_configuration(named)["controlPlaneEndpoint"] == "api.example.test:443"
    assert build_cluster_configuration(cluster())["controlPlaneEndpoint"] == "10.88.0.11:6443"


def test_people_add_and_change_fields_and_named_arguments() -> None:
    data = {
        "b.yaml": "kind: KubeletConfiguration\ncgroupDriver: cgroupfs\nevictionHard: {nodefs.available: '0%'}\n",
        "a.yaml": (
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
            "apiServer: {extraArgs: [{name: request-timeout, value: 5s}]}\n"
            "controllerManager: {extraArgs: [{name: v, value: '2'}]}\n---\n"
            "kind: KubeProxyConfiguration\nmode: nftables\n"
        ),
    }
    wanted = cluster(pod_cidr="10.0.0.0/22", overrides=parse_overrides("rig", data))
    made = build_cluster_configuration(wanted)
    assert made["apiServer"] == {
        "certSANs": ["10.88.0.11"],
        "extraArgs": [*PLAIN["extraArgs"], {"name": "request-timeout", "value": "5s"}],
        "extraVolumes": PLAIN["extraVolumes"],
    }
    assert made["controllerManager"]["extraArgs"] == [
        {"name": "node-cidr-mask-size", "value": "26"},
        {"name": "v", "value": "2"},
    ]
    assert build_kubelet_configuration(wanted) == {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "evictionHard": {"nodefs.available": "0%"},
    }
    assert build_kubelet_configuration(cluster())["cgroupDriver"] == "systemd"
    assert [body["kind"] for body in yaml.safe_load_all(render_init(wanted))][-1] == "KubeProxyConfiguration"
    assert "mode: nftables" in render_init(wanted)


def test_a_merge_never_changes_what_it_was_given() -> None:
    own = {"a": {"b": 1}, "l": [{"name": "x", "value": 1}]}
    assert merge(own, {"a": {"c": 2}, "l": [{"name": "x", "value": 2}], "n": [1]}) == {
        "a": {"b": 1, "c": 2},
        "l": [{"name": "x", "value": 2}],
        "n": [1],
    }
    assert own == {"a": {"b": 1}, "l": [{"name": "x", "value": 1}]}


def _nest(path: str) -> dict:
    body: dict = {}
    inner = body
    *parents, last = path.split(".")
    for part in parents:
        inner = inner.setdefault(part, {})
    inner[last] = "mine"
    return body


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, fields in OWN_FIELDS.items() for path in fields])
def test_our_own_fields_are_refused_with_the_field_and_what_to_do(kind: str, path: str) -> None:
    text = yaml.safe_dump({"kind": kind, **_nest(path)})
    with pytest.raises(BadInput) as caught:
        parse_overrides("rig", {"mine.yaml": text})
    message = str(caught.value)
    assert f"ConfigMap rig, key mine.yaml: {kind}.{path} is not yours to set" in message
    assert OWN_FIELDS[kind][path] in message
    assert caught.value.field == "spec.provider.kubeadm.configRef"


@pytest.mark.parametrize(
    ("server", "path"),
    [
        ("{extraArgs: [{name: authentication-config, value: /mine}]}", "extraArgs[authentication-config]"),
        ("{extraArgs: [{name: v, value: '2'}, {name: oidc-issuer-url, value: x}]}", "extraArgs[oidc-issuer-url]"),
        ("{extraVolumes: [{name: atoll-authentication, hostPath: /mine}]}", "extraVolumes[atoll-authentication]"),
        ("{extraVolumes: [{name: mine, hostPath: /m, mountPath: /etc/kubernetes/atoll/}]}", "extraVolumes[mine]"),
    ],
)
def test_how_people_log_in_is_said_at_the_cluster_set_alone(server: str, path: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_overrides("rig", {"x": f"kind: ClusterConfiguration\napiServer: {server}\n"})
    message = str(caught.value)
    assert f"ClusterConfiguration.apiServer.{path} is not yours to set: set spec.authentication" in message


def test_empty_lists_take_nothing_of_ours_away() -> None:
    over = parse_overrides("rig", {"x": "kind: ClusterConfiguration\napiServer: {extraArgs: [], extraVolumes: []}\n"})
    assert build_cluster_configuration(cluster(overrides=over))["apiServer"] == PLAIN


def test_an_api_server_that_cannot_read_the_file_is_not_told_of_it() -> None:
    assert build_cluster_configuration(cluster(version="v1.33.9"))["apiServer"] == {"certSANs": ["10.88.0.11"]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: InitConfiguration\n", "kind InitConfiguration, which Atoll writes itself"),
        ("- a list\n", "kind (none)"),
        ("a: [\n", "cannot be read"),
        ("kind: KubeletConfiguration\n---\nkind: KubeletConfiguration\n", "a second KubeletConfiguration"),
        ("kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta3\n", "must be kubeadm.k8s.io/v1beta4"),
    ],
)
def test_documents_that_cannot_be_used_are_refused(text: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_overrides("rig", {"x": text})
    assert words in str(caught.value)
