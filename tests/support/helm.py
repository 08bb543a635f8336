"""helm, for tests of the chart: from the PATH, or built once from its Go module into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from atoll.toolchain import Sources

VERSION = "v3.18.6"
MODULE = "helm.sh/helm/v3/cmd/helm"
CHART = Path(__file__).parents[2] / "helm/atoll"
BUILD_SECONDS = 1200


@cache
def find_helm() -> str:
    """Return where helm is; build it when it is nowhere."""
    found = shutil.which("helm")
    if found is not None:
        return found
    folder = Sources.from_environ(os.environ).cache.parent / "tools" / f"helm-{VERSION}"
    program = folder / "helm"
    if not program.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
        argv = ["go", "install", "-trimpath", "-ldflags=-s -w", f"{MODULE}@{VERSION}"]
        subprocess.run(argv, env=environment, check=True, timeout=BUILD_SECONDS)
    return str(program)


def render_chart(*arguments: str, release: str, namespace: str, version: str) -> list[dict[str, Any]]:
    """Render the chart as `helm install` would."""
    done = subprocess.run(
        [
            find_helm(),
            "template",
            release,
            str(CHART),
            f"--namespace={namespace}",
            f"--kube-version={version}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [body for body in yaml.safe_load_all(done.stdout) if body]
