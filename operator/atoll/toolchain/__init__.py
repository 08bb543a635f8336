"""Which Kubernetes and etcd binaries there are, and how to get the missing."""

from __future__ import annotations

from .pins import (
    ETCD,
    ETCD_VERSION,
    KUBERNETES_VERSIONS,
    PACKAGES,
    PLANE_BINARIES,
    USUAL_BINARIES,
    Component,
    estimate_build_seconds,
    parse_version,
)
from .sources import Found, Limits, Progress, SilentProgress, Sources
from .toolchain import Toolchain

__all__ = [
    "ETCD",
    "ETCD_VERSION",
    "KUBERNETES_VERSIONS",
    "PACKAGES",
    "PLANE_BINARIES",
    "USUAL_BINARIES",
    "Component",
    "Found",
    "Limits",
    "Progress",
    "SilentProgress",
    "Sources",
    "Toolchain",
    "estimate_build_seconds",
    "parse_version",
]
