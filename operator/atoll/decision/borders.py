"""When the borders between tenants are tried, which of them, and what is said of the outcome.

A red border is told by the child's conditions and an event, and needs a person. It stops and reverts no rollout: it is
about what somebody granted in the cluster, and going back to another version would not take that away.

Times come from `now` and the child's id: children take their turns over the hour, and a restart forgets nothing. What
grants rights is seen at every look; a change of it is tried at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from atoll.fleet.borders import (
    BORDER_CHECK,
    OWN_ATTEMPTS,
    PAIR_ATTEMPTS,
    BorderPlan,
    BorderRun,
    BorderSide,
    name_cell,
)
from atoll.fleet.conditions import format_time, join_first
from atoll.fleet.names import SYSTEM_NAMESPACE, TENANT_LABEL
from atoll.fleet.observed import ChildCluster, ChildView, MemberView
from atoll.fleet.values import thaw
from atoll.segregation import account_name

from .interior import is_workable

RED_LIMIT: Final = 50
NAMED_LIMIT: Final = 5
PERIOD: Final = timedelta(hours=1)
FIRST_LOOK: Final = timedelta(minutes=10)
"""Within this time after a restart each child is tried; before it, what stands in its status holds."""
OPEN: Final = timedelta(minutes=1)
"""How long a turn after a restart may be taken late."""
AFTER_CHANGE: Final = timedelta(seconds=1)
"""Least pause between runs, however often rights change."""
AFTER_FIRST: Final = timedelta(seconds=30)
"""When the first run after a change is repeated: API servers learn of new rights a moment late."""
AFTER_DOUBT: Final = timedelta(seconds=3)
"""Doubles with each run that leaves doubts, up to `FIRST_LOOK`: one slow answer is soon forgotten."""
DOUBLINGS: Final = 8
REQUEST_LIMIT: Final = 700
"""Requests of one run, roughly."""
_PER_NAMESPACE: Final = 7
_PER_PAIR: Final = 2
_CELLS: Final = len(PAIR_ATTEMPTS) + 1
"""Of one pair: the attempts by the API, and the network."""
_STRONGEST: Final = "admin"
NO_NODES: Final = "the cluster has no nodes, so no traffic between tenants could be tried"
NOT_CARRIED: Final = (
    "traffic between pods of tenants is not tried; check network-policy-enforced tells whether the pod network walls"
)


def list_sides(member: MemberView) -> tuple[BorderSide, ...]:
    """List the tenants of a cluster as they stand there: their namespaces, and the identities that they have."""
    namespaces: dict[str, set[str]] = {}
    entered: set[str] = set()
    accounts: set[str] = set()
    people: dict[str, set[tuple[str, str]]] = {}
    for (kind, namespace, name), body in member.objects.items():
        tenant = str((body["metadata"].get("labels") or {}).get(TENANT_LABEL, ""))
        if kind == "ServiceAccount" and namespace == SYSTEM_NAMESPACE:
            accounts.add(name)
        elif tenant and kind == "Namespace":
            namespaces.setdefault(tenant, set()).add(name)
        elif tenant and kind == "RoleBinding":
            entered.add(tenant)
            subjects = ((str(item.get("kind")), str(item.get("name"))) for item in body.get("subjects") or ())
            people.setdefault(tenant, set()).update(item for item in subjects if item[0] in {"User", "Group"})
    sides = []
    strangers = set(member.bound_people)
    for tenant, there in sorted(namespaces.items()):
        strongest = account_name(tenant, _STRONGEST)
        others = {name for name in member.bound_elsewhere if name.startswith(account_name(tenant, ""))}
        mine = accounts & ({strongest, *others} if tenant in entered else others)
        ordered = (*sorted(mine & {strongest}), *sorted(mine - {strongest}))
        members = people.get(tenant, set())
        sides.append(
            BorderSide(
                tenant=tenant,
                namespaces=tuple(sorted(there)),
                accounts=ordered,
                people=tuple(sorted(members & strangers)),
                members=frozenset(members),
            )
        )
    return tuple(sides)


def plan_borders(
    member: MemberView,
    *,
    now: datetime,
    key: str = "",
    red: Iterable[tuple[str, str]] = (),
    limit: int = REQUEST_LIMIT,
) -> BorderPlan | None:
    """Choose the pairs of tenants to try; None: nobody has access, so there is nothing to try.

    `red` pairs come first, so that none of them is forgotten, then those of tenants that others have bound; the rest
    takes turns by the hour when there are more than `limit` requests allow. `key` (the child's id) shifts the hour.
    """
    sides = {side.tenant: side for side in list_sides(member)}
    subjects = [side for side in sides.values() if side.accounts]
    if not subjects:
        return None
    reds = set(red)
    bound = {side.tenant for side in subjects if side.people or set(side.accounts) & set(member.bound_elsewhere)}
    all_pairs = [(one.tenant, other) for one in subjects for other in sides if other != one.tenant]
    start = _turn(now, key) * max(1, limit // (_PER_NAMESPACE + _PER_PAIR)) % max(1, len(all_pairs))
    turned = [*all_pairs[start:], *all_pairs[:start]]
    ranked = sorted(turned, key=lambda pair: 0 if pair in reds else 1 if pair[0] in bound else 2)
    chosen: list[tuple[str, str]] = []
    requests = 0
    for pair in ranked:
        identities = len(sides[pair[0]].list_identities(sides[pair[1]]))
        cost = (len(sides[pair[1]].namespaces) * _PER_NAMESPACE + _PER_PAIR) * identities
        if chosen and requests + cost > limit:
            break
        requests += cost
        chosen.append(pair)
    quotas = {place: name for (kind, place, name) in sorted(member.objects) if kind == "ResourceQuota"}
    return BorderPlan(
        digest=digest_of(member),
        sides=sides,
        pairs=(*((side.tenant, side.tenant) for side in subjects), *chosen),
        waiting=(len(all_pairs) - len(chosen)) * _CELLS,
        quotas=quotas,
        network=NO_NODES if not member.nodes_total else NOT_CARRIED,
    )


def count_cells(plan: BorderPlan) -> int:
    """Count the cells of a plan, those of the network included."""
    own = sum(subject == target for subject, target in plan.pairs)
    return own * len(OWN_ATTEMPTS) + (len(plan.pairs) - own) * _CELLS


def digest_of(member: MemberView) -> str:
    """Name the state of rights in a cluster: when it changes, borders are tried again."""
    return f"{member.version} {member.nodes_total > 0} {member.rights}"


def find_due_time(child: ChildCluster, view: ChildView) -> datetime | None:
    """Say when the borders on a child are tried next; None: there is nobody to try, or nothing to try it on."""
    if child.meta.deleting or view.member is None or not is_workable(child, view):
        return None
    if not _has_borders(view.member, view.borders):
        return None
    run = view.borders
    if run is None:
        if "borders" not in child.status or _find_entry(child).get("result") == "Unknown":
            return view.time
        turn = _floor(view.time, child.id, FIRST_LOOK)
        return turn if view.time - turn < OPEN else turn + FIRST_LOOK
    if run.digest != digest_of(view.member):
        return run.time + AFTER_CHANGE
    if run.doubts:
        return run.time + min(AFTER_DOUBT * (1 << min(run.doubtful_runs - 1, DOUBLINGS)), FIRST_LOOK)
    if not run.confirmed:
        return run.time + AFTER_FIRST
    return _floor(run.time, child.id, PERIOD) + PERIOD


def _has_borders(member: MemberView, run: BorderRun | None) -> bool:
    """Say whether somebody has access there; a run that saw the same rights has found it out, and saves the search."""
    if run is not None and run.digest == digest_of(member):
        return True
    return any(side.accounts for side in list_sides(member))


def list_red_pairs(child: ChildCluster, view: ChildView) -> tuple[tuple[str, str], ...]:
    """List the pairs that are known to be red, from this process's last run or from what it has written down."""
    if view.borders is not None:
        return tuple(dict.fromkeys((cell.subject, cell.target) for cell in view.borders.red))
    entries = (child.status.get("borders") or {}).get("red", ())
    return tuple(dict.fromkeys((str(entry["tenant"]), str(entry["target"])) for entry in entries))


def summarise_borders(child: ChildCluster, view: ChildView | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return `status.borders` and the entry of `status.verification`; both empty where there are no borders.

    Times change only with results. Of a child that does not answer nothing is known: its entry says so.
    """
    stored: dict[str, Any] = dict(thaw(child.status.get("borders") or {}))
    entry = dict(thaw(_find_entry(child)))
    if view is None:
        return stored, entry
    if view.member is None or view.refused is not None:
        if not entry:
            return stored, {}
        blind = "the cluster does not answer, so its borders cannot be tried"
        return stored, _write_entry("Unknown", blind, view.time, entry)
    run = view.borders
    if not _has_borders(view.member, run):
        return {}, {}
    if run is None:
        return stored, entry
    return _write_borders(run, stored), _write_entry(*_judge(run), run.time, entry)


def find_broken_borders(borders: Mapping[str, Any]) -> str:
    """Say in one sentence which borders are broken; empty: none."""
    red = borders.get("red") or ()
    if not red:
        return ""
    told = join_first([str(cell["message"]) for cell in red], NAMED_LIMIT)
    return (
        f"the API server lets tenants across borders: {told}. Look in the cluster for RoleBindings and "
        "ClusterRoleBindings that name them and are not Atoll's, and remove them."
    )


def _judge(run: BorderRun) -> tuple[str, str]:
    waiting = f"; {run.waiting} more wait for later runs" if run.waiting else ""
    network = f"; network Unknown: {run.network}" if run.network else ""
    if run.red:
        first = "; ".join(f"{name_cell(cell)}: {cell.message}" for cell in run.red[:NAMED_LIMIT])
        return "Failed", f"{len(run.red)} of {run.tried} borders let somebody through: {first}{waiting}{network}"
    if run.doubts or not run.tried:
        return (
            "Unknown",
            f"{run.doubts} borders could not be tried; {run.doubt or 'nothing was tried'}{waiting}{network}",
        )
    return (
        "Passed",
        f"{run.tried} borders were tried with the tenants' own identities, and all of them hold{waiting}{network}",
    )


def _write_borders(run: BorderRun, stored: Mapping[str, Any]) -> dict[str, Any]:
    red = [
        {
            "tenant": cell.subject,
            "target": cell.target,
            "attempt": cell.attempt,
            "message": f"{name_cell(cell)}: {cell.message}"[:512],
        }
        for cell in run.red[:RED_LIMIT]
    ]
    found: dict[str, Any] = {
        "tried": run.tried,
        "unknown": run.unknown,
        "waiting": run.waiting,
        "redCount": len(run.red),
    }
    if red:
        found["red"] = red
    before = {key: value for key, value in stored.items() if key != "time"}
    same = before == found and "time" in stored
    return {"time": stored["time"] if same else format_time(run.time), **found}


def _write_entry(result: str, message: str, time: datetime, before: Mapping[str, Any]) -> dict[str, Any]:
    told = {"check": BORDER_CHECK, "result": result, "message": message[:1024]}
    same = all(before.get(key) == value for key, value in told.items())
    return {**told, "time": before["time"] if same else format_time(time)}


def _find_entry(child: ChildCluster) -> Mapping[str, Any]:
    entries = child.status.get("verification", ())
    return next((entry for entry in entries if entry.get("check") == BORDER_CHECK), {})


def _turn(now: datetime, key: str) -> int:
    """Count the turns of a child since the beginning of time."""
    return int((now.timestamp() + _shift(key, PERIOD)) // PERIOD.total_seconds())


def _floor(now: datetime, key: str, period: timedelta) -> datetime:
    """Return when the present turn of a child began."""
    past = (now.timestamp() + _shift(key, period)) % period.total_seconds()
    return now - timedelta(seconds=past)


def _shift(key: str, period: timedelta) -> int:
    """Return a number of seconds that is a child's own: a thousand children do not fall on one minute."""
    return int.from_bytes(sha256(key.encode()).digest()[:4]) % int(period.total_seconds())
