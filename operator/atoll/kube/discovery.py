"""In which versions a child serves a resource, in the order in which its server prefers them."""

from __future__ import annotations

import json
from typing import Any, Final

from atoll.errors import Unreachable

from .member import MemberClient

VERSIONS_LIMIT: Final = 8


async def read_versions(client: MemberClient, group: str, resource: str) -> tuple[str, ...]:
    """List where a resource is served, the preferred version first; empty for the core group, which has one version.

    Names come as they stand in URLs.
    """
    root = await _ask(client, f"/apis/{group}") if group else None
    if root is None:
        return ()
    listed = root.get("versions") or ()
    versions = [str(entry["version"]) for entry in listed]
    preferred = str((root.get("preferredVersion") or {}).get("version") or "")
    ordered = sorted(versions, key=lambda version: version != preferred)[:VERSIONS_LIMIT]
    found: list[str] = []
    for version in ordered:
        body = await _ask(client, f"/apis/{group}/{version}") or {}
        if any(entry.get("name") == resource for entry in body.get("resources") or ()):
            found.append(version)
    return tuple(found)


async def _ask(client: MemberClient, path: str) -> dict[str, Any] | None:
    status, text = await client.store.raw_get(path)
    if status == 404:
        return None
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if status != 200 or not isinstance(body, dict):
        raise Unreachable(f"GET {path} was answered {status}, and not with what it serves")
    return body
