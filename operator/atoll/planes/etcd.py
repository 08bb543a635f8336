"""Questions to etcd, its snapshots and their way back."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from atoll.errors import Unreachable

from . import pki
from .commands import etcd_url, member_flags
from .effects import Effects
from .layout import Layout
from .probe import Connection, build_tls_context
from .values import Ports, Snapshot

REVISION_BUMP: Final = 1_000_000_000
"""A restore jumps so far ahead that no client can have seen a newer revision; caches then start anew."""

NAMED_WRITES: Final = 5
_PREFIX: Final = b"/registry/"
_PREFIX_END: Final = b"/registry0"
_BACKGROUND: Final = ("leases", "events", "masterleases", "peerserverleases", "ranges")
"""Written by the plane itself all the time; nobody misses them."""


class Etcd:
    """One plane's etcd, asked over its HTTP gateway as the API server."""

    def __init__(self, layout: Layout, ports: Ports) -> None:
        self._port = ports.etcd
        self._layout = layout

    def connect(self) -> Connection:
        """Open a connection with the API server's identity."""
        layout = self._layout
        context = build_tls_context(layout.authority(pki.ETCD_AUTHORITY), layout.identity(pki.API_SERVER_TO_ETCD))
        return Connection(self._port, context)

    async def require_healthy(self) -> None:
        """Raise Unreachable unless etcd says that it can serve reads and writes."""
        async with self.connect() as connection:
            answer = await connection.ask("/health")
        if not answer.ok or answer.json().get("health") != "true":
            raise Unreachable(f"etcd on 127.0.0.1:{self._port} is not healthy: {answer.body.decode()[:200]}", delay=1.0)

    async def read_revision(self) -> int:
        """Return the current revision."""
        answer = await self._post("/v3/maintenance/status", {})
        return int(answer["header"]["revision"])

    async def read_changed_keys(self, since: int) -> tuple[str, ...]:
        """List the keys written after revision `since`, newest first, without those that the plane writes by itself."""
        body = {
            "key": base64.b64encode(_PREFIX).decode(),
            "range_end": base64.b64encode(_PREFIX_END).decode(),
            "min_mod_revision": str(since + 1),
            "keys_only": True,
            "sort_target": "MOD",
            "sort_order": "DESCEND",
            "limit": "1000",
        }
        answer = await self._post("/v3/kv/range", body)
        keys = (base64.b64decode(entry["key"]).decode(errors="replace") for entry in answer.get("kvs", ()))
        named = (key.removeprefix(_PREFIX.decode()) for key in keys)
        return tuple(key for key in named if not is_background(key))

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self.connect() as connection:
            answer = await connection.ask(path, method="POST", body=body)
        if not answer.ok:
            raise Unreachable(f"etcd on 127.0.0.1:{self._port} answered {answer.status} to {path}", delay=1.0)
        return answer.json()


def is_background(key: str) -> bool:
    """Tell whether a key belongs to what a plane writes by itself."""
    kind, *names = key.split("/")
    return kind in _BACKGROUND or any(name.startswith("system:") for name in names)


def describe_loss(snapshot: Snapshot, revision: int, changed: Sequence[str]) -> str:
    """Say which writes a revert to `snapshot` loses."""
    taken = snapshot.taken_time.strftime("%Y-%m-%dT%H:%M:%SZ")
    writes = max(0, revision - snapshot.revision)
    text = f"lost: {writes} writes since the snapshot of {taken}"
    if changed:
        more = f" and {len(changed) - NAMED_WRITES} more" if len(changed) > NAMED_WRITES else ""
        text += f", among them to {', '.join(changed[:NAMED_WRITES])}{more}"
    return text + "; deletions since then are undone"


async def take_snapshot(
    layout: Layout, ports: Ports, effects: Effects, *, ctl: Path, utl: Path, operation_id: str, version: str
) -> Snapshot:
    """Save etcd's data under the operation's id and verify it; a complete one of the same id is used as it is."""
    final = layout.snapshot(operation_id)
    if not final.exists():
        part = final.with_suffix(".part")
        effects.make_folder(layout.snapshots)
        effects.remove_tree(part)
        await effects.run(
            (
                str(ctl),
                "snapshot",
                "save",
                str(part),
                f"--endpoints={etcd_url(ports.etcd)}",
                f"--cacert={layout.authority(pki.ETCD_AUTHORITY)}",
                f"--cert={layout.identity(pki.API_SERVER_TO_ETCD)}",
                f"--key={layout.identity(pki.API_SERVER_TO_ETCD)}",
            )
        )
        await read_snapshot_status(effects, utl, part)
        effects.rename(part, final)
    status = await read_snapshot_status(effects, utl, final)
    return Snapshot(
        id=operation_id,
        version=version,
        taken_time=datetime.fromtimestamp(final.stat().st_mtime, UTC),
        revision=int(status["revision"]),
        total_keys=int(status["totalKey"]),
    )


async def read_snapshot_status(effects: Effects, utl: Path, path: Path) -> dict[str, Any]:
    """Let etcdutl read a snapshot; ProcessFailed when it is damaged."""
    output = await effects.run((str(utl), "snapshot", "status", str(path), "-w", "json"))
    status: dict[str, Any] = json.loads(output)
    return status


async def restore_snapshot(
    layout: Layout, ports: Ports, effects: Effects, *, utl: Path, snapshot_id: str, target: Path
) -> None:
    """Unpack a snapshot into `target`, complete or not at all."""
    part = target.with_suffix(".part")
    effects.remove_tree(part)
    await effects.run(
        (
            str(utl),
            "snapshot",
            "restore",
            str(layout.snapshot(snapshot_id)),
            f"--data-dir={part}",
            f"--bump-revision={REVISION_BUMP}",
            "--mark-compacted",
            *member_flags(layout, ports),
        )
    )
    effects.rename(part, target)
