"""A home of its own for a test module: management plane and operator as `atoll up` starts them, driven by kubectl."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from atoll.toolchain import Sources, Toolchain

ATOLL = [sys.executable, "-P", "-m", "atoll.cli.main"]
MANAGEMENT_VERSION = "v1.36.4"
Json = dict[str, Any]


class CommandFailed(AssertionError):
    """A command that a test needed ended badly."""


class TestHome:
    """One ATOLL_HOME and what a person does with it."""

    __test__ = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {**os.environ, "ATOLL_HOME": str(root), "NO_COLOR": "1"}
        self._kubectl = str(Toolchain(Sources.from_environ(os.environ)).get(MANAGEMENT_VERSION, ["kubectl"])["kubectl"])

    @property
    def kubeconfig(self) -> Path:
        """For people, on the management plane."""
        return self.root / "management.kubeconfig"

    def atoll(self, *arguments: str, ok: bool = True, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run `atoll …` in this home."""
        done = subprocess.run(
            [*ATOLL, *arguments], env=self.environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        if ok and done.returncode != 0:
            raise CommandFailed(f"atoll {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def kubectl(
        self, *arguments: str, stdin: str = "", ok: bool = True, kubeconfig: Path | None = None, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl against the management plane, or with another kubeconfig."""
        done = subprocess.run(
            [self._kubectl, f"--kubeconfig={kubeconfig or self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if ok and done.returncode != 0:
            raise CommandFailed(f"kubectl {' '.join(arguments)}: {done.stdout}\n{done.stderr}")
        return done

    def apply(self, *bodies: Mapping[str, Any], ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Apply objects."""
        return self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([dict(body) for body in bodies]), ok=ok)

    def get(self, kind: str, name: str = "", *, namespace: str = "fleet", kubeconfig: Path | None = None) -> Json:
        """Return an object, or a list without a name; an empty dict when it is not there."""
        arguments = ["get", kind, *([name] if name else []), "-o", "json"]
        if namespace:
            arguments += ["-n", namespace]
        done = self.kubectl(*arguments, ok=False, kubeconfig=kubeconfig)
        if done.returncode != 0:
            if "NotFound" in done.stderr or "not found" in done.stderr:
                return {}
            raise CommandFailed(done.stderr)
        return json.loads(done.stdout)

    def patch(self, kind: str, name: str, patch: Mapping[str, Any], *, namespace: str = "fleet") -> None:
        """Merge-patch an object."""
        self.kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(patch))

    def child_kubeconfig(self, child: str, *more: str, namespace: str = "fleet") -> Path:
        """Write a kubeconfig of a child, as `atoll kubeconfig` prints it, and return its path."""
        text = self.atoll("kubeconfig", child, "-n", namespace, *more).stdout
        path = self.root / f"{child}{'-'.join(('', *more)).replace('-', '_')}.kubeconfig"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def condition(self, kind: str, name: str, condition: str, *, namespace: str = "fleet") -> Json:
        """Return one condition of an object; empty when it has none."""
        return condition_of(self.get(kind, name, namespace=namespace), condition)

    def wait_ready(self, kind: str, name: str, *, namespace: str = "fleet", seconds: float = 90) -> Json:
        """Wait until an object is Ready at its present generation."""
        return self.wait(
            lambda: self.get(kind, name, namespace=namespace),
            is_ready,
            f"{kind}/{name} to be Ready",
            seconds=seconds,
        )

    def wait(self, look: Callable[[], Any], good: Callable[[Any], bool], what: str, *, seconds: float = 60) -> Any:
        """Look until what is seen is good; fail telling what was seen last, and what the operator said."""
        deadline = time.monotonic() + seconds
        while True:
            seen = look()
            if good(seen):
                return seen
            if time.monotonic() > deadline:
                raise CommandFailed(f"waited {seconds:g} s for {what}; last seen: {seen}\n{self.log_tail()}")
            time.sleep(0.2)

    def log_tail(self, lines: int = 40) -> str:
        """Return what the operator said last."""
        path = self.root / "operator.log"
        return "\n".join(path.read_text().splitlines()[-lines:]) if path.exists() else ""

    def processes(self) -> list[psutil.Process]:
        """Return all live processes of this home."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.root) in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def operator(self) -> psutil.Process:
        """Return the operator's process."""
        return next(process for process in self.processes() if "--embedded-home" in process.cmdline())

    def api_servers(self, child: str = "", *, namespace: str = "fleet") -> list[psutil.Process]:
        """Return the API servers of a child (or of all planes)."""
        marker = str(self.root)
        if child:
            marker = str(self.root / "planes" / self.get("childcluster", child, namespace=namespace)["spec"]["id"])
        return [
            process
            for process in self.processes()
            if "kube-apiserver" in process.cmdline()[0] and marker in " ".join(process.cmdline())
        ]


def condition_of(body: Mapping[str, Any], condition: str) -> Json:
    """Return one condition of a body; empty when it has none."""
    conditions = body.get("status", {}).get("conditions", ())
    return next((dict(entry) for entry in conditions if entry["type"] == condition), {})


def is_ready(body: Mapping[str, Any]) -> bool:
    """Say whether a body is Ready at its present generation."""
    status = body.get("status", {})
    current = status.get("observedGeneration") == body.get("metadata", {}).get("generation")
    return bool(current and condition_of(body, "Ready").get("status") == "True")


@contextmanager
def open_home(root: Path, *arguments: str) -> Iterator[TestHome]:
    """Bring a home up, and down again whatever happens; what is left over then fails the test."""
    home = TestHome(root)
    try:
        home.atoll("up", "--resync", "5", *arguments)
        yield home
    finally:
        down = home.atoll("down", "--purge", ok=False)
        left = home.processes()
        for process in left:
            process.kill()
    assert down.returncode == 0, down.stdout + down.stderr
    assert left == [], f"processes were left: {left}"
    assert not root.exists(), f"files were left: {sorted(root.rglob('*'))[:20]}"
