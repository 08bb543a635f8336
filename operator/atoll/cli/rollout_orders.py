"""What pause, resume, abort and retry come to: one field to write, or the reason why nothing is. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atoll.errors import BadInput, Refused
from atoll.rollout.states import MOVING
from atoll.rollout.stored import BLOCKING, OVER, UNFINISHED

from .rollout_choice import choose_rollout, find_last, read_set_name, read_state
from .why_model import find_body, parse_target

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What shall be written to which object, and what people are told."""

    body: Body
    """The object as it was read."""
    patch: Mapping[str, Any] | None = None
    """A merge patch of one field; None: it stands there already."""
    told: str


def plan_pause(rollout: Body) -> Order:
    """Plan that a rollout begins nothing new; raises Refused for one that is over."""
    name = _require_alive(rollout, "pause")
    if read_action(rollout) == "Pause":
        return Order(body=rollout, told=f"rollout {name} is paused already{_tell_moving(rollout)}")
    return Order(
        body=rollout,
        patch={"spec": {"action": "Pause"}},
        told=f"rollout {name} is paused: nothing more begins until it is resumed{_tell_moving(rollout)}",
    )


def plan_resume(rollout: Body, cluster_set: Body | None) -> Order:
    """Plan that a rollout goes on; raises Refused for one that is over."""
    name = _require_alive(rollout, "resume")
    held = _tell_paused_set(cluster_set)
    if read_action(rollout) == "Run":
        return Order(body=rollout, told=f"rollout {name} is not paused{held}")
    return Order(body=rollout, patch={"spec": {"action": "Run"}}, told=f"rollout {name} goes on{held}")


def plan_abort(rollout: Body) -> Order:
    """Plan that a rollout starts nothing more, for ever; raises Refused for one that is over otherwise."""
    name = rollout["metadata"]["name"]
    if read_action(rollout) == "Abort":
        return Order(body=rollout, told=f"rollout {name} is aborted already{_tell_moving(rollout)}")
    _require_alive(rollout, "abort")
    return Order(
        body=rollout,
        patch={"spec": {"action": "Abort"}},
        told=f"rollout {name} is aborted: nothing more begins, and nothing is reverted{_tell_moving(rollout)}",
    )


def describe_abort(rollout: Body) -> str:
    """Say what aborting means for a rollout, before anybody says yes to it."""
    counts = (rollout.get("status") or {}).get("counts") or {}
    total = sum(len(wave.get("clusters") or ()) for wave in (rollout.get("spec") or {}).get("waves") or ())
    done = counts.get("done", 0)
    return (
        f"Rollout {rollout['metadata']['name']} would start nothing more, for ever, and revert nothing: {done} of "
        f"{total} are done and stay as they are{_tell_moving(rollout)}. `atoll retry {read_set_name(rollout)}` begins "
        "a new rollout for the rest; `atoll pause` would only hold this one."
    )


def plan_retry(text: str, bodies: Sequence[Body], fleet: str) -> Order:
    """Plan that a set tries again what was halted, aborted or reverted; raises Refused where nothing was."""
    rollout = _choose_last(text, bodies, fleet)
    name, set_name, state = rollout["metadata"]["name"], read_set_name(rollout), read_state(rollout)
    cluster_set = find_body(bodies, "ClusterSet", set_name)
    if cluster_set is None:
        raise BadInput(f"ClusterSet {set_name} of rollout {name} is gone, so there is nothing to try again")
    # A rollout that is told to abort never goes on: nobody has to wait until the operator has seen it.
    aborting = state in UNFINISHED and read_action(rollout) == "Abort"
    if state not in BLOCKING and not aborting:
        raise Refused(f"rollout {name} of ClusterSet {set_name} is {_explain_no_retry(rollout, set_name, state)}")
    target = (rollout.get("spec") or {}).get("target") or {}
    tried = int(target.get("retry") or 0)
    stands = int(((cluster_set.get("spec") or {}).get("upgrade") or {}).get("retry") or 0)
    version = (cluster_set.get("spec") or {}).get("version", "")
    if stands > tried:
        return Order(
            body=cluster_set,
            told=f"ClusterSet {set_name} is to try {version} again already: its spec.upgrade.retry is {stands}, and "
            f"rollout {name} ({state}) was begun with {tried}. The next rollout begins by itself",
        )
    return Order(
        body=cluster_set,
        patch={"spec": {"upgrade": {"retry": tried + 1}}},
        told=f"ClusterSet {set_name} tries {version} again in a new rollout: spec.upgrade.retry is {tried + 1} now",
    )


