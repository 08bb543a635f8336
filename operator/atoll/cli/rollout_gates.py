"""The gates of a rollout: what kind each is, who may open it, and how it stands. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from atoll.rollout.waves import REGIME_PREFIX

Body = Mapping[str, Any]

KINDS: Final = ("approval", "metric", "job")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate of a frozen wave."""

    wave: str
    wave_state: str
    """As the rollout's status says; empty when the operator has not looked yet."""
    name: str
    kind: str
    """approval | metric | job | regime; empty: it does not stand in the ClusterSet any more."""
    groups: tuple[str, ...] = ()
    """Groups that may open it; empty: everybody who may create Approvals."""
    state: str = ""
    """Open | Closed | Unknown; empty: its turn has not come."""
    message: str = ""

    @property
    def is_opened_by_people(self) -> bool:
        """Say whether approvals open it."""
        return self.kind in {"approval", "regime"}

    @property
    def is_waited_for(self) -> bool:
        """Say whether the rollout waits for it now."""
        return self.state in {"Closed", "Unknown"} and self.wave_state not in {"Waiting", "Done"}


def list_gates(rollout: Body, cluster_set: Body | None) -> tuple[Gate, ...]:
    """List all gates of a rollout in the order in which it comes to them."""
    upgrade = ((cluster_set or {}).get("spec") or {}).get("upgrade") or {}
    declared = {
        (wave.get("name"), gate.get("name")): gate
        for wave in upgrade.get("waves") or ()
        for gate in wave.get("gates") or ()
    }
    waves: Mapping[Any, Body] = {wave.get("name"): wave for wave in (rollout.get("status") or {}).get("waves") or ()}
    gates = []
    for wave in (rollout.get("spec") or {}).get("waves") or ():
        status = waves.get(wave["name"]) or {}
        told: Mapping[Any, Body] = {gate.get("name"): gate for gate in status.get("gates") or ()}
        # A gate that a regime got after the waves were frozen stands in the status alone.
        for name in dict.fromkeys((*(wave.get("gates") or ()), *told)):
            spec, stands = declared.get((wave["name"], name)) or {}, told.get(name) or {}
            gates.append(
                Gate(
                    wave=wave["name"],
                    wave_state=str(status.get("state", "")),
                    name=str(name),
                    kind=_find_kind(str(name), spec),
                    groups=tuple((spec.get("approval") or {}).get("groups") or ()),
                    state=str(stands.get("state", "")),
                    message=str(stands.get("message", "")),
                )
            )
    return tuple(gates)


def write_approve(rollout: str, gate: Gate, options: str = "") -> str:
    """Write the command that approves a gate."""
    return f"atoll approve {rollout} --wave {gate.wave} --gate {gate.name}{options}"


def describe_gates(gates: Sequence[Gate]) -> str:
    """Name gates for a sentence: `sign-off (approval) of wave canary, slo (metric) of wave prod`."""
    return ", ".join(f"{gate.name}{f' ({gate.kind})' if gate.kind else ''} of wave {gate.wave}" for gate in gates)


def _find_kind(name: str, spec: Body) -> str:
    if name.startswith(REGIME_PREFIX):
        return "regime"
    return next((kind for kind in KINDS if kind in spec), "")
