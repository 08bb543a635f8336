"""How a binary is built from its Go module: command line, environment, stamps. Computes only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .pins import PACKAGES, Component, Pin
from .releases import Platform

_KUBERNETES_STAMPED: Final = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
"""Both: unstamped, kubeadm computes its version skews from a placeholder and clients name a wrong user agent."""
_ETCD_STAMPED: Final = "go.etcd.io/etcd/api/v3/version"
_TAGS: Final = "selinux,notest,grpcnotrace"
"""Those of upstream's own release builds."""
_KEPT: Final = (
    "ALL_PROXY", "GOAUTH", "GOCACHE", "GOENV", "GOINSECURE", "GOMODCACHE", "GONOPROXY", "GONOSUMDB", "GOPATH",
    "GOPRIVATE", "GOPROXY", "GOSUMDB", "HOME", "HTTPS_PROXY", "HTTP_PROXY", "LANG", "NETRC", "NO_PROXY",
    "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "USER", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
    "all_proxy", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
"""What a build may see of our environment. Secrets of the operator (cloud credentials, tokens) are not among it."""


def name_module(pin: Pin) -> str:
    """Name the folder below `modules/` that holds go.mod and go.sum."""
    return f"{pin.component}-{pin.version}"


def parse_go_lane(go_mod: str) -> str:
    """Read the oldest Go that a go.mod allows: its `go` line, `1.26.0`."""
    match = re.search(r"^go (\d+\.\d+(?:\.\d+)?)\s*$", go_mod, re.MULTILINE)
    if match is None:
        raise ValueError("go.mod has no go line")
    return match[1]


def parse_go_version(output: str) -> tuple[int, ...] | None:
    """Read `go1.26.8` (also `go1.27rc1`) out of what `go version` prints."""
    match = re.search(r"\bgo(\d+(?:\.\d+)*)", output)
    return tuple(int(part) for part in match[1].split(".")) if match else None


def build_stamps(pin: Pin) -> str:
    """Build the -ldflags that make the binary report its version, commit and date."""
    return " ".join(("-s -w", *(f"-X {name}={value}" for name, value in _list_stamps(pin))))


def build_argv(go: Path, pin: Pin, binary: str, output: Path) -> tuple[str, ...]:
    """Build the command line that compiles one binary into `output`."""
    return (
        str(go),
        "build",
        "-trimpath",
        "-buildvcs=false",
        f"-tags={_TAGS}",
        f"-ldflags={build_stamps(pin)}",
        "-o",
        str(output),
        PACKAGES[pin.component][binary],
    )


def build_environment(
    environ: Mapping[str, str], *, platform: Platform, scratch: Path, offline: bool
) -> Mapping[str, str]:
    """Build what the compiler sees: nothing of the user's Go settings that could change the result."""
    kept = {name: environ[name] for name in _KEPT if name in environ}
    settled = {
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOARCH": platform.arch,
        "GOFLAGS": "-mod=readonly",
        "GOGC": "400",  # a fifth less time, for 2 GB at the peak
        "GOOS": platform.os,
        "GOTMPDIR": str(scratch),  # so that a killed build leaves nothing outside the folder that we clear
        "GOTOOLCHAIN": "local",  # never fetch another compiler behind the user's back
        "GOWORK": "off",
    }
    return kept | settled | ({"GOPROXY": "off"} if offline else {})


def _list_stamps(pin: Pin) -> list[tuple[str, str]]:
    commit = pin.commit or "unknown"
    match pin.component:
        case Component.ETCD:
            return [(f"{_ETCD_STAMPED}.GitSHA", commit)]  # its version is a constant in the source
        case Component.KUBERNETES:
            major, minor, *_ = pin.version.removeprefix("v").split(".")
            stamps = {
                "gitVersion": pin.version,
                "gitMajor": major,
                "gitMinor": minor,
                "gitCommit": commit,
                "gitTreeState": "archive",  # upstream's word for sources that are not a git checkout
                "buildDate": pin.date,
            }
            return [(f"{package}.{name}", value) for package in _KUBERNETES_STAMPED for name, value in stamps.items()]
