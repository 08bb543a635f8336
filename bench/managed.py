"""Two hundred managed clusters made and changed by one operator, against a stand-in for EKS that takes its time.

The bound is what the stand-in takes however well it is asked. A create is a control plane and then a node group, a
change the same; each takes `SECONDS`, and none can begin before the one before has ended and somebody has seen that:
a call that begins it and a call that sees its end, each of which takes the cloud's latency. A create ends with one
more call, a tag. So the bound is 2 × SECONDS + 5 × LATENCY for a create and 2 × SECONDS + 4 × LATENCY for a change,
for any number of clusters: they could all go at once.

What is timed is from the write to Ready, which includes publishing logins, pinning identities, and verification.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from atoll.kube.connect import Connection
from atoll.kube.kinds import CLUSTER_SET
from atoll.kube.store import Store
from tests.cloudsim.core import Call
from tests.cloudsim.eks import ATOLL, REGION
from tests.cloudsim.eks_kit import NODE_ROLE, ROLE, VPC
from tests.support.home import TestHome, is_ready, open_home
from tests.support.manifests import cluster_set, fleet_namespace, member

from .light_cloud import LightCloud, open_light_cloud
from .measure import Report, contaminated_by_load, cpu_seconds, number, resident_bytes

LATENCY: Final = 0.05
SECONDS: Final = float(os.environ.get("ATOLL_BENCH_CLOUD_SECONDS", "120"))
"""What the stand-in takes for a control plane, and for a node group; EKS takes five times, and about twice that."""
POLL: Final = 5.0
RESYNC: Final = 60.0
OLD, NEW = "v1.35", "v1.36"
SIZES: Final = (1, 100, 200)
AIM: Final = 1.3
GROWTH_AIM: Final = 1.05
REST_SECONDS: Final = 180.0
LIMIT_SECONDS: Final = 1800.0
BOUNDS: Final = {"create": 2 * SECONDS + 5 * LATENCY, "change": 2 * SECONDS + 4 * LATENCY}
SET: Final = "shops"
SETTINGS: Final = {
    "ATOLL_ALLOW_CLOUD_ENDPOINTS": "1",
    "ATOLL_CLOUD_POLL": f"{POLL:g}",
    "ATOLL_CLOUD_RESYNC": f"{RESYNC:g}",
}


@dataclass(frozen=True, slots=True)
class Lap:
    """What one operation on all clusters took."""

    seconds: float
    cpu: float
    """Of the operator."""
    calls: tuple[Call, ...]
    began: float
    requests: int
    """To the clusters themselves."""


def run(report: Report) -> None:
    """Go through the sizes; the largest is also changed, and watched while it rests."""
    for size in SIZES:
        with contaminated_by_load(report):
            measure(report, size, whole=size == max(SIZES))


def measure(report: Report, size: int, *, whole: bool) -> None:
    """Let the script and then the operator make clusters; `whole`: change them too, and watch them rest."""
    with open_light_cloud(2 * size, latency=LATENCY, seconds=SECONDS) as cloud:
        peers = {what: run_peer(cloud, what, size) for what in (("create", "change") if whole else ())}
        with operator_environment(), open_operator_home() as home:
            home.apply(fleet_namespace(), build_secret(cloud.url))
            pid = home.operator().pid
            empty = resident_bytes(pid)
            body = build_set(size)
            lap = go(home, cloud, pid, size, lambda: home.apply(body), OLD)
            tell(report, "create", size, lap, peers)
            tell_memory(report, f"{size} clusters made", pid, empty, size)
            if not whole:
                return
            lap = go(home, cloud, pid, size, lambda: home.apply(build_set(size, NEW)), NEW)
            tell(report, "change", size, lap, peers)
            tell_memory(report, f"{size} clusters changed", pid, empty, size)
            tell_rest(report, cloud, pid, size)
            tell_strange(report, cloud)


def run_peer(cloud: LightCloud, what: str, count: int) -> tuple[float, float]:
    """Let a plain script do it, to clusters of its own; return its seconds and CPU seconds."""
    argv = [sys.executable, "-m", "bench.peer_eks", cloud.url, what, str(count), "plain-", f"{POLL:g}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    cloud.look()
    seconds, cpu = done.stdout.split()
    return float(seconds), float(cpu)


def go(home: TestHome, cloud: LightCloud, pid: int, size: int, write: Callable[[], object], version: str) -> Lap:
    """Write, and wait until the set is Ready and the cloud has done all of it."""
    cloud.look()
    requests, cpu = cloud.count_requests()[0], cpu_seconds(pid)
    began = time.monotonic()
    write()
    asyncio.run(_wait_ready(home))
    seconds = time.monotonic() - began
    shown = cloud.look()
    wanted = version.removeprefix("v")
    done = sum(pair == (wanted, wanted) for pair in shown.versions)
    if done < size:
        raise RuntimeError(f"the set is Ready, and {done} of {size} clusters are at {wanted}")
    used = cpu_seconds(pid) - cpu
    return Lap(seconds, used, shown.calls, began, cloud.count_requests()[0] - requests)


async def _wait_ready(home: TestHome) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    async with Store(Connection.from_kubeconfig(home.kubeconfig.read_text())) as store:
        while True:
            body = await store.get(CLUSTER_SET, "fleet", SET)
            if body is not None and is_ready(body):
                return
            if time.monotonic() > deadline:
                said = (body or {}).get("status", {}).get("conditions")
                raise TimeoutError(f"not Ready within {LIMIT_SECONDS:g} s: {said}\n{home.log_tail()}")
            await asyncio.sleep(0.5)


def tell(report: Report, what: str, size: int, lap: Lap, peers: Mapping[str, tuple[float, float]]) -> None:
    """Print how long it took beside the bound and the script, and what was asked for."""
    bound = BOUNDS[what]
    report.row(
        f"{what} {size}, time over bound",
        f"{lap.seconds:.1f} s",
        f"bound {bound:.1f} s",
        ratio=lap.seconds / bound,
        aim=AIM,
    )
    if what in peers:
        seconds, cpu = peers[what]
        report.row(
            "  beside a script with a thread for each",
            f"{lap.cpu:.1f} s CPU",
            f"{seconds:.1f} s, {cpu:.1f} s CPU",
            ratio=lap.seconds / seconds,
        )
    names = Counter(call.name for call in lap.calls)
    bad = sum(call.status >= 400 or call.status == 0 for call in lap.calls)
    report.row(
        "  calls per cluster",
        number(len(lap.calls) / size),
        f"{bad} refused",
    )
    for name, count in names.most_common():
        report.tell(f"  {name} {number(count / size)}{show_times(lap, name)}")
    report.tell(
        f"  operator {lap.cpu:.1f} s CPU, {lap.cpu / lap.seconds:.0%} of a core; "
        f"{lap.requests / size:.0f} requests to each cluster"
    )


def show_times(lap: Lap, name: str) -> str:
    """Say when a call was made: first, median and last, in seconds from the beginning."""
    times = [call.time - lap.began for call in lap.calls if call.name == name]
    return f"  at {min(times):.1f} / {statistics.median(times):.1f} / {max(times):.1f} s"


def tell_memory(report: Report, what: str, pid: int, empty: int, size: int) -> None:
    """Print the operator's memory."""
    now = resident_bytes(pid)
    report.row(
        f"  memory, {what}",
        f"{now / 2**20:.0f} MiB",
        f"empty {empty / 2**20:.0f} MiB, {(now - empty) / size / 2**10:.0f} KiB per cluster",
    )


