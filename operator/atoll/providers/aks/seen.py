"""What one look at a managed cluster of Azure has found. Pure.

Bodies are kept as Azure returned them, fields that this Atoll has never heard of included: a PUT replaces all, so a
change has to begin with what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from atoll.fleet.values import Version

SETTLED: Final = frozenset({"Succeeded", "Failed", "Canceled"})
"""Provisioning states in which nothing is under way; Azure adds others as it likes."""
GIVEN_UP: Final = frozenset({"Failed", "Canceled"})
DELETING: Final = "Deleting"
CREATING: Final = "Creating"
NONE_SAID: Final = "Azure does not say why"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPool:
    """One agent pool."""

    name: str
    body: Mapping[str, Any]
    """Its profile as Azure returned it, without the name."""
    state: str
    version: str
    """What its nodes run: `1.36.4`."""
    etag: str = ""
    error: str = ""
    """Why its latest operation failed, in Azure's words."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags of its machines."""
        return dict(self.body.get("tags") or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCluster:
    """One managed cluster."""

    name: str
    body: Mapping[str, Any]
    state: str
    version: str
    """What its control plane runs: `1.36.4`; empty while there is none."""
    etag: str = ""
    error: str = ""
    """Why its latest operation failed, in Azure's words."""
    pools: tuple[SeenPool, ...] = ()
    server: str = ""
    authority: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def properties(self) -> Mapping[str, Any]:
        """What Azure calls so."""
        return dict(self.body.get("properties") or {})

    @property
    def is_busy(self) -> bool:
        """Whether Azure is at work on it or on one of its pools."""
        return bool(self.busy_with)

    @property
    def busy_with(self) -> str:
        """What Azure is at work on, in words; empty: nothing."""
        if self.state not in SETTLED:
            return f"the cluster is {self.state or 'in no state yet'}"
        for pool in self.pools:
            if pool.state not in SETTLED:
                return f"agent pool {pool.name} is {pool.state or 'in no state yet'}"
        return ""

    @property
    def is_stopped(self) -> bool:
        """Whether somebody has stopped the cluster."""
        return str(read_path(self.properties, "powerState", "code") or "") == "Stopped"


def parse_cluster(body: Mapping[str, Any], *, server: str = "", authority: str = "") -> SeenCluster:
    """Read what Azure returned; `server` and `authority` come from the kubeconfig that it gives to users."""
    properties = body.get("properties") or {}
    return SeenCluster(
        name=str(body.get("name") or ""),
        body=body,
        state=str(properties.get("provisioningState") or ""),
        version=str(properties.get("currentKubernetesVersion") or ""),
        etag=str(body.get("eTag") or ""),
        error=_read_error(properties),
        pools=tuple(_parse_pool(profile) for profile in properties.get("agentPoolProfiles") or ()),
        server=server,
        authority=authority,
        tags=dict(body.get("tags") or {}),
    )


def parse_number(text: str) -> Version | None:
    """Read a version as Azure writes it; None where it is none."""
    try:
        return Version.parse(text) if text else None
    except ValueError:
        return None


def read_path(body: Mapping[str, Any], *path: str) -> Any:
    """Return what stands under a path; None where nothing does."""
    here: Any = body
    for name in path:
        here = here.get(name) if isinstance(here, Mapping) else None
    return here


def _parse_pool(profile: Mapping[str, Any]) -> SeenPool:
    return SeenPool(
        name=str(profile.get("name") or ""),
        body={key: value for key, value in profile.items() if key != "name"},
        state=str(profile.get("provisioningState") or ""),
        version=str(profile.get("currentOrchestratorVersion") or profile.get("orchestratorVersion") or ""),
        etag=str(profile.get("eTag") or ""),
        error=_read_error(profile),
    )


def _read_error(properties: Mapping[str, Any]) -> str:
    """Return code and words of what failed, the innermost details too, where Azure names what is in the way."""
    return " ".join(_tell(read_path(properties, "status", "provisioningError")))


def _tell(error: Any) -> list[str]:
    if not isinstance(error, Mapping):
        return []
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    own = f"{code}: {message}" if code and message else code or message
    parts = [own] if own else []
    for detail in error.get("details") or ():
        parts += [part for part in _tell(detail) if part not in parts]
    return parts
