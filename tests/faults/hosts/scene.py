"""Where faults happen: hosts, a management plane with the operator, and one cluster on some of the hosts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.e2e.hosts.fleet_kit import build_configuration, build_key_secret, build_pool, build_set
from tests.e2e.hosts.rig import Rig, RigHost
from tests.support.home import TestHome, condition_of, open_home
from tests.support.manifests import fleet_namespace

Json = dict[str, Any]
OLD: Final = "v1.35.8"
NEW: Final = "v1.36.4"
SET: Final = "racks"
CHILD: Final = f"{SET}--dev"
MOMENT_SECONDS: Final = 300.0
"""How long the moment of a fault may take to come; other things run on the machine, too."""
STATE_SECONDS: Final = 180.0
"""How long a named state may take to show. A silent host is given up after three tries of ten seconds."""
CLUSTER_SECONDS: Final = 900.0
POLL_SECONDS: Final = 0.3
_START: Final = """\
import os, pathlib, sys
from atoll.embedded.home import Home
from atoll.embedded.operator_process import start_operator
start_operator(Home(pathlib.Path(sys.argv[1])), sys.argv[2:], os.environ)
"""


class Scene:
    """One home with its operator; hosts are added as pools need them."""

    def __init__(self, rig: Rig, home: TestHome, say: Callable[[str], None]) -> None:
        self.rig = rig
        self.home = home
        self.say = say
        self.hosts: Sequence[RigHost] = ()
        """Of the cluster, the control-plane host first."""
        self.uid = ""
        """Of the cluster, from when it was first seen."""

    @property
    def first(self) -> RigHost:
        """The control-plane host."""
        return self.hosts[0]

    @property
    def worker(self) -> RigHost:
        """The first worker."""
        return self.hosts[1]

    def child(self) -> Json:
        """Return the ChildCluster; empty when it is gone."""
        body = self.home.get("childcluster", CHILD)
        pinned = body.get("spec", {}).get("clusterUID", "")
        if pinned:
            assert self.uid in {"", pinned}, f"another cluster: {pinned} after {self.uid}"
            self.uid = pinned
        return body

    def ready(self) -> Json:
        """Return the ChildCluster's condition Ready."""
        return condition_of(self.child(), "Ready")

    def host(self, name: str) -> Json:
        """Return a Host."""
        return self.home.get("host", f"rack--{name}")

    def make_set(self, workers: int, **kubeadm: Any) -> None:
        """Have a cluster made."""
        body = build_set(self.rig, OLD, workers=workers, name=SET, **kubeadm)
        # What it shows is shown elsewhere, and a cluster without workers has no room for it.
        body["spec"]["verification"] = {"sampleApplication": False}
        self.home.apply(body)

    def until(self, look: Callable[[], Any], good: Callable[[Any], bool], what: str, seconds: float) -> Any:
        """Look until what is seen is good."""
        deadline = time.monotonic() + seconds
        while True:
            seen = look()
            if good(seen):
                return seen
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:g} s for {what}; last seen: {str(seen)[-2500:]}")
            time.sleep(POLL_SECONDS)

    def wait_step(self, step: str) -> None:
        """Wait for a step of the operation under way, by its name in ChildCluster.status."""
        self.until(
            lambda: self.child().get("status", {}).get("operation", {}).get("step", ""),
            lambda seen: seen == step,
            f"step {step!r}",
            MOMENT_SECONDS,
        )

    def wait_job(self, host: RigHost, kind: str, *, after: float = 0.0) -> None:
        """Wait until a job of a kind runs on a host, and some seconds more, by the job's journal there."""
        deadline = time.monotonic() + MOMENT_SECONDS
        while not is_running(host, kind):
            if time.monotonic() > deadline:
                raise AssertionError(f"no job {kind} on {host.name} within {MOMENT_SECONDS:g} s: {self.ready()}")
            time.sleep(0.02)
        time.sleep(after)

    def wait_ready(self, reason: str, *, status: str = "", says: str = "", seconds: float = STATE_SECONDS) -> Json:
        """Wait until the ChildCluster's condition Ready has that reason, and return it."""
        return dict(
            self.until(
                self.ready,
                lambda seen: (
                    seen.get("reason") == reason
                    and says in seen.get("message", "")
                    and (not status or seen["status"] == status)
                ),
                f"reason {reason} {says}",
                seconds,
            )
        )

    def wait_version(self, version: str) -> Json:
        """Wait until the cluster is Ready at a version."""
        return dict(
            self.until(
                self.child,
                lambda body: (
                    body.get("status", {}).get("version") == version
                    and condition_of(body, "Ready").get("status") == "True"
                    and "operation" not in body["status"]
                ),
                f"{CHILD} Ready at {version}",
                CLUSTER_SECONDS,
            )
        )

    def kill_operator(self) -> None:
        """End the operator with no chance to say anything, and start it again."""
        operator = self.home.operator()
        operator.kill()
        operator.wait(30)
        self.start_operator()

    def start_operator(self) -> None:
        """Start the operator, as `atoll up` does; not as a child of ours, whose end we should have to take note of."""
        argv = [sys.executable, "-P", "-c", _START, str(self.home.root), "--resync", "5", "--audit"]
        subprocess.run(argv, env=self.home.environment, check=True, timeout=60)

    def traceback(self) -> str:
        """Return the first traceback in the operator's log, if there is one."""
        text = (self.home.root / "operator.log").read_text(encoding="utf-8")
        _, found, rest = text.partition("Traceback (most recent call last)")
        return rest[:1500] if found else ""


def is_running(host: RigHost, kind: str) -> bool:
    """Say whether a job of a kind has been begun on a host and has not ended."""
    for journal in (host.upper / "var/lib/atoll/jobs").glob(f"*.{kind}/journal"):
        try:
            lines = journal.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            continue
        if "started" in lines and not any(line.startswith("done ") for line in lines):
            return True
    return False


def read_position(host: RigHost) -> tuple[str, int, str]:
    """Return id, number and name of the step that the host's own record says is under way; zeros for none."""
    try:
        record = json.loads((host.upper / "var/lib/atoll/operation.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "", 0, ""
    return str(record["id"]), int(record["steps_done"]), str(record["step"])


@contextmanager
def open_scene(rig: Rig, folder: Path, say: Callable[[str], None]) -> Iterator[Scene]:
    """Bring a home up, with the fleet and what its pools need; what runs on hosts is the rig's to end."""
    with open_home(folder, "--audit") as home:
        home.apply(fleet_namespace())
        home.apply(build_key_secret(rig), build_configuration())
        yield Scene(rig, home, say)


def apply_pool(scene: Scene, hosts: Sequence[RigHost]) -> None:
    """Have a pool of these hosts and no others."""
    scene.home.apply(build_pool(hosts))
