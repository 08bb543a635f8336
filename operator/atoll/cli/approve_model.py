"""Which gate somebody approves, whether they may, and the Approval that says so. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atoll.errors import BadInput, Refused
from atoll.fleet.names import API_VERSION, SET_LABEL
from atoll.rollout.stored import OVER

from .rollout_choice import read_set_name, read_state
from .rollout_gates import Gate, describe_gates, write_approve

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who approves, as the API server says."""

    username: str
    groups: tuple[str, ...] = ()


def choose_gate(rollout: Body, gates: Sequence[Gate], wave: str, gate: str, options: str = "") -> Gate:
    """Choose the gate that is meant: the stated one, or the only one that the rollout waits for now.

    Raises BadInput where there is none, or where several are waited for.
    """
    name, state = rollout["metadata"]["name"], read_state(rollout)
    if state in OVER:
        raise Refused(
            f"rollout {name} is {state}: nothing of it is left to approve. The next rollout of ClusterSet "
            f"{read_set_name(rollout)} has a name of its own"
        )
    asked = [item for item in gates if item.wave == (wave or item.wave) and item.name == (gate or item.name)]
    if not asked:
        what = f"gate {gate}" if gate else "gate"
        raise BadInput(
            f"rollout {name} has no {what}{f' in wave {wave}' if wave else ''}; its gates: "
            f"{describe_gates(gates) or 'none'}"
        )
    human = [item for item in asked if item.is_opened_by_people]
    if not human:
        raise BadInput(
            f"people cannot open {describe_gates(asked)}: {_explain_other_kind(asked[0])}. Gates for approvals: "
            f"{describe_gates([item for item in gates if item.is_opened_by_people]) or 'none'}"
        )
    if wave and gate:
        return human[0]
    waiting = [item for item in human if item.is_waited_for]
    if len(waiting) == 1:
        return waiting[0]
    coming = waiting or [item for item in human if item.state != "Open" and item.wave_state != "Done"]
    commands = "".join(f"\n  {write_approve(name, item, options)}" for item in coming)
    if waiting:
        raise BadInput(f"rollout {name} waits for {len(waiting)} approvals; choose one:{commands}")
    hint = f". To approve before it gets there:{commands}" if coming else ""
    raise BadInput(f"rollout {name} waits for no approval now{hint}")


def check_right(rollout: Body, gate: Gate, person: Person, options: str = "") -> tuple[str, ...]:
    """Return those groups of a person that the gate names; raises Refused for who may not open it."""
    name, spec = rollout["metadata"]["name"], rollout.get("spec") or {}
    command = write_approve(name, gate, options)
    if spec.get("requestedBy") == person.username:
        raise Refused(
            f"you, {person.username}, asked for rollout {name}, so your word does not count for it. Ask somebody else "
            f"to run: {command}"
        )
    groups = tuple(group for group in gate.groups if group in person.groups)
    if gate.groups and not groups:
        raise Refused(
            f"gate {gate.name} of wave {gate.wave} opens for members of {', '.join(gate.groups)}; you are "
            f"{person.username}, of {', '.join(person.groups) or 'no group'}. Ask one of them to run: {command}"
        )
    return groups


def find_approval(rollout: Body, gate: Gate, person: Person, approvals: Sequence[Body]) -> Body | None:
    """Return the word that a person has given for a gate already, under whatever name."""
    for approval in approvals:
        spec = approval.get("spec") or {}
        where = ((spec.get("rolloutRef") or {}).get("uid"), spec.get("wave"), spec.get("gate"))
        if where == (rollout["metadata"]["uid"], gate.wave, gate.name) and (
            (spec.get("approver") or {}).get("username") == person.username
        ):
            return approval
    return None


def check_counts(approval: Body, gate: Gate, options: str = "") -> None:
    """Raise Refused where an Approval that is there names no group of the gate: it would never count."""
    named = ((approval.get("spec") or {}).get("approver") or {}).get("groups") or ()
    if gate.groups and not set(named) & set(gate.groups):
        name, namespace = approval["metadata"]["name"], approval["metadata"]["namespace"]
        raise Refused(
            f"you have approved gate {gate.name} of wave {gate.wave} already, but Approval {name} names none of its "
            f"groups ({', '.join(gate.groups)}), so it does not count. Delete it and approve again: "
            f"kubectl delete approval {name} -n {namespace}{options.replace(f' -n {namespace}', '')}"
        )


def name_approval(rollout: Body, gate: Gate, person: Person) -> str:
    """Name an Approval: the same person's word for the same gate of the same rollout has one name."""
    name = str(rollout["metadata"]["name"])
    parts = (rollout["metadata"]["uid"], gate.wave, gate.name, person.username)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]
    return f"{name}-{gate.name}-{digest}"


def build_approval(rollout: Body, gate: Gate, person: Person, groups: Sequence[str]) -> dict[str, Any]:
    """Build the Approval; it goes when its Rollout goes."""
    metadata = rollout["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": "Approval",
        "metadata": {
            "name": name_approval(rollout, gate, person),
            "namespace": metadata["namespace"],
            "labels": {SET_LABEL: read_set_name(rollout)},
            "ownerReferences": [
                {"apiVersion": API_VERSION, "kind": "Rollout", "name": metadata["name"], "uid": metadata["uid"]}
            ],
        },
        "spec": {
            "rolloutRef": {"name": metadata["name"], "uid": metadata["uid"]},
            "wave": gate.wave,
            "gate": gate.name,
            "approver": {"username": person.username, "groups": list(groups)},
        },
    }


def _explain_other_kind(gate: Gate) -> str:
    reasons = {
        "metric": "a measurement opens it by itself",
        "job": "a Job opens it by succeeding",
    }
    return reasons.get(gate.kind, "it was taken out of spec.upgrade.waves of the ClusterSet")