def tell_rest(report: Report, cloud: LightCloud, pid: int, size: int) -> None:
    """Watch the operator while nothing happens."""
    time.sleep(20)
    cloud.look()
    requests, cpu, memory = cloud.count_requests()[0], cpu_seconds(pid), resident_bytes(pid)
    time.sleep(REST_SECONDS)
    calls, after = cloud.look().calls, resident_bytes(pid)
    minutes = REST_SECONDS / 60
    report.row(
        "  memory after 3 minutes at rest",
        f"{after / 2**20:.0f} MiB",
        f"before {memory / 2**20:.0f} MiB",
        ratio=after / memory,
        aim=GROWTH_AIM,
    )
    report.row("  CPU at rest, of a core", f"{(cpu_seconds(pid) - cpu) / REST_SECONDS:.1%}")
    report.row("  calls per cluster and minute at rest", number(len(calls) / size / minutes))
    for name, count in Counter(call.name for call in calls).most_common():
        report.tell(f"  {name} {number(count / size / minutes)}")
    report.row("  requests to each cluster per minute", number((cloud.count_requests()[0] - requests) / size / minutes))


def tell_strange(report: Report, cloud: LightCloud) -> None:
    """Say what a stand-in did not know: a benchmark against a wall of errors measures nothing."""
    protests, unknown = cloud.look().protests, cloud.count_requests()[1]
    if protests or unknown:
        report.missed.append(f"{report.name}: the stand-ins did not know {[*protests, *unknown][:5]}")


@contextlib.contextmanager
def open_operator_home() -> Iterator[TestHome]:
    """Bring up a home whose operator looks at its clusters as often as it does by default."""
    with (
        tempfile.TemporaryDirectory(prefix="atoll-bench-") as folder,
        open_home(Path(folder) / "home", "--resync", "10") as home,
    ):
        # Programs are loaded for a while after the operator is there.
        time.sleep(5)
        yield home


@contextlib.contextmanager
def operator_environment() -> Iterator[None]:
    """Let what is started here be an operator that may be led to a stand-in."""
    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def build_secret(url: str) -> dict[str, Any]:
    """Build the Secret with the login and the stand-in's address."""
    texts = {
        "aws_access_key_id": ATOLL.access_key,
        "aws_secret_access_key": ATOLL.secret_key,
        "endpoint": url,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "aws", "namespace": "fleet"},
        "stringData": texts,
    }


def build_set(size: int, version: str = OLD) -> dict[str, Any]:
    """Build a set of so many clusters, changed in one wave, all at once."""
    eks = {
        "region": REGION,
        "roleARN": ROLE,
        "subnetIDs": VPC["subnetIds"],
        "endpointAccess": {"public": True, "private": False},
        "nodeGroups": [
            {"name": "work", "instanceTypes": ["m7i.large"], "minSize": 1, "maxSize": 3, "nodeRoleARN": NODE_ROLE}
        ],
        "credentialsSecretRef": {"name": "aws"},
    }
    wave = {"name": "all", "clusterSelector": {"matchLabels": {"stage": "prod"}}, "maxConcurrent": "100%"}
    return cluster_set(
        SET,
        *(member(f"m{index}", "prod") for index in range(size)),
        version=version,
        provider={"eks": eks},
        upgrade={"waves": [wave], "maxConcurrent": "100%"},
        # Address blocks for two hundred.
        network={"podPrefixLength": 20, "servicePrefixLength": 24},
        verification={"sampleApplication": False},
    )