def read_action(rollout: Body) -> str:
    """Return what people have told a rollout: Run, Pause or Abort."""
    return str((rollout.get("spec") or {}).get("action") or "Run")


def list_moving(rollout: Body) -> list[str]:
    """List the members that are being changed."""
    rows = (rollout.get("status") or {}).get("rows") or ()
    return [str(row.get("cluster", "")) for row in rows if row.get("state") in MOVING]


def _tell_moving(rollout: Body) -> str:
    moving = list_moving(rollout)
    more = f" and {len(moving) - 3} more" if len(moving) > 3 else ""
    verb = "finishes" if len(moving) == 1 else "finish"
    return f"; {', '.join(moving[:3])}{more} {verb} the change under way" if moving else ""


def _tell_paused_set(cluster_set: Body | None) -> str:
    paused = ((cluster_set or {}).get("spec") or {}).get("paused")
    if not paused or cluster_set is None:
        return ""
    until = f" until {paused['until']}" if paused.get("until") else ""
    name, namespace = cluster_set["metadata"]["name"], cluster_set["metadata"]["namespace"]
    return (
        f", but its ClusterSet {name} is paused{until} ({paused.get('reason') or 'no reason is given'}). To end that: "
        f'kubectl patch cset {name} -n {namespace} --type merge -p \'{{"spec":{{"paused":null}}}}\''
    )


def _require_alive(rollout: Body, verb: str) -> str:
    """Return a rollout's name; raises Refused, with the remedy, for one that starts nothing more anyway."""
    name, state, set_name = str(rollout["metadata"]["name"]), read_state(rollout), read_set_name(rollout)
    if read_action(rollout) == "Abort":
        raise Refused(
            f"rollout {name} was aborted, which is for ever. `atoll retry {set_name}` begins a new rollout for the "
            "members that are not done"
        )
    if state in BLOCKING:
        raise Refused(
            f"rollout {name} is {state} and starts nothing more, so there is nothing to {verb}. "
            f"`atoll why rollout/{name}` tells the cause; `atoll retry {set_name}` begins a new rollout"
        )
    if state in OVER:
        raise Refused(f"rollout {name} is {state}, so there is nothing to {verb}. `atoll watch` shows what is running")
    return name


def _choose_last(text: str, bodies: Sequence[Body], fleet: str) -> Body:
    """Find the last rollout of the set that is meant; raises Refused when an earlier one is named."""
    kind, name = parse_target(text) if "/" in text else ("", text)
    if kind != "Rollout" and find_body(bodies, "Rollout", name) is None:
        last = find_last(name, bodies)
        return last if last is not None else choose_rollout(text, bodies, fleet)
    rollout = choose_rollout(text, bodies, fleet)
    last = find_last(read_set_name(rollout), bodies)
    if last is not None and last["metadata"]["name"] != rollout["metadata"]["name"]:
        set_name, newer = read_set_name(rollout), last["metadata"]["name"]
        raise Refused(
            f"rollout {rollout['metadata']['name']} is not the last one of ClusterSet {set_name}; that is {newer} "
            f"({read_state(last) or 'just begun'}). See `atoll watch {newer}`"
        )
    return rollout


def _explain_no_retry(rollout: Body, set_name: str, state: str) -> str:
    name = rollout["metadata"]["name"]
    match state:
        case "Done":
            return (
                f"Done: there is nothing to try again. A change of spec.version of ClusterSet {set_name} begins the "
                "next one"
            )
        case "Superseded":
            return f"Superseded: its target is not wanted any more. See `atoll why cset/{set_name}`"
        case "Paused":
            return f"Paused, and neither halted nor aborted. `atoll resume {name}` lets it go on"
        case _:
            return f"{state or 'just begun'}, and neither halted nor aborted. `atoll watch {name}` shows how it goes"
