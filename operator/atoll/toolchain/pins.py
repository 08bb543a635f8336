"""What Atoll knows about binaries without looking: which versions it ships Go modules for, and what is built from what.

A pinned version is one whose complete go.mod and go.sum lie in `modules/` (made by `derive`). Commit and date are what
the Go module proxy published for that version; where it published no commit we stamp none rather than make one up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import semver

from atoll.errors import BadInput


class Component(StrEnum):
    """Whose release a binary belongs to."""

    KUBERNETES = "kubernetes"
    ETCD = "etcd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A version that can be built from a Go module in this package."""

    component: Component
    version: str
    """As upstream tags it: `v1.36.4`, `v3.6.8`."""
    commit: str
    """Empty where the module proxy names none."""
    date: str
    """When upstream made the commit; stamped as build date, so that equal inputs give equal binaries."""


ETCD_VERSION: Final = "v3.6.8"
ETCD: Final = f"etcd-{ETCD_VERSION}"
"""What callers pass as version to get etcd's binaries."""

PINS: Final = (
    Pin(
        component=Component.KUBERNETES,
        version="v1.35.8",
        commit="1c2e10a409eb1b03f2f28f401ce935312e20d9fb",
        date="2026-08-20T15:16:14Z",
    ),
    Pin(component=Component.KUBERNETES, version="v1.36.4", commit="", date="2026-08-20T11:51:43Z"),
    Pin(component=Component.ETCD, version=ETCD_VERSION, commit="", date="2026-02-13T18:39:11Z"),
)
KUBERNETES_VERSIONS: Final = tuple(pin.version for pin in PINS if pin.component is Component.KUBERNETES)
"""Oldest first."""

PACKAGES: Final = {
    Component.KUBERNETES: {
        binary: f"k8s.io/kubernetes/cmd/{binary}"
        for binary in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-proxy",
            "kube-scheduler",
            "kubeadm",
            "kubectl",
            "kubelet",
        )
    },
    Component.ETCD: {
        "etcd": "go.etcd.io/etcd/server/v3",
        "etcdctl": "go.etcd.io/etcd/etcdctl/v3",
        "etcdutl": "go.etcd.io/etcd/etcdutl/v3",
    },
}
"""The Go package that each binary is built from."""

PLANE_BINARIES: Final = ("kube-apiserver", "kube-controller-manager")
"""What a Kubernetes version must have before a control plane of it can be started."""
USUAL_BINARIES: Final = {
    Component.KUBERNETES: (*PLANE_BINARIES, "kubectl"),
    Component.ETCD: ("etcd", "etcdctl", "etcdutl"),
}
"""What `atoll toolchain get` gets when nobody names binaries. etcdctl saves snapshots, etcdutl restores them."""

_BUILD_SECONDS: Final = {"etcd": 40, "etcdctl": 40, "etcdutl": 40, "kubectl": 80}
_OTHER_BUILD_SECONDS: Final = 180
"""From scratch on two idle cores; a quarter of that after another binary of the same version."""

_VERSION: Final = re.compile(r"(?P<etcd>etcd-)?v(?P<number>\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)\Z")


def parse_version(version: str) -> tuple[Component, str]:
    """Split what callers pass into component and upstream tag: `etcd-v3.6.8` → (ETCD, `v3.6.8`).

    Raises BadInput for anything else: the text becomes part of paths and URLs.
    """
    match = _VERSION.match(version)
    if match is None or not semver.Version.is_valid(match["number"]):
        raise BadInput(
            f"{version!r} is not a version of Kubernetes or etcd. Write it in full, like v1.36.4 or {ETCD}.",
            field="version",
        )
    component = Component.ETCD if match["etcd"] else Component.KUBERNETES
    return component, f"v{match['number']}"


def check_binary(component: Component, binary: str) -> None:
    """Raise BadInput unless `binary` is one that the releases of `component` hold."""
    if binary not in PACKAGES[component]:
        known = ", ".join(PACKAGES[component])
        raise BadInput(f"{binary!r} is no binary of {component}. Choose from {known}.", field="binary")


def find_pin(component: Component, tag: str) -> Pin | None:
    """Find the pin of an upstream tag."""
    return next((pin for pin in PINS if pin.component is component and pin.version == tag), None)


def order_of(version: str) -> semver.Version:
    """Sort key of a Kubernetes version."""
    return semver.Version.parse(version.removeprefix("v"))


def estimate_build_seconds(binary: str) -> int:
    """Tell how long a build of `binary` takes from scratch, for people who wait."""
    return _BUILD_SECONDS.get(binary, _OTHER_BUILD_SECONDS)
