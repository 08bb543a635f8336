"""Questions to etcd, its snapshots and their way back."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from atoll.errors import AtollError, ProcessFailed, Terminal, Unreachable

from . import pki
from .commands import etcd_url, member_flags
from .effects import Effects
from .layout import Layout
from .probe import Connection, build_tls_context
from .values import Ports, Snapshot

REVISION_BUMP: Final = 1_000_000_000
"""A restore jumps so far ahead that no client can have seen a newer revision; caches then start anew."""

SEAL_BYTES: Final = 32
PAGE_BYTES: Final = 512
"""A snapshot is whole pages, and behind them the SHA-256 of all that came before."""
READ_BYTES: Final = 1 << 20

NAMED_WRITES: Final = 5
_PREFIX: Final = b"/registry/"
_PREFIX_END: Final = b"/registry0"
_BACKGROUND: Final = ("leases", "events", "masterleases", "peerserverleases", "ranges")
"""Written by the plane itself all the time; nobody misses them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotStatus:
    """What etcdutl says of a snapshot."""

    hash: int
    revision: int
    total_keys: int
    size_bytes: int


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
    layout: Layout,
    ports: Ports,
    effects: Effects,
    *,
    ctl: Path,
    utl: Path,
    operation_id: str,
    version: str,
    target: Path | None = None,
) -> Snapshot:
    """Save etcd's data under the operation's id and verify it; a complete one of the same id is used as it is."""
    final = target or layout.snapshot(operation_id)
    if not final.exists():
        part = final.with_suffix(".part")
        with removing_damaged(effects, part):
            revision = await save_snapshot_file(layout, ports, effects, ctl=ctl, target=part)
            await verify_snapshot(effects, utl, part, revision=revision)
        effects.rename(part, final)
    return await read_snapshot(effects, utl, final, snapshot_id=operation_id, version=version)


async def save_snapshot_file(layout: Layout, ports: Ports, effects: Effects, *, ctl: Path, target: Path) -> int:
    """Let etcd write its data into `target`; return the revision that it had just before."""
    effects.make_folder(target.parent)
    effects.remove_tree(target)
    revision = await Etcd(layout, ports).read_revision()
    await effects.run(
        (
            str(ctl),
            "snapshot",
            "save",
            str(target),
            f"--endpoints={etcd_url(ports.etcd)}",
            f"--cacert={layout.authority(pki.ETCD_AUTHORITY)}",
            f"--cert={layout.identity(pki.API_SERVER_TO_ETCD)}",
            f"--key={layout.identity(pki.API_SERVER_TO_ETCD)}",
        )
    )
    return revision


async def read_snapshot(effects: Effects, utl: Path, path: Path, *, snapshot_id: str, version: str) -> Snapshot:
    """Verify a snapshot and say what it is; a damaged one is removed, so that nobody relies on it."""
    with removing_damaged(effects, path):
        status = await verify_snapshot(effects, utl, path)
    return Snapshot(
        id=snapshot_id,
        version=version,
        taken_time=read_time(path),
        revision=status.revision,
        total_keys=status.total_keys,
    )


def read_time(path: Path) -> datetime:
    """Return when a file was last written."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


@contextlib.contextmanager
def removing_damaged(effects: Effects, path: Path) -> Iterator[None]:
    """Remove a snapshot that turns out to be no good, and its folder when nothing else is in there."""
    try:
        yield
    except AtollError:
        effects.remove_tree(path)
        if path.parent.is_dir() and not any(path.parent.iterdir()):
            effects.remove_tree(path.parent)
        raise


async def verify_snapshot(effects: Effects, utl: Path, path: Path, *, revision: int = 0) -> SnapshotStatus:
    """Check a snapshot's seal, its pages and its figures; Terminal says what is wrong with it and what to do.

    `revision`: what etcd had before it was asked for the snapshot. An older one lacks what was written before.
    """
    # etcdutl looks at the structure alone; a bit that flipped within a value shows in the seal only.
    wrong = await asyncio.to_thread(check_seal, path)
    if wrong:
        raise damaged(path, wrong)
    try:
        output = await effects.run((str(utl), "snapshot", "status", str(path), "-w", "json"))
        status = parse_snapshot_status(output)
    except (ProcessFailed, ValueError) as error:
        raise damaged(path, f"etcdutl cannot read it: {error}") from error
    wrong = check_snapshot_status(status, revision)
    if wrong:
        raise damaged(path, wrong)
    return status


def check_seal(path: Path) -> str:
    """Say what is wrong with the bytes of a snapshot, as against those that etcd has sent; empty: nothing."""
    try:
        size = path.stat().st_size
        if size == 0:
            return "it is empty"
        if size % PAGE_BYTES != SEAL_BYTES:
            return f"its {size} bytes are no whole pages with a checksum behind them: it was cut off"
        digest, left = hashlib.sha256(), size - SEAL_BYTES
        with path.open("rb") as file:
            while left and (part := file.read(min(left, READ_BYTES))):
                digest.update(part)
                left -= len(part)
            sealed = file.read() == digest.digest()
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return "" if sealed else "its content does not match the checksum that etcd wrote behind it"


def parse_snapshot_status(output: bytes) -> SnapshotStatus:
    """Read what `etcdutl snapshot status` says; ValueError when it says something else."""
    try:
        body = json.loads(output)
        return SnapshotStatus(
            hash=int(body["hash"]),
            revision=int(body["revision"]),
            total_keys=int(body["totalKey"]),
            size_bytes=int(body["totalSize"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no status of a snapshot: {output[:200]!r}") from error


def check_snapshot_status(status: SnapshotStatus, revision: int) -> str:
    """Say what is wrong with the figures of a snapshot; empty: nothing."""
    for name, value in (("hash", status.hash), ("revision", status.revision), ("total keys", status.total_keys)):
        if value <= 0:
            return f"its {name} is {value}"
    if status.revision < revision:
        return f"it is of revision {status.revision}, and etcd had {revision} before it was taken"
    return ""


def damaged(path: Path, why: str) -> Terminal:
    """Say that a snapshot is no good, and what to do."""
    return Terminal(
        f"the snapshot {path.name} is damaged: {why}; the plane was left as it is: look for a full or failing disk "
        f"below {path.parent}, then try again"
    )


async def restore_snapshot(
    layout: Layout, ports: Ports, effects: Effects, *, utl: Path, source: Path, target: Path, ahead: bool = True
) -> None:
    """Unpack a snapshot into `target`, complete or not at all.

    `ahead`: the data shall serve clients that knew the plane before, and count on from a revision none of them saw.
    """
    part = target.with_suffix(".part")
    effects.remove_tree(part)
    await effects.run(
        (
            str(utl),
            "snapshot",
            "restore",
            str(source),
            f"--data-dir={part}",
            *((f"--bump-revision={REVISION_BUMP}", "--mark-compacted") if ahead else ()),
            *member_flags(layout, ports),
        )
    )
    effects.rename(part, target)
