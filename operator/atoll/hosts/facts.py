"""Everything that a probe wants to know about a host, in one round trip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from atoll.fleet.hosts import HostFacts

from .command import Fact, Result
from .facts_leftovers import LEFTOVERS, OWNER, HostOwner
from .facts_machine import (
    CGROUP,
    CLOCK,
    CPUS,
    DISK,
    IDENTITY,
    IMAGE_VERSION,
    KERNEL,
    MEMORY,
    SYSTEM,
    Disk,
    Memory,
    System,
)
from .facts_services import LACKING, LOCKS, PORTS, RUNTIME
from .sections import Section, build_command, split_answer

PROBE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFacts:
    """What a probe found."""

    clock: float
    """Seconds since 1970 by the host's clock, at the beginning of the probe."""
    system: System
    kernel: str
    architecture: str
    """As Kubernetes names it: amd64, arm64."""
    cpus: int
    memory: Memory
    disk: Disk
    cgroup_version: int
    container_runtime: str
    """Name and version; empty when none answers."""
    machine_id: str
    boot_id: str
    image_version: str
    ports: tuple[int, ...]
    """TCP ports that somebody listens on."""
    locks: tuple[str, ...]
    """Lock files of package managers that somebody holds."""
    lacking: tuple[str, ...]
    owner: HostOwner
    leftovers: tuple[str, ...]


_SECTIONS: Final[tuple[Section[Any], ...]] = (
    CLOCK,
    SYSTEM,
    KERNEL,
    CPUS,
    MEMORY,
    DISK,
    CGROUP,
    RUNTIME,
    IDENTITY,
    IMAGE_VERSION,
    PORTS,
    LOCKS,
    LACKING,
    OWNER,
    LEFTOVERS,
)


def parse_probe(result: Result) -> ProbeFacts:
    """Read the answer to `PROBE`; ValueError names the section that is not understood."""
    answers = split_answer(result)
    kernel, architecture = KERNEL.read(answers)
    machine_id, boot_id = IDENTITY.read(answers)
    return ProbeFacts(
        clock=CLOCK.read(answers),
        system=SYSTEM.read(answers),
        kernel=kernel,
        architecture=architecture,
        cpus=CPUS.read(answers),
        memory=MEMORY.read(answers),
        disk=DISK.read(answers),
        cgroup_version=CGROUP.read(answers),
        container_runtime=RUNTIME.read(answers),
        machine_id=machine_id,
        boot_id=boot_id,
        image_version=IMAGE_VERSION.read(answers),
        ports=PORTS.read(answers),
        locks=LOCKS.read(answers),
        lacking=LACKING.read(answers),
        owner=OWNER.read(answers),
        leftovers=LEFTOVERS.read(answers),
    )


PROBE: Final[Fact[ProbeFacts]] = Fact(
    command=build_command(_SECTIONS, "Look at the machine.", PROBE_SECONDS), parse=parse_probe
)


def summarise_probe(facts: ProbeFacts, asked: float, answered: float) -> HostFacts:
    """Return what the core wants to know of a probe.

    `asked` and `answered` are our clock when the question went out and when the answer was there: the host read its own
    somewhere between them, so an offset within that span is no offset.
    """
    ahead, behind = facts.clock - answered, asked - facts.clock
    offset = ahead if ahead > 0 else -behind if behind > 0 else 0.0
    return HostFacts(
        os=facts.system.name,
        kernel=facts.kernel,
        architecture=facts.architecture,
        cpus=facts.cpus,
        memory=facts.memory.total,
        disk_free=min(facts.disk.root, facts.disk.var_lib),
        cgroup_version=facts.cgroup_version,
        container_runtime=facts.container_runtime,
        machine_id=facts.machine_id,
        boot_id=facts.boot_id,
        image_version=facts.image_version,
        clock_offset_seconds=offset,
        ports=facts.ports,
        lacking=facts.lacking,
        locks=facts.locks,
        leftovers=facts.leftovers,
        owner_id=facts.owner.id,
        owner_name="/".join(part for part in (facts.owner.fleet, facts.owner.cluster) if part),
    )
