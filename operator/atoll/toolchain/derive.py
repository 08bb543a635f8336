"""Make the Go module of a new pin: `python -m atoll.toolchain.derive v1.36.4`. For maintainers; needs Go and network.

`go install k8s.io/kubernetes/cmd/X@vY` is refused, because upstream's go.mod has replace lines that point into its own
repository. So we derive a module of our own that requires k8s.io/kubernetes and replaces each staging module by its
published twin: v1.36.4 requires k8s.io/api at `v0.0.0`, which means v0.36.4. The `tool` lines keep `go mod tidy` from
dropping what the commands need. The result, with its complete go.sum, is committed; builds use -mod=readonly.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from .pins import PACKAGES, Component, parse_version

_STAGING: Final = re.compile(r"^\s*(?:require\s+)?(k8s\.io/\S+)\s+v0\.0\.0\s*(?://.*)?$", re.MULTILINE)
"""Exactly v0.0.0: `k8s.io/utils v0.0.0-2026…` is a real version that must stay as it is."""


def derive_go_mod(component: Component, tag: str, upstream: str) -> str:
    """Derive our go.mod, before `go mod tidy`, from upstream's go.mod text.

    For etcd, `upstream` is the go.mod of its server module. Raises ValueError when that is no go.mod.
    """
    lane = re.search(r"^go (\S+)$", upstream, re.MULTILINE)
    if lane is None:
        raise ValueError("upstream's go.mod has no go line")
    godebug = re.search(r"^godebug default=(\S+)$", upstream, re.MULTILINE)
    packages = sorted(PACKAGES[component].values())
    blocks = [
        f"module atoll.dev/toolchain/{component}/{tag}",
        f"go {lane[1]}",
        f"godebug default={godebug[1]}" if godebug else "",
        _block("require", [f"{module} {tag}" for module in _list_required(component, packages)]),
        _block("replace", [f"{module} => {module} {version}" for module, version in _list_replaced(tag, upstream)]),
        _block("tool", packages),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _list_required(component: Component, packages: list[str]) -> list[str]:
    return ["k8s.io/kubernetes"] if component is Component.KUBERNETES else packages


def _list_replaced(tag: str, upstream: str) -> list[tuple[str, str]]:
    staging = "v0." + tag.split(".", 1)[1]
    return [(module, staging) for module in sorted(set(_STAGING.findall(upstream)))]


def _block(word: str, lines: list[str]) -> str:
    return "\n".join((f"{word} (", *(f"\t{line}" for line in lines), ")")) if lines else ""


def run_derive(version: str, modules: Path) -> Path:
    """Write go.mod and go.sum for `version` into a folder below `modules`; returns the folder."""
    component, tag = parse_version(version)
    folder = modules / f"{component}-{tag}"
    folder.mkdir(parents=True, exist_ok=True)
    module = "k8s.io/kubernetes" if component is Component.KUBERNETES else "go.etcd.io/etcd/server/v3"
    downloaded = json.loads(_go(folder, "mod", "download", "-json", f"{module}@{tag}"))
    upstream = Path(downloaded["GoMod"]).read_text(encoding="utf-8")
    (folder / "go.sum").unlink(missing_ok=True)
    (folder / "go.mod").write_text(derive_go_mod(component, tag, upstream), encoding="utf-8")
    _go(folder, "mod", "tidy")
    published = json.loads(Path(downloaded["Info"]).read_text(encoding="utf-8"))
    commit = published.get("Origin", {}).get("Hash", "")
    print(f'pins.py wants: version="{tag}", commit="{commit}", date="{published["Time"]}"')  # noqa: T201
    return folder


def _go(folder: Path, *arguments: str) -> str:
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    done = subprocess.run(
        ("go", *arguments),  # noqa: S607 - a maintainer's own Go
        check=True,
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        timeout=1800,
    )
    return done.stdout


def main(arguments: list[str]) -> None:
    """Derive the module of each version that is named."""
    if not arguments:
        sys.exit("usage: python -m atoll.toolchain.derive VERSION…   (v1.36.4, etcd-v3.6.8)")
    for version in arguments:
        print(run_derive(version, Path(__file__).parent / "modules"))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
