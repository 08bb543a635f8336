"""How a build is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from atoll.toolchain import Component
from atoll.toolchain.build import explain_failure, read_module_file
from atoll.toolchain.pins import PACKAGES, PINS, Pin
from atoll.toolchain.recipe import (
    build_argv,
    build_environment,
    build_stamps,
    parse_go_lane,
    parse_go_version,
)
from atoll.toolchain.releases import Platform

LINUX = Platform(os="linux", arch="amd64")


def test_a_build_stamps_the_version_into_both_version_packages() -> None:
    pin = Pin(component=Component.KUBERNETES, version="v1.36.4", commit="c0ffee", date="2026-08-20T11:51:43Z")
    stamps = (
        "gitVersion=v1.36.4",
        "gitMajor=1",
        "gitMinor=36",
        "gitCommit=c0ffee",
        "gitTreeState=archive",
        "buildDate=2026-08-20T11:51:43Z",
    )
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    flags = [f"-X {package}.{stamp}" for package in packages for stamp in stamps]
    assert build_argv(Path("/go/bin/go"), pin, "kubeadm", Path("/tmp/made")) == (
        "/go/bin/go",
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-tags=selinux,notest,grpcnotrace",
        f"-ldflags=-s -w {' '.join(flags)}",
        "-o",
        "/tmp/made",
        "k8s.io/kubernetes/cmd/kubeadm",
    )


def test_a_commit_that_nobody_published_is_called_unknown() -> None:
    pin = Pin(component=Component.ETCD, version="v3.6.8", commit="", date="2026-02-13T18:39:11Z")
    assert build_stamps(pin) == "-s -w -X go.etcd.io/etcd/api/v3/version.GitSHA=unknown"


def test_a_build_sees_proxies_and_caches_but_no_secret_and_no_setting_that_changes_the_result() -> None:
    environ = {
        "PATH": "/usr/bin",
        "HOME": "/home/ada",
        "GOPROXY": "https://proxy.example.com",
        "HTTPS_PROXY": "http://proxy:3128",
        "GOFLAGS": "-mod=mod -race",
        "GOOS": "plan9",
        "GOWORK": "/home/ada/go.work",
        "GOTOOLCHAIN": "auto",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "KUBECONFIG": "/home/ada/.kube/config",
    }
    assert build_environment(environ, platform=LINUX, scratch=Path("/c/tmp"), offline=False) == {
        "PATH": "/usr/bin",
        "HOME": "/home/ada",
        "GOPROXY": "https://proxy.example.com",
        "HTTPS_PROXY": "http://proxy:3128",
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOARCH": "amd64",
        "GOFLAGS": "-mod=readonly",
        "GOGC": "400",
        "GOOS": "linux",
        "GOTMPDIR": "/c/tmp",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def test_offline_a_build_asks_no_module_proxy() -> None:
    environ = {"GOPROXY": "https://proxy.example.com"}
    assert build_environment(environ, platform=LINUX, scratch=Path("/c"), offline=True)["GOPROXY"] == "off"


@pytest.mark.parametrize("pin", PINS, ids=str)
def test_every_pin_ships_a_module_that_requires_it_and_knows_its_commands(pin: Pin) -> None:
    go_mod = read_module_file(pin, "go.mod")
    requirement = "k8s.io/kubernetes" if pin.component is Component.KUBERNETES else "go.etcd.io/etcd/server/v3"
    assert f"{requirement} {pin.version}" in go_mod
    assert f"{requirement} {pin.version} h1:" in read_module_file(pin, "go.sum")
    assert parse_go_lane(go_mod)
    tools = go_mod[go_mod.index("tool (") :]
    assert set(tools.split()[2:-1]) == set(PACKAGES[pin.component].values())


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27rc1 linux/amd64", (1, 27)),
        ("go version devel +abc", None),
    ],
)
def test_the_version_of_go_is_read_from_what_it_prints(output: str, version: tuple[int, ...] | None) -> None:
    assert parse_go_version(output) == version


def test_a_failed_build_is_explained_with_the_remedy_and_without_passwords() -> None:
    said = "go: k8s.io/api: Get https://ada:hush@proxy.example.com/x: dial tcp: lookup proxy.example.com: no such host"
    assert explain_failure(said) == (
        "The Go module proxy cannot be reached: set GOPROXY to one that can. Go said: "
        "go: k8s.io/api: Get https://proxy.example.com/x: dial tcp: lookup proxy.example.com: no such host"
    )
