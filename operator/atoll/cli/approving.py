"""Giving an approval: who am I, which gate, may I; then one object, once."""

from __future__ import annotations

from typing import Final

from atoll.errors import Conflict, Refused
from atoll.kube.kinds import APPROVAL, CLUSTER_SET, ROLLOUT
from atoll.ports import Body

from .approve_model import (
    Person,
    build_approval,
    check_counts,
    check_right,
    choose_gate,
    find_approval,
)
from .live import open_store, read_bodies
from .options import Target
from .rollout_choice import choose_rollout, read_set_name
from .rollout_gates import list_gates
from .why_model import find_body

MANAGER: Final = "atoll-cli"
"""Field manager of what people write through the command line."""


async def give_approval(target: Target, text: str, wave: str, gate: str, options: str) -> tuple[Body, str]:
    """Create an Approval in the name of whom the kubeconfig belongs to; return it, and what to tell them."""
    async with open_store(target) as store:
        username, groups = await store.who_am_i()
        if not username:
            raise Refused("the management cluster does not say who you are; is the kubeconfig one of a user?")
        person = Person(username=username, groups=groups)
        bodies = await read_bodies(store, target.namespace, (ROLLOUT, CLUSTER_SET, APPROVAL))
        rollout = choose_rollout(text, bodies, target.namespace)
        gates = list_gates(rollout, find_body(bodies, "ClusterSet", read_set_name(rollout)))
        chosen = choose_gate(rollout, gates, wave, gate, options)
        what = f"gate {chosen.name} of wave {chosen.wave}, rollout {rollout['metadata']['name']}"
        approvals = [body for body in bodies if body["kind"] == "Approval"]
        there = find_approval(rollout, chosen, person, approvals)
        if there is None:
            counting = check_right(rollout, chosen, person, options)
            body = build_approval(rollout, chosen, person, counting)
            try:
                created = await store.create(body, manager=MANAGER)
            except Conflict:
                # Perhaps the same command in another window was quicker.
                there = await store.get(APPROVAL, target.namespace, body["metadata"]["name"])
                if there is None:
                    raise
            else:
                through = f" (group {', '.join(counting)})" if counting else ""
                return created, f"approved: {what}, by {username}{through}"
        check_counts(there, chosen, options)
        return dict(there), f"already approved by you, {username}: {what}"
