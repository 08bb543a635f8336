"""EKS as the engine of managed clusters knows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from atoll.fleet.known import EKS
from atoll.ports import Finding, ObservedCluster, Operation, OperationType, ProviderInfo, WantedCluster
from atoll.providers.managed.calling import Caller
from atoll.providers.managed.moves import Move
from atoll.providers.managed.surroundings import Declared

from .check import check
from .connection import EksConnection
from .plan import plan
from .seen import SeenCluster
from .settings import check_credentials, parse_region
from .summary import summarise

SUCCESS: Final[Mapping[OperationType, str]] = MappingProxyType(
    {
        OperationType.REVERT: "no writes were lost: EKS took the control plane back, and kept what is stored in it; "
        "node groups and add-ons that were too new for it went back before"
    }
)


class EksCloud:
    """Implements `managed.cloud.Cloud`."""

    def __init__(self) -> None:
        self.info: ProviderInfo = EKS
        self.success = SUCCESS

    def connect(self, declared: Declared, caller: Caller) -> EksConnection:
        """Open an account; makes no call. BadInput names what is missing in the Secret or the block."""
        check_credentials(declared.credentials)
        return EksConnection(parse_region(declared.settings), declared.credentials, declared.endpoint, caller)

    def identify(self, declared: Declared) -> str:
        """Name the account and place whose calls are counted together."""
        return f"eks/{parse_region(declared.settings)}"

    def check(self, wanted: WantedCluster, operation: Operation, seen: SeenCluster | None) -> tuple[Finding, ...]:
        """Find what can be told without asking."""
        return check(wanted, operation, seen)

    def plan(self, wanted: WantedCluster, operation: Operation, seen: SeenCluster | None, now: datetime) -> Move:
        """Decide what comes next."""
        return plan(wanted, operation, seen, now)

    def summarise(self, declared: Declared, seen: SeenCluster, now: datetime) -> ObservedCluster:
        """Say what is there, drift included, and leave the operation out."""
        return summarise(declared, seen, now)

    def login_command(self, declared: Declared, seen: SeenCluster) -> Mapping[str, Any]:
        """Return the `exec` block with which people log in with their own identity."""
        region = parse_region(declared.settings)
        return {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "aws",
            "args": ["--region", region, "eks", "get-token", "--cluster-name", seen.name, "--output", "json"],
            "interactiveMode": "IfAvailable",
            "provideClusterInfo": False,
            "installHint": "Install the AWS CLI, and log in with an identity that has an access entry in the cluster.",
        }
