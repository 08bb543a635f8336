"""The provider block as it comes (camelCase, plain JSON) to Settings, and what we cannot do (yet)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from atoll.errors import Refused
from atoll.fleet.cluster import Finding

from .values import Settings

FIELD: Final = "spec.provider.kubeadm"
SOURCES: Final = ("bundlePath", "packages", "image")


def parse_settings(block: Mapping[str, Any]) -> Settings:
    """Read the block; its types have been checked where people wrote it."""
    source = block.get("source") or {}
    network = block.get("podNetwork") or {}
    return Settings(
        control_plane_hosts=int(block.get("controlPlaneHosts") or 1),
        worker_hosts=int(block.get("workerHosts") or 0),
        control_plane_endpoint=block.get("controlPlaneEndpoint") or "",
        source=next((name for name in SOURCES if source.get(name) is not None), ""),
        bundle_path=source.get("bundlePath") or "",
        manifests=(network.get("manifestsRef") or {}).get("name", ""),
        config=(block.get("configRef") or {}).get("name", ""),
        ignored=tuple(entry["name"] for entry in block.get("ignorePreflightErrors") or ()),
    )


def check_settings(settings: Settings) -> tuple[Finding, ...]:
    """Find what this version cannot do, and what it will not."""
    return (*_check_control_plane(settings), *_check_source(settings), *_check_ignored(settings))


def _check_control_plane(settings: Settings) -> tuple[Finding, ...]:
    if settings.control_plane_hosts == 1:
        return ()
    message = (
        f"{settings.control_plane_hosts} control-plane hosts come in a later version of Atoll: "
        "set controlPlaneHosts to 1"
    )
    return (_refuse(message, "controlPlaneHosts"),)


def _check_source(settings: Settings) -> tuple[Finding, ...]:
    if settings.source == "bundlePath":
        return ()
    what = "no source, and hosts whose image holds kubeadm" if not settings.source else f"source.{settings.source}"
    message = (
        f"the block names {what}: that comes in a later version of Atoll; put kubeadm, kubelet, kubectl and the images "
        "into a folder beside the operator and name it in source.bundlePath"
    )
    return (_refuse(message, "source"),)


def _check_ignored(settings: Settings) -> tuple[Finding, ...]:
    if not any(name.lower() == "all" for name in settings.ignored):
        return ()
    message = "`all` would ignore every check of kubeadm: name each check that may fail, with its reason"
    return (_refuse(message, "ignorePreflightErrors"),)


def _refuse(message: str, field: str) -> Finding:
    return Finding(reason=Refused.reason, message=message, field=f"{FIELD}.{field}")
