"""Requests and writes per change, told by the API server's audit log, not by us."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

from tests.support.home import TestHome, is_ready
from tests.support.manifests import Json, cluster_set, environment, member, tenant

from .homes import QUIET, TENANT, Audit, count_writes, open_bench_home, write_all
from .measure import Report

REPEATS: Final = 3
BURST: Final = 20
QUIET_SECONDS: Final = 5.0
"""Longer than a status may be held back."""
CHILD: Final = "apps--a"


def run(report: Report) -> None:
    """Count, on one set with one cluster and three tenants; every change is repeated with another value."""
    with open_bench_home("--resync", QUIET) as home:
        version = "v1.36.4"
        members = member("a", "dev")
        audit = Audit(home)
        home.apply(cluster_set("apps", members, version=version), environment("dev"))
        home.apply(*(tenant(name, "dev") for name in ("one", "two", "three")))
        home.wait_ready("clusterset", "apps", seconds=120)
        writes = count_writes(audit.requests())
        report.row(
            "writes: a set of one cluster and its tenants", str(writes), "Cluster API in-memory: 126–144 a cluster"
        )
        for name in ("one", "two", "three"):
            home.wait_ready("tenant", name)
        _show(report, "nothing happens for five seconds", [_count(home, lambda _: None) for _ in range(REPEATS)], 0)
        _show(report, "an outsider's annotation", [_count(home, _annotate, index) for index in range(REPEATS)], 0)
        _show(report, "one tenant's quota", [_count(home, _set_quota, index) for index in range(REPEATS)], 2)
        _show(report, "one label of a set", [_count(home, _set_label, index) for index in range(REPEATS)], 6)
        _show(report, f"{BURST} changes of one tenant", [_count(home, _burst, index) for index in range(REPEATS)], 2)


Counts = tuple[int, Counter[str], int]


def _count(home: TestHome, change: Any, index: int = 0) -> Counts:
    """Make a change, wait until all is quiet; return writes to objects, all requests by kind, and writes of status."""
    time.sleep(2)
    audit = Audit(home)
    change(home) if change.__name__ == "<lambda>" else change(home, index)
    time.sleep(QUIET_SECONDS)
    for name in ("one", "two", "three"):
        assert is_ready(home.get("tenant", name)), f"tenant {name} is not ready"
    found = audit.requests()
    names = Counter(_describe(item) for item in found)
    status = sum(item["objectRef"].get("subresource") == "status" for item in found)
    return count_writes(found), names, status


def _describe(item: Json) -> str:
    place = item.get("objectRef", {})
    return f"{item['verb']} {'/'.join(filter(None, (place.get('resource', '?'), place.get('subresource'))))}"


def _annotate(home: TestHome, index: int) -> None:
    home.patch("tenant", "one", {"metadata": {"annotations": {"bench.example/note": str(index)}}})


def _set_quota(home: TestHome, index: int) -> None:
    entry = {"name": "dev", "resources": {"cpu": f"{1100 + index}m", "memory": "1Gi", "pods": "10"}}
    home.patch("tenant", "one", {"spec": {"environments": [entry]}})


def _set_label(home: TestHome, index: int) -> None:
    home.patch("clusterset", "apps", {"spec": {"labels": {"cost-centre": f"c{index}"}}})


def _burst(home: TestHome, index: int) -> None:
    """Change a quota again and again, as fast as one writer can, and end at a new value."""
    calls = []
    for step in range(BURST):
        entry = {"name": "dev", "resources": {"cpu": f"{2000 + 100 * index + step}m", "memory": "1Gi", "pods": "10"}}
        calls.append((TENANT, "one", {"spec": {"environments": [entry]}}))
    write_all(home, calls, writers=1)


def _show(report: Report, what: str, counts: list[Counts], aim: int) -> None:
    writes = sorted(count for count, _, _ in counts)
    middle = writes[len(writes) // 2]
    requests = sum((names for _, names, _ in counts), Counter[str]())
    told = ", ".join(f"{count / len(counts):.1f} {name}" for name, count in sorted(requests.items()))
    status = max(status for _, _, status in counts)
    report.row(
        f"writes: {what}",
        f"{middle} ({writes[0]}–{writes[-1]}), of status ≤ {status}",
        f"at most {aim} promised",
        ratio=float(writes[-1]) if aim == 0 else writes[-1] / aim,
        aim=0 if aim == 0 else 1,
    )
    report.tell(f"all requests to the management plane, on average: {told or 'none'}")
