"""GKE in its own vocabulary: what the engine of managed clusters needs to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from atoll.fleet.known import GKE
from atoll.ports import Finding, ObservedCluster, Operation, OperationType, ProviderInfo, WantedCluster
from atoll.providers.managed.calling import Caller
from atoll.providers.managed.moves import Move
from atoll.providers.managed.surroundings import Declared

from .check import check_operation
from .connection import GkeConnection
from .plan import plan_operation
from .seen import SeenCluster
from .settings import parse_place
from .summary import summarise_cluster


class GkeCloud:
    """Implements `managed.cloud.Cloud`."""

    info: ProviderInfo = GKE
    success: Mapping[OperationType, str] = MappingProxyType({})

    def connect(self, declared: Declared, caller: Caller) -> GkeConnection:
        """Open an account; makes no call."""
        return GkeConnection(declared, caller)

    def identify(self, declared: Declared) -> str:
        """Name project and location."""
        place = parse_place(declared.settings)
        return f"gke/{place.project}/{place.location}"

    def check(self, wanted: WantedCluster, operation: Operation, seen: SeenCluster | None) -> tuple[Finding, ...]:
        """Find what can be told without asking."""
        return check_operation(wanted, operation, seen)

    def plan(self, wanted: WantedCluster, operation: Operation, seen: SeenCluster | None, now: datetime) -> Move:
        """Decide what comes next."""
        return plan_operation(wanted, operation, seen, now)

    def summarise(self, declared: Declared, seen: SeenCluster, now: datetime) -> ObservedCluster:
        """Say what is there."""
        return summarise_cluster(declared, seen, now)

    def login_command(self, declared: Declared, seen: SeenCluster) -> Mapping[str, Any]:
        """Return the plug-in with which people log in as themselves; it takes their own account of gcloud."""
        return {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": "gke-gcloud-auth-plugin",
            "installHint": "Install it with: gcloud components install gke-gcloud-auth-plugin",
            "provideClusterInfo": True,
        }
