"""The provider block as it comes (camelCase, plain JSON) to Settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .values import Settings

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
