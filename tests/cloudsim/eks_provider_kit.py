"""The provider of EKS in front of the stand-in: what is declared, and operations watched to their end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from atoll.ports import (
    ClusterRef,
    ObservedCluster,
    Operation,
    OperationState,
    OperationType,
    Presence,
    WantedCluster,
)
from atoll.providers.eks.cloud import EksCloud
from atoll.providers.eks.errors import translate
from atoll.providers.eks.seen import SeenCluster
from atoll.providers.managed.provider import ManagedProvider, Pace
from atoll.providers.managed.surroundings import Declared
from atoll.shell.context import SystemClock

from .eks import ATOLL, REGION, EksStandIn
from .eks_kit import NODE_ROLE, ROLE

REF: Final = ClusterRef(fleet="shops", name="shops--berlin", id="c1")
NAME: Final = "atoll-c1"
PACE: Final = Pace(work=0.02, rest=0.05, settle=1.0, patience=20)
LIMIT_SECONDS: Final = 40.0
GROUP: Final[Mapping[str, Any]] = {
    "name": "small",
    "instanceTypes": ("m7g.large",),
    "minSize": 1,
    "maxSize": 3,
    "nodeRoleARN": NODE_ROLE,
}
SETTINGS: Final[Mapping[str, Any]] = {
    "region": REGION,
    "roleARN": ROLE,
    "subnetIDs": ("subnet-0a", "subnet-0b"),
    "nodeGroups": (GROUP,),
    "addons": ({"name": "vpc-cni"}, {"name": "coredns"}),
}
CREDENTIALS: Final = {"aws_access_key_id": ATOLL.access_key, "aws_secret_access_key": ATOLL.secret_key}

Provider = ManagedProvider[SeenCluster]


class World:
    """What is declared, for all clusters alike; and how often which call was made."""

    def __init__(self, cloud: EksStandIn | None, url: str = "") -> None:
        """`url`: another server than a stand-in."""
        self.url = cloud.url if cloud is not None else url
        self.settings: dict[str, Any] = dict(SETTINGS)
        self.labels: dict[str, str] = {"stage": "prod"}
        self.credentials: dict[str, str] = dict(CREDENTIALS)
        self.results: Counter[tuple[str, str]] = Counter()

    async def declared(self, ref: ClusterRef) -> Declared:
        return Declared(settings=self.settings, labels=self.labels, credentials=self.credentials, endpoint=self.url)

    def count(self, call: str, result: str) -> None:
        self.results[call, result] += 1

    def want(self, version: str = "v1.35", ref: ClusterRef = REF) -> WantedCluster:
        return WantedCluster(
            ref=ref,
            version=version,
            pod_cidr="",
            service_cidr="10.96.0.0/16",
            settings=self.settings,
            labels=self.labels,
        )


@asynccontextmanager
async def open_provider(world: World, pace: Pace = PACE) -> AsyncIterator[Provider]:
    """Run a provider; what it has begun goes on in the cloud when it ends."""
    provider = ManagedProvider(EksCloud(), world, translate, clock=SystemClock(), pace=pace, count=world.count)
    try:
        yield provider
    finally:
        await provider.close()


def todo(kind: OperationType, version: str = "v1.35", number: int = 1) -> Operation:
    """Return an operation."""
    return Operation(id=f"{kind.lower()}-{number}", type=kind, to_version=version)


async def finish(
    provider: Provider, want: WantedCluster, operation: Operation, limit_seconds: float = LIMIT_SECONDS
) -> ObservedCluster:
    """Start an operation and watch it to its end, good or bad."""
    await provider.start(want, operation)
    async with asyncio.timeout(limit_seconds):
        while True:
            seen = await provider.observe(want.ref)
            progress = seen.operation
            if progress is None:
                assert (operation.type, seen.presence) == (OperationType.DELETE, Presence.ABSENT)
                return seen
            assert progress.steps_done <= progress.steps_total
            if progress.state in {OperationState.SUCCEEDED, OperationState.FAILED}:
                return seen
            await asyncio.sleep(0.02)


async def succeed(
    provider: Provider, want: WantedCluster, operation: Operation, limit_seconds: float = LIMIT_SECONDS
) -> ObservedCluster:
    """Bring an operation to its good end."""
    seen = await finish(provider, want, operation, limit_seconds)
    progress = seen.operation
    assert progress is None or progress.state is OperationState.SUCCEEDED, progress
    assert progress is None or progress.steps_done == progress.steps_total
    return seen
