"""How people log in is carried to the API server, which reads the file again by itself.

An API server goes on trusting the old issuer until the new one answers. So an issuer that does not answer in time makes
the old one go first: what is not wanted any more ends now, and the new one counts as soon as it is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from atoll.errors import Terminal
from atoll.fleet.authentication import NOTHING, NOTHING_DIGEST, digest_file, render_authentication
from atoll.fleet.cluster import OperationType
from atoll.hosts.command import Action
from atoll.hosts.jobs import Host

from . import facts, paths
from .starting import write_authentication
from .steps import Step
from .values import Cluster, ClusterRecord
from .work import Work

TAKE_SECONDS: Final = 45.0
"""How long a new issuer may take to answer; an API server asks every 10 s."""
LEAVE_SECONDS: Final = 180.0
"""An API server that waits for an issuer looks at the file again after a minute."""


def choose_authentication(cluster: Cluster, kind: OperationType, record: ClusterRecord | None) -> str:
    """Return the text that the host's file shall have; empty: its API server reads none, and there shall be none."""
    if kind is OperationType.CREATE:
        return render_authentication(cluster.authentication or {}) if cluster.reads_authentication else ""
    written = record.authentication if record is not None else ""
    if not written or cluster.authentication is None or kind is not OperationType.CHANGE:
        return written
    return render_authentication(cluster.authentication)


async def log_in(work: Work, step: Step) -> None:
    """Write how people log in, and wait until the API server has taken it, or trusts nobody until it can."""
    record = await work.ask(work.first, facts.CLUSTER)
    text = choose_authentication(work.cluster, work.operation.type, record)
    if not text:
        if (work.cluster.authentication or {}).get("oidc"):
            raise Terminal(
                f"the API server of {work.cluster.ref.name} was made without {paths.AUTHENTICATION}, so "
                "spec.authentication cannot reach it: make the cluster anew, or take spec.authentication out"
            )
        return
    if not await _write(work, step.kind, text):
        return
    if await _is_taken(work, {digest_file(text)}, seconds=TAKE_SECONDS):
        return
    await _write(work, f"{step.kind}-nobody", NOTHING)
    if not await _is_taken(work, {digest_file(text), NOTHING_DIGEST}, seconds=LEAVE_SECONDS):
        raise Terminal(f"the API server does not take {paths.AUTHENTICATION}: its log says why")
    await _write(work, f"{step.kind}-again", text)


async def _write(work: Work, key: str, text: str) -> bool:
    """Write the file as the job `key`, once; False: it said so before."""

    async def build(host: Host) -> Iterable[Action]:
        there = await work.ask(host, facts.AUTHENTICATION)
        return () if there == digest_file(text) else (write_authentication(text),)

    return await work.carry(work.cluster.control_plane, key, build, seconds=60) is not None


async def _is_taken(work: Work, digests: set[str], *, seconds: float) -> bool:
    """Wait until the API server works by one of these files; one that does not tell is believed."""

    async def look() -> str:
        taken = await work.ask(work.first, facts.TAKEN)
        return "" if not taken or taken in digests else f"it works by {taken[:12]}"

    try:
        await work.until(look, seconds=seconds, pause=2.0, what="the API server has taken how people log in")
    except Terminal:
        return False
    return True
