"""Programs that no release of Kubernetes holds, built from Go modules: etcd of another version, CoreDNS, pause.

And Prometheus, which the tests of rollouts ask.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from atoll.toolchain.golang import WELL_KNOWN_PLACES, find_go
from atoll.toolchain.recipe import build_environment
from atoll.toolchain.releases import Platform, parse_platform

from .failure import RigFailure
from .local import run_local
from .places import locked

Tell = Callable[[str], None]

_HERE: Final = Path(__file__).parent
_GO_AT_LEAST: Final = "1.26.0"
_BUILD_SECONDS: Final = 2700
_FLAGS: Final = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=")


def get_etcd(cache: Path, version: str, tell: Tell) -> dict[str, Path]:
    """Get etcd, etcdctl and etcdutl of a version that lies pinned in `modules/`."""
    packages = {
        "etcd": "go.etcd.io/etcd/server/v3",
        "etcdctl": "go.etcd.io/etcd/etcdctl/v3",
        "etcdutl": "go.etcd.io/etcd/etcdutl/v3",
    }
    module = _HERE / "modules" / f"etcd-{version}"
    return {
        name: _get(cache, f"etcd-{version}", name, tell, ("build", *_FLAGS, "-o", name, package), module=module)
        for name, package in packages.items()
    }


def get_coredns(cache: Path, version: str, tell: Tell) -> Path:
    """Get CoreDNS of a released version."""
    what = f"github.com/coredns/coredns@{version}"
    return _get(cache, f"coredns-{version}", "coredns", tell, ("install", *_FLAGS, what))


def get_pause(cache: Path, tell: Tell) -> Path:
    """Get the program that holds a pod's namespaces."""
    return _get(cache, "pause", "pause", tell, ("build", *_FLAGS, "-o", "pause", "."), module=_HERE / "pause")


def get_prometheus(cache: Path, version: str, tell: Tell) -> Path:
    """Get Prometheus of a version that lies pinned in `modules/`."""
    what, package = f"prometheus-{version}", "github.com/prometheus/prometheus/cmd/prometheus"
    arguments = ("build", *_FLAGS, "-o", "prometheus", package)
    return _get(cache, what, "prometheus", tell, arguments, module=_HERE / "modules" / what)


def this_platform() -> Platform:
    """Return what the hosts run on: what this machine is."""
    return parse_platform(platform.system(), platform.machine())


def _get(
    cache: Path, what: str, name: str, tell: Tell, go_arguments: tuple[str, ...], *, module: Path | None = None
) -> Path:
    destination = cache / "programs" / what / name
    with locked(cache / ".locks" / "programs"):
        if not destination.is_file():
            tell(f"building {name} ({what}) from its Go module")
            destination.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=".new-", dir=destination.parent) as scratch:
                _build(Path(scratch), name, go_arguments, module)
                (Path(scratch) / name).replace(destination)
    return destination


def _build(scratch: Path, name: str, go_arguments: tuple[str, ...], module: Path | None) -> None:
    search = find_go(_GO_AT_LEAST, os.environ, WELL_KNOWN_PLACES)
    if search.go is None:
        raise RigFailure(f"{name} has to be built, and there is no Go of at least {_GO_AT_LEAST} on this machine")
    temporary = scratch / "tmp"
    temporary.mkdir()
    environment = build_environment(os.environ, platform=this_platform(), scratch=temporary, offline=False)
    output = str(scratch / name)
    arguments = [output if argument == name else argument for argument in go_arguments]
    run_local(
        search.go, *arguments, seconds=_BUILD_SECONDS, cwd=module or scratch, env={**environment, "GOBIN": str(scratch)}
    )  # fmt: skip
