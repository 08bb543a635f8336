"""Which hosts a cluster gets. Whoever asks first gets first; a claim never moves, and a wait says what it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from atoll.fleet.hosts import ChildHosts, Claim, Host, HostJudgement, HostNeeds, HostPool, HostState, NewClaim, Role
from atoll.fleet.observed import ChildCluster

NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A child and the hosts that it needs."""

    child: ChildCluster
    needs: HostNeeds


def choose_hosts(
    asking: Sequence[Asking],
    pools: Mapping[str, HostPool],
    hosts: Sequence[Host],
    judgements: Mapping[str, HostJudgement],
    *,
    closed: Mapping[str, str],
    unproven: bool = False,
) -> tuple[tuple[NewClaim, ...], Mapping[str, ChildHosts]]:
    """Give free hosts to clusters; return new claims, and how each cluster stands.

    `closed`: why no host of a pool may be claimed now, by pool. `unproven`: hosts that nobody has looked at count as
    free (a plan offline).
    """
    claims: list[NewClaim] = []
    standing: dict[str, ChildHosts] = {}
    given: set[str] = set()
    order = sorted(asking, key=lambda entry: (str(entry.child.meta.creation_time or ""), entry.child.name))
    for entry in order:
        pool = pools.get(entry.needs.pool)
        own = sorted((host for host in hosts if _claims(host, entry.child.id)), key=_rank)
        missing = _missing(own, entry.needs)
        if not missing:
            standing[entry.child.name] = ChildHosts(claimed=tuple(host.name for host in own), complete=True)
            continue
        if pool is None:
            standing[entry.child.name] = ChildHosts(
                claimed=tuple(host.name for host in own),
                lacking=f"there is no HostPool {entry.needs.pool or '(hostPoolRef is not set)'} in this fleet; make it",
            )
            continue
        if entry.needs.pool in closed:
            standing[entry.child.name] = ChildHosts(
                claimed=tuple(host.name for host in own), lacking=closed[entry.needs.pool]
            )
            continue
        free, refused = _sort_out(pool, hosts, judgements, entry.needs, given, unproven=unproven)
        chosen = free[: len(missing)] if len(free) >= len(missing) else []
        for host, role in zip(chosen, missing, strict=False):
            given.add(host.name)
            claims.append(
                NewClaim(
                    host=host.name,
                    claim=Claim(cluster_id=entry.child.id, role=role),
                    resource_version=host.meta.resource_version,
                    reason=f"{entry.child.name} needs it as {role}",
                )
            )
        lacking = "" if chosen else _describe_lack(pool, missing, free, refused, entry.needs)
        standing[entry.child.name] = ChildHosts(claimed=tuple(host.name for host in own), lacking=lacking)
    return tuple(claims), standing


def _claims(host: Host, cluster_id: str) -> bool:
    return host.claim is not None and host.claim.cluster_id == cluster_id


def _rank(host: Host) -> tuple[bool, str]:
    assert host.claim is not None
    return host.claim.role is not Role.CONTROL_PLANE, host.name


def _missing(own: Sequence[Host], needs: HostNeeds) -> list[Role]:
    have = [host.claim.role for host in own if host.claim is not None]
    control_plane = needs.control_plane - have.count(Role.CONTROL_PLANE)
    workers = needs.workers - have.count(Role.WORKER)
    return [Role.CONTROL_PLANE] * max(0, control_plane) + [Role.WORKER] * max(0, workers)


def _sort_out(
    pool: HostPool,
    hosts: Sequence[Host],
    judgements: Mapping[str, HostJudgement],
    needs: HostNeeds,
    given: set[str],
    *,
    unproven: bool,
) -> tuple[list[Host], list[str]]:
    """Return the hosts that may be taken, by name, and why each other one may not."""
    free: list[Host] = []
    refused: list[str] = []
    for host in sorted(hosts, key=lambda entry: entry.name):
        listed = pool.host(host.host_name) if host.pool_name == pool.meta.name else None
        if listed is None:
            continue
        judged = judgements.get(host.name)
        if needs.selector is not None and not needs.selector.matches(listed.labels):
            refused.append(f"{host.host_name} does not match hostSelector")
        elif host.claim is not None or host.name in given:
            refused.append(f"{host.host_name} is claimed")
        elif unproven or (judged is not None and judged.state is HostState.AVAILABLE and judged.usable):
            free.append(host)
        else:
            state = judged.state if judged is not None else HostState.PROBING
            message = judged.message if judged is not None else ""
            refused.append(f"{host.host_name} is {state}" + (f" ({message})" if message else ""))
    # `spare` hosts stay free for replacement.
    keep = max(0, len(free) - pool.spare)
    refused += [f"{host.host_name} is kept as a spare" for host in free[keep:]]
    return free[:keep], refused


def _describe_lack(
    pool: HostPool, missing: Sequence[Role], free: Sequence[Host], refused: Sequence[str], needs: HostNeeds
) -> str:
    wanted = " and ".join(
        f"{missing.count(role)} {word}"
        for role, word in ((Role.CONTROL_PLANE, "control-plane host(s)"), (Role.WORKER, "worker host(s)"))
        if role in missing
    )
    selected = " that match hostSelector" if needs.selector is not None else ""
    why = "; ".join(refused[:NAMED])
    more = len(refused) - NAMED
    rest = f"; and {more} more" if more > 0 else ""
    return (
        f"{wanted} are lacking: HostPool {pool.meta.name} has {len(free)} free host(s){selected}"
        + (f": {why}{rest}" if why else "")
        + f". Add {len(missing) - len(free)} host(s) to its spec.hosts, or free some."
    )
