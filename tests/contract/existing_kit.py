"""Provider `existing`, where a real plane plays the cluster that somebody else runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from atoll.fleet.known import EXISTING
from atoll.kube.member import MemberClient
from atoll.planes.planes import Planes
from atoll.planes.values import PlaneSpec, Role
from atoll.ports import ClusterRef, Operation, OperationType, Provider, WantedCluster
from atoll.providers.existing.provider import ExistingProvider
from atoll.providers.existing.surroundings import Source
from atoll.shell.context import SystemClock
from tests.support.binaries import Assets

from .provider_kit import build_wanted

_NOTHING_MADE: Final = "it makes no clusters and works on none, so nothing of it can be half done"
CANNOT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "test_a_life_from_create_over_change_revert_and_repair_to_delete": (
            "it makes, changes, repairs and destroys nothing: test_existing_contract.py has the life of such a cluster"
        ),
        "test_an_unknown_version_is_found_before_anything_moves": (
            "any version may be asked for, because its owner is who moves: test_existing_contract.py has the wait"
        ),
        "test_two_clusters_are_made_at_once_and_one_of_them_is_told_how_people_log_in": (
            "its owner tells the API server whom to trust: a ClusterSet that asks for it is refused"
        ),
        "test_a_new_provider_sees_the_same_and_resumes_what_was_cut_short": (
            f"{_NOTHING_MADE}: test_existing_contract.py has what a new provider sees"
        ),
        "test_a_drill_leaves_the_cluster_untouched_and_so_does_one_that_was_cut_short": (
            "it has no backups of what somebody else runs: a schedule or hop that asks for drills is refused"
        ),
        "test_a_change_that_drills_first_is_a_change_like_any_other": "it drills nothing, see above",
    }
)
"""Tests of the suite that need a provider which makes clusters, and why this one cannot be put through them."""


class Members:
    """What a management plane would know: which cluster has which kubeconfig and identity."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.uids: dict[str, str] = {}

    def pinned(self, ref: ClusterRef) -> str | None:
        return self.uids.get(ref.id, "") if ref.id in self.texts else None

    async def kubeconfig(self, ref: ClusterRef) -> Source:
        return Source(text=self.texts[ref.id], where="Secret x")


class ExistingKit:
    """A world of which the provider sees kubeconfigs alone."""

    limit_seconds = 120.0
    poll_seconds = 0.05
    old, new = "v1.35.8", "v1.36.4"
    info = EXISTING
    endpoint = "https://127.0.0.1:"
    parts = 0
    shows_certificates = True
    hurt_word = ""
    unknown = ""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.members = Members()

    def planes(self) -> Planes:
        return Planes(self.home, Assets(), clock=SystemClock())

    def provider(self) -> Provider:
        return ExistingProvider(self.members, MemberClient)

    def wanted(self, version: str, cluster_id: str) -> WantedCluster:
        return build_wanted(version, cluster_id)

    async def own(self, cluster_id: str, version: str, kind: OperationType = OperationType.CREATE) -> None:
        """Do, as the cluster's owner, what no provider of ours does, and hand out its kubeconfig."""
        spec = PlaneSpec(
            id=cluster_id, name="theirs", version=version, pod_cidr="10.1.0.0/16", service_cidr="10.2.0.0/20"
        )
        todo = Operation(id=f"own-{kind.lower()}-{version}", type=kind, to_version=version)
        await self.planes().run_operation(cluster_id, spec, todo)
        self.members.texts[cluster_id] = self.planes().kubeconfig(cluster_id)

    async def cut_short(self, provider: Provider, wanted: WantedCluster, operation: Operation) -> None:
        raise AssertionError(_NOTHING_MADE)

    async def hurt(self, cluster_id: str) -> None:
        for process in self.planes().processes(cluster_id):
            if process.role is Role.API_SERVER:
                os.kill(process.pid, signal.SIGKILL)

    def begun(self, cluster_id: str) -> tuple[object, ...]:
        return tuple(sorted(process.pid for process in self.planes().processes(cluster_id)))

    def standing(self, cluster_id: str) -> tuple[object, ...]:
        return self.begun(cluster_id)

    async def clean(self) -> None:
        for path in (self.home / "planes").glob("[a-z]*"):
            await self.planes().remove(path.name)
