"""Which providers this build has."""

from __future__ import annotations

import os
from collections.abc import Mapping

from atoll.embedded.binaries import FoundBinaries
from atoll.embedded.home import Home
from atoll.embedded.surroundings import is_in_pod
from atoll.planes.planes import Planes
from atoll.ports import Clock, Provider
from atoll.providers.local import LocalProvider
from atoll.toolchain import Sources, Toolchain


def build_planes(home: Home, clock: Clock) -> Planes:
    """Return the planes of a home, with the binaries that are there."""
    return Planes(home.root, FoundBinaries(Toolchain(Sources.from_environ(os.environ))), clock=clock)


def build_providers(home: Home, clock: Clock, *, audit_log: bool = False) -> Mapping[str, Provider]:
    """Return all providers. `local` lives beside the operator: in a pod there is no such place."""
    if is_in_pod():
        return {}
    return {"local": LocalProvider(build_planes(home, clock), audit_log=audit_log)}
