"""Our go.mod is derived from upstream's."""

from __future__ import annotations

import pytest

from atoll.toolchain import Component
from atoll.toolchain.derive import derive_go_mod

UPSTREAM = """\
// This is a generated file.
module k8s.io/kubernetes

go 1.26.0

godebug default=go1.26

require (
	github.com/google/cel-go v0.26.0
	k8s.io/api v0.0.0
	k8s.io/kube-openapi v0.0.0-20260317180543-43fb72c5454a
	k8s.io/streaming v0.0.0 // indirect
	k8s.io/system-validators v1.12.1
	k8s.io/utils v0.0.0-20260210185600-b8788abfbbc2
	sigs.k8s.io/json v0.0.0-20250730193827-2d320260d730
)

require k8s.io/apimachinery v0.0.0

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/sample-controller => ./staging/src/k8s.io/sample-controller
)
"""

GOLDEN = """\
module atoll.dev/toolchain/kubernetes/v1.36.4

go 1.26.0

godebug default=go1.26

require (
	k8s.io/kubernetes v1.36.4
)

replace (
	k8s.io/api => k8s.io/api v0.36.4
	k8s.io/apimachinery => k8s.io/apimachinery v0.36.4
	k8s.io/streaming => k8s.io/streaming v0.36.4
)

tool (
	k8s.io/kubernetes/cmd/kube-apiserver
	k8s.io/kubernetes/cmd/kube-controller-manager
	k8s.io/kubernetes/cmd/kube-proxy
	k8s.io/kubernetes/cmd/kube-scheduler
	k8s.io/kubernetes/cmd/kubeadm
	k8s.io/kubernetes/cmd/kubectl
	k8s.io/kubernetes/cmd/kubelet
)
"""


def test_staging_modules_get_their_published_twin_and_real_versions_stay() -> None:
    assert derive_go_mod(Component.KUBERNETES, "v1.36.4", UPSTREAM) == GOLDEN


def test_etcd_needs_its_three_modules_and_replaces_nothing() -> None:
    upstream = "module go.etcd.io/etcd/server/v3\n\ngo 1.24.0\n\ntoolchain go1.24.13\n"
    modules = "\tgo.etcd.io/etcd/etcdctl/v3{0}\n\tgo.etcd.io/etcd/etcdutl/v3{0}\n\tgo.etcd.io/etcd/server/v3{0}\n"
    assert derive_go_mod(Component.ETCD, "v3.6.8", upstream) == (
        "module atoll.dev/toolchain/etcd/v3.6.8\n\ngo 1.24.0\n\n"
        f"require (\n{modules.format(' v3.6.8')})\n\ntool (\n{modules.format('')})\n"
    )


def test_a_page_that_is_no_go_mod_is_refused() -> None:
    with pytest.raises(ValueError, match="no go line"):
        derive_go_mod(Component.KUBERNETES, "v1.36.4", "<html>")
