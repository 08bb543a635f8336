"""What one step of an operation is planned from, and how its calls and waits are made. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from atoll.fleet.values import Version
from atoll.ports import Operation, OperationType, WantedCluster
from atoll.providers.managed.marks import OPERATION, build_marks, build_name
from atoll.providers.managed.moves import Call, Wait

from .seen import NONE_SAID, SeenCluster
from .settings import Pool, Settings, parse_place, parse_settings
from .tags import ATTEMPT, build_tags, merge_tags

PUT_CLUSTER: Final = "managed_clusters.begin_create_or_update"
PUT_TAGS: Final = "managed_clusters.begin_update_tags"
DELETE_CLUSTER: Final = "managed_clusters.begin_delete"
PUT_POOL: Final = "agent_pools.begin_create_or_update"
DELETE_POOL: Final = "agent_pools.begin_delete"
IF_MISSING: Final = "IfMissing"
IF_NOT_MODIFIED: Final = "IfNotModified"
MOST_ATTEMPTS: Final = 2
"""Azure now and then fails at what it does a moment later; twice is no accident."""
_HOPELESS: Final = ("quota", "authorization", "disallowedbypolicy", "notavailable", "notsupported", "invalid")
"""Words in Azure's codes for what no second attempt changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One operation, as far as it is the same at every look."""

    wanted: WantedCluster
    operation: Operation
    settings: Settings
    tags: Mapping[str, str]
    """Governance labels as tags."""

    @property
    def name(self) -> str:
        """Name of the cluster in Azure."""
        return build_name(self.wanted.ref)

    @property
    def version(self) -> Version:
        """The version that the cluster shall get."""
        return Version.parse(self.wanted.version)

    @property
    def moves_version(self) -> bool:
        """Whether it may change versions; a repair leaves them alone."""
        return self.operation.type is not OperationType.REPAIR

    @property
    def total(self) -> int:
        """How many steps it has: settings, control plane, each pool, what is too many, marks."""
        return len(self.settings.pools) + 4

    def marks(self, *, attempt: int = 1, finished: bool = False) -> dict[str, str]:
        """Return the marks of a cluster at a point of this operation."""
        marks = build_marks(self.wanted.ref, self.operation, total=self.total, finished=finished)
        return marks if attempt < 2 else {**marks, ATTEMPT: str(attempt)}

    def merged(self, seen: SeenCluster, *, attempt: int = 1, finished: bool = False) -> dict[str, str]:
        """Return all tags of a cluster at a point of this operation."""
        return merge_tags(seen.tags, self.tags, self.marks(attempt=attempt, finished=finished))

    def pool_marks(self, attempt: int) -> dict[str, str]:
        """Return the tags of a pool that say which operation sent it to Azure last, and how often."""
        return {OPERATION: self.operation.id, ATTEMPT: str(attempt)}

    def count_attempts(self, tags: Mapping[str, str]) -> int:
        """Say how often this operation has sent to Azure what carries these tags."""
        if tags.get(OPERATION) != self.operation.id:
            return 0
        told = tags.get(ATTEMPT, "1")
        return int(told) if told.isdigit() else 1

    def call(self, name: str, step: str, done: int, **arguments: Any) -> Call:
        """Return a call for this cluster."""
        place = {"resource_group_name": self.settings.place.group, "resource_name": self.name}
        return Call(name=name, arguments={**place, **arguments}, step=step, done=done, total=self.total)

    def wait(self, step: str, done: int, message: str = "") -> Wait:
        """Return a wait."""
        return Wait(step=step, done=done, total=self.total, message=message)


def build_work(wanted: WantedCluster, operation: Operation) -> Work:
    """Read what is wanted; raises BadInput. A deletion needs nothing but the place."""
    if operation.type is OperationType.DELETE:
        nothing = Settings(place=parse_place(wanted.settings), is_private=True, pools=())
        return Work(wanted=wanted, operation=operation, settings=nothing, tags={})
    return Work(
        wanted=wanted, operation=operation, settings=parse_settings(wanted.settings), tags=build_tags(wanted.labels)
    )


def match(etag: str) -> dict[str, str]:
    """Return the arguments that let a call happen only while nobody else has changed what was seen."""
    return {"etag": etag, "match": IF_NOT_MODIFIED}


def is_hopeless(error: str) -> bool:
    """Say whether Azure's words tell that a second attempt would end like the first."""
    code = error.partition(":")[0].lower()
    return any(word in code for word in _HOPELESS)


def tell_failure(what: str, error: str) -> str:
    """Say what failed and what to do."""
    return f"{what}: {error or NONE_SAID}. Mend what it names, then change or recreate the cluster: it is tried again"


def find_pool(pools: tuple[Pool, ...], name: str) -> Pool | None:
    """Return the wanted pool of a name."""
    return next((pool for pool in pools if pool.name == name), None)
