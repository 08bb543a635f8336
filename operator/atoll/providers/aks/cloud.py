"""Azure in the words of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from atoll.fleet.known import AKS
from atoll.ports import Finding, ObservedCluster, Operation, OperationType, ProviderInfo, WantedCluster
from atoll.providers.managed.calling import Caller
from atoll.providers.managed.moves import Move
from atoll.providers.managed.surroundings import Declared

from .check import check
from .client import Client
from .connection import AksConnection
from .login import build_login_command
from .plan import plan
from .seen import SeenCluster, read_path
from .settings import parse_place
from .summary import summarise


class AksCloud:
    """Clusters of Azure."""

    info: ProviderInfo = AKS
    success: Mapping[OperationType, str] = MappingProxyType({})

    def connect(self, declared: Declared, caller: Caller) -> AksConnection:
        """Open a resource group; makes no call."""
        place = parse_place(declared.settings)
        return AksConnection(place, Client(place.subscription, declared), caller)

    def identify(self, declared: Declared) -> str:
        """Name subscription, location and resource group.

        Azure counts calls by subscription and location; a connection looks into one resource group, because a role
        there is enough for it, and a cluster's address has the group in it.
        """
        place = parse_place(declared.settings)
        return f"aks/{place.subscription}/{place.location}/{place.group}".casefold()

    def check(self, wanted: WantedCluster, operation: Operation, seen: SeenCluster | None) -> tuple[Finding, ...]:
        """Find what can be told without asking."""
        return check(wanted, operation, seen)

    def plan(self, wanted: WantedCluster, operation: Operation, seen: SeenCluster | None, now: datetime) -> Move:
        """Decide what comes next."""
        return plan(wanted, operation, seen, now)

    def summarise(self, declared: Declared, seen: SeenCluster, now: datetime) -> ObservedCluster:
        """Say what is there."""
        del now
        return summarise(declared, seen)

    def login_command(self, declared: Declared, seen: SeenCluster) -> Mapping[str, Any]:
        """Return the `exec` block with which people log in."""
        del declared
        return build_login_command(str(read_path(seen.properties, "aadProfile", "tenantID") or ""))
