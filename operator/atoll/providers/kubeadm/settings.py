"""The provider block as it comes (camelCase, plain JSON) to Settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .values import Settings


def parse_settings(block: Mapping[str, Any]) -> Settings:
    """Read the block; its types have been checked where people wrote it."""
    source = block.get("source") or {}
    network = block.get("podNetwork") or {}
    return Settings(
        worker_hosts=int(block.get("workerHosts") or 0),
        control_plane_endpoint=block.get("controlPlaneEndpoint") or "",
        bundle_path=source.get("bundlePath") or "",
        manifests=(network.get("manifestsRef") or {}).get("name", ""),
        config=(block.get("configRef") or {}).get("name", ""),
        ignored=tuple(entry["name"] for entry in block.get("ignorePreflightErrors") or ()),
    )
