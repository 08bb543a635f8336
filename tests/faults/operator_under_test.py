"""The operator as `atoll run` composes it, in a process of its own, with death at every write and effect."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from atoll.embedded.binaries import FoundBinaries
from atoll.kube.connect import Connection
from atoll.kube.transport import HttpTransport, Transport
from atoll.planes.planes import Planes
from atoll.planes.values import PlaneSpec
from atoll.ports import Clock, Operation, Provider
from atoll.providers.local import LocalProvider
from atoll.shell.context import Settings
from atoll.shell.logs import set_up_logging
from atoll.shell.run import run_operator
from atoll.toolchain import Sources, Toolchain

from .lethal import LethalEffects, LethalTransport, Reaper
from .plants import PLANTS
from .sites import Where


class AuditedPlanes(Planes):
    """Planes whose API servers keep an audit log, outside of the plane's folder: it outlives the plane."""

    def __init__(self, home: Path, audit: Path, *, clock: Clock, effects: LethalEffects) -> None:
        binaries = FoundBinaries(Toolchain(Sources.from_environ(os.environ)))
        super().__init__(home, binaries, clock=clock, effects=effects)
        self._audit = audit

    async def run_operation(
        self,
        plane_id: str,
        spec: PlaneSpec,
        operation: Operation,
        *,
        keeps_authentication: bool = False,
        drills: bool = False,
    ) -> None:
        """Run an operation on an audited plane."""
        flags = (f"--audit-log-path={self._audit / plane_id}.log", "--audit-log-maxsize=1000")
        audited = replace(spec, audit_log=True, api_args=flags)
        await super().run_operation(
            plane_id, audited, operation, keeps_authentication=keeps_authentication, drills=drills
        )


async def run(arguments: argparse.Namespace) -> None:
    """Run the operator until it is killed."""
    folder: Path = arguments.folder
    connection = Connection.from_kubeconfig(arguments.kubeconfig.read_text(encoding="utf-8"), trusted=True)
    reaper = Reaper(folder)

    opened: list[HttpTransport] = []

    def wrap(server: Connection) -> Transport:
        where = Where.HUB if server.server == connection.server else Where.CHILD
        opened.append(HttpTransport(server))
        return LethalTransport(opened[-1], reaper, where, arguments.fleet)

    def providers_of(clock: Clock) -> Mapping[str, Provider]:
        home = folder / "home"
        effects = LethalEffects(reaper, home)
        return {"local": LocalProvider(AuditedPlanes(home, folder / "audit", clock=clock, effects=effects))}

    settings = Settings(resync_seconds=arguments.resync, namespaces=(arguments.fleet,))
    try:
        await run_operator(settings, connection, providers_of, transport=wrap)
    finally:
        await asyncio.gather(*(transport.close() for transport in opened))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--fleet", required=True)
    parser.add_argument("--resync", type=float, default=1.0)
    parser.add_argument("--plant", choices=sorted(PLANTS))
    arguments = parser.parse_args()
    if arguments.plant:
        PLANTS[arguments.plant].put()
    set_up_logging("text")
    asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
