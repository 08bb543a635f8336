"""What a probe means: everything about a free machine that would spoil a cluster, each with its remedy.

All checks run and all findings are told; the first one is the reason of the quarantine. A host in use is not judged by
these: its ports are taken because it works.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from atoll.fleet import reasons
from atoll.fleet.cluster import Finding
from atoll.fleet.hosts import HostFacts, HostPool

CLOCK_LIMIT_SECONDS: Final = 30.0
"""Certificates begin to be valid at the clock of one machine and are judged by that of another."""
NEEDED_DISK_BYTES: Final = 2_000_000_000
"""Images, etcd and its snapshots: 1.0 GB for a control plane, 1.8 GB after an upgrade."""
NEEDED_MEMORY_BYTES: Final = 1_000_000_000
NEEDED_PORTS: Final[tuple[int, ...]] = (6443, 2379, 2380, 10250, 10256, 10257, 10259)
"""What kubeadm's components listen on."""
NAMED_LEFTOVERS: Final = 5

Check = Callable[[HostFacts, HostPool], Sequence[Finding]]


def judge_probe(facts: HostFacts, pool: HostPool) -> tuple[Finding, ...]:
    """Find everything that keeps a free machine from being used."""
    return tuple(finding for check in CHECKS for finding in check(facts, pool))


def check_leftovers(facts: HostFacts, pool: HostPool) -> Sequence[Finding]:
    """Refuse a machine that another cluster is, or was, on."""
    del pool
    if facts.owner_id:
        who = f"cluster {facts.owner_name or facts.owner_id} (id {facts.owner_id})"
        message = (
            f"the journal of {who} is on it, and that cluster has no claim here. If the cluster is gone, run `kubeadm "
            "reset` there and remove /var/lib/atoll; if it lives, list the host in the pool of its own fleet."
        )
        return [Finding(reason=reasons.TAKEN, message=message)]
    if not facts.leftovers:
        return []
    named = ", ".join(facts.leftovers[:NAMED_LEFTOVERS])
    more = len(facts.leftovers) - NAMED_LEFTOVERS
    rest = f" and {more} more" if more > 0 else ""
    message = f"an earlier cluster has left {named}{rest}. Run `kubeadm reset` there and remove what remains."
    return [Finding(reason=reasons.LEFTOVERS, message=message)]


def check_clock(facts: HostFacts, pool: HostPool) -> Sequence[Finding]:
    """Refuse a machine whose clock is off."""
    del pool
    off = facts.clock_offset_seconds
    if abs(off) <= CLOCK_LIMIT_SECONDS:
        return []
    direction = "ahead of" if off > 0 else "behind"
    message = f"its clock is {describe_seconds(abs(off))} {direction} ours. Set up time synchronisation there."
    return [Finding(reason=reasons.CLOCK_OFF, message=message)]


def check_programs(facts: HostFacts, pool: HostPool) -> Sequence[Finding]:
    """Refuse a machine that lacks programs."""
    del pool
    if not facts.lacking:
        return []
    message = f"it lacks {', '.join(facts.lacking)}. Install them, or put them into the host's image."
    return [Finding(reason=reasons.PROGRAM_LACKING, message=message)]


def check_runtime(facts: HostFacts, pool: HostPool) -> Sequence[Finding]:
    """Refuse a machine whose container runtime is not there."""
    del pool
    if facts.container_runtime:
        return []
    message = "no container runtime answers at /run/containerd/containerd.sock. Install and start containerd."
    return [Finding(reason=reasons.RUNTIME_DOWN, message=message)]


def check_ports(facts: HostFacts, pool: HostPool) -> Sequence[Finding]:
    """Refuse a machine on which a port that we need is taken."""
    del pool
    taken = [str(port) for port in NEEDED_PORTS if port in facts.ports]
    if not taken or facts.leftovers or facts.owner_id:
        return []
    message = f"somebody listens on port {', '.join(taken)}, which Kubernetes needs. Stop or move that service."
    return [Finding(reason=reasons.PORT_TAKEN, message=message)]


def check_size(facts: HostFacts, pool: HostPool) -> Sequence[Finding]:
    """Refuse a machine that is too small."""
    del pool
    found = []
    if facts.disk_free < NEEDED_DISK_BYTES:
        message = (
            f"{facts.disk_free // 1_000_000} MB are free below /var/lib, and {NEEDED_DISK_BYTES // 1_000_000} are "
            "needed. Free some."
        )
        found.append(Finding(reason=reasons.DISK_FULL, message=message))
    if facts.memory < NEEDED_MEMORY_BYTES:
        message = f"it has {facts.memory // 1_000_000} MB of memory, and {NEEDED_MEMORY_BYTES // 1_000_000} are needed."
        found.append(Finding(reason=reasons.TOO_SMALL, message=message))
    return found


def check_image(facts: HostFacts, pool: HostPool) -> Sequence[Finding]:
    """Refuse a machine that was made from another image."""
    if not pool.image_version or facts.image_version == pool.image_version:
        return []
    there = facts.image_version or "nothing"
    message = (
        f"/etc/atoll-image-version says {there}, and spec.image.version of HostPool {pool.meta.name} is "
        f"{pool.image_version}. Install the machine anew from that image."
    )
    return [Finding(reason=reasons.WRONG_IMAGE, message=message)]


def check_locks(facts: HostFacts, pool: HostPool) -> Sequence[Finding]:
    """Wait for a package manager that is at work: it would change the machine under our hands."""
    del pool
    if not facts.locks:
        return []
    message = f"a package manager is at work there ({', '.join(facts.locks)}); it is used when that is done."
    return [Finding(reason=reasons.PACKAGE_LOCK_HELD, message=message)]


def describe_seconds(seconds: float) -> str:
    """Say a length of time in words."""
    for size, word in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:.1f} {word}"
    return f"{seconds:.0f} seconds"


CHECKS: Final[tuple[Check, ...]] = (
    check_leftovers,
    check_clock,
    check_programs,
    check_runtime,
    check_ports,
    check_size,
    check_image,
    check_locks,
)
