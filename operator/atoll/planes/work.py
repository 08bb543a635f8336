"""What the steps of an operation are given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from atoll.errors import Terminal
from atoll.ports import Clock, Operation

from .binaries import Binaries, find_program
from .commands import build_api_server_command, build_controller_manager_command, build_etcd_command
from .effects import Effects
from .layout import Layout
from .processes import Processes
from .store import read_plane, write_plane
from .values import PlaneSpec, PlaneState, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One operation on one plane, under its lock."""

    home: Path
    layout: Layout
    spec: PlaneSpec
    """What is wanted in the end; `spec.version` is the target."""
    operation: Operation
    binaries: Binaries
    effects: Effects
    clock: Clock
    processes: Processes
    keeps_authentication: bool = False
    """True: whoever asks knows nothing of how people shall log in, and the plane keeps what it has."""
    drills: bool = False
    """True: a change drills its snapshot before anything moves."""

    def state(self) -> PlaneState:
        """Read what the plane is now."""
        state = read_plane(self.layout)
        if state is None:
            raise Terminal(f"{self.layout.plane} is gone: delete the plane and create it again")
        return state

    def save(self, state: PlaneState) -> None:
        """Write what the plane is from now on."""
        write_plane(self.layout, state, self.effects)

    def target(self) -> PlaneState:
        """Return the plane as it will be: networks and ports never change."""
        state = self.state()
        authentication = state.spec.authentication if self.keeps_authentication else self.spec.authentication
        spec = replace(
            state.spec,
            name=self.spec.name,
            version=self.spec.version,
            audit_log=self.spec.audit_log,
            api_args=self.spec.api_args,
            authentication=authentication,
        )
        return replace(state, spec=spec)

    def find_program(self, version: str, binary: str) -> Path:
        """Return the path of what a plane of `version` runs."""
        return find_program(self.binaries, version, binary)

    def command(self, role: Role, state: PlaneState) -> tuple[str, ...]:
        """Return the command line of a process of a plane in this state."""
        program = self.find_program(state.spec.version, role.value)
        match role:
            case Role.ETCD:
                return build_etcd_command(program, self.layout, state.ports)
            case Role.API_SERVER:
                return build_api_server_command(program, self.layout, state)
            case Role.CONTROLLER_MANAGER:
                return build_controller_manager_command(program, self.layout, state.spec)
