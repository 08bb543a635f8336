"""Who uses APIs that go: read from the audit log of a plane.

The API server marks each request to a deprecated API when it has been answered. The log is read newest first and no
further than a bound, so that a plane that logs much costs no more than one that logs little.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from atoll.fleet.names import SYSTEM_NAMESPACE

READ_LIMIT_BYTES: Final = 16 * 1024 * 1024
"""Half a second of reading; a settled plane writes 16 MiB in some hours."""
LINE_LIMIT_BYTES: Final = 64 * 1024
CALLERS_LIMIT: Final = 200
"""Whoever changes its user agent with each request fills no memory and no message."""
BELIEVED: Final = timedelta(days=1)
"""Older uses are no obstacle: the client has perhaps been mended since, and nothing else would ever show it."""
TEXT_LIMIT: Final = 120
_MARK: Final = b'"k8s.io/removed-release"'
_OWN_USERS: Final = ("system:serviceaccount:kube-system:", "system:node:")
_OWN_AGENTS: Final = ("kube-apiserver/", "kube-controller-manager/", "kube-scheduler/", "kubelet/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One client's use of one API that goes."""

    group: str
    """Empty for the core group."""
    version: str
    resource: str
    removed: str
    """Release that serves it no longer: `1.38`."""
    user: str
    agent: str
    namespace: str
    """Empty for requests that span all namespaces, and for cluster-wide resources."""
    tenant: str
    """Empty where neither namespace nor user is a tenant's."""
    environment: str
    time: datetime
    """When it was used last."""

    @property
    def is_own(self) -> bool:
        """Say whether a part of Kubernetes asked; it is changed together with the API server, so it is no obstacle.

        Seen on real planes: the namespace controller empties each namespace of every resource in its preferred
        version, which can be a deprecated one, and garbage and quota controllers watch them. Add-ons that run with
        accounts in kube-system are not meant: they bring agents of their own.
        """
        components = {"system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"}
        of_system = self.user in components or self.user.startswith(_OWN_USERS)
        return of_system and self.agent.startswith(_OWN_AGENTS)

    def describe(self) -> str:
        """Say who used it, and when."""
        whose = f"tenant {self.tenant}" + (f" ({self.environment})" if self.environment else "") + ", "
        where = f" in namespace {self.namespace}" if self.namespace else ""
        when = self.time.strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            f"{whose if self.tenant else ''}user {self.user or 'unknown'} with {self.agent or 'an unnamed client'}"
            f"{where}, last at {when}"
        )


def read_uses(log: Path, limit_bytes: int = READ_LIMIT_BYTES) -> tuple[Use, ...]:
    """Read who used what during the last day that the log tells of; empty when there is no log."""
    files = list_files(log)
    newest = next((found for found in map(_find_change_time, files) if found is not None), None)
    if newest is None:
        return ()
    return gather_uses(_read_lines(files, limit_bytes), since=newest - BELIEVED)


def list_files(log: Path) -> tuple[Path, ...]:
    """List an audit log and what was rotated away of it (`audit-2026-11-21T09-30-00.000.log`), newest first."""
    rotated = sorted(log.parent.glob(f"{log.stem}-*{log.suffix}"), reverse=True)
    return (log, *rotated)


def gather_uses(lines: Iterable[bytes], *, since: datetime) -> tuple[Use, ...]:
    """Keep the latest use of each API by each client, latest first; never raises for what the lines say."""
    found: dict[tuple[str, ...], Use] = {}
    for line in lines:
        use = parse_use(line)
        if use is None or use.time < since:
            continue
        key = (use.group, use.version, use.resource, use.removed, use.user, use.agent, use.namespace)
        known = found.get(key)
        if known is None and len(found) >= CALLERS_LIMIT:
            continue
        if known is None or known.time < use.time:
            found[key] = use
    ordered = sorted(found.values(), key=lambda use: (use.group, use.version, use.resource, use.user, use.agent))
    return tuple(sorted(ordered, key=lambda use: use.time, reverse=True))


def parse_use(line: bytes) -> Use | None:
    """Read one entry; None for one that is about no API that goes, or that makes no sense. Never raises."""
    if _MARK not in line or len(line) > LINE_LIMIT_BYTES:
        return None
    try:
        entry = json.loads(line)
        marks, target = entry["annotations"], entry["objectRef"]
        # A request in somebody else's name is theirs: it is they who must move.
        person = entry.get("impersonatedUser") or entry["user"]
        user = _clean(person["username"])
        namespace = _clean(target.get("namespace", ""))
        tenant, environment = find_tenant(user, namespace)
        return Use(
            group=_clean(target.get("apiGroup", "")),
            version=_clean(target["apiVersion"]),
            resource=_clean(target["resource"]),
            removed=_clean(marks["k8s.io/removed-release"]),
            user=user,
            agent=_clean(entry.get("userAgent", "")),
            namespace=namespace,
            tenant=tenant,
            environment=environment,
            time=datetime.fromisoformat(entry["stageTimestamp"]).astimezone(UTC),
        )
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def find_tenant(user: str, namespace: str) -> tuple[str, str]:
    """Tell tenant and environment by the names that Atoll gives: `<tenant>--<environment>`, or a tenant's account."""
    account = user.removeprefix("system:serviceaccount:") if user.startswith("system:serviceaccount:") else ""
    home, _, name = account.partition(":")
    for place in (namespace, home):
        tenant, found, environment = place.partition("--")
        if found and tenant:
            return tenant, environment.partition("--")[0]
    tenant, found, _ = name.partition("--")
    return (tenant, "") if home == SYSTEM_NAMESPACE and found else ("", "")


def _read_lines(files: Iterable[Path], limit_bytes: int) -> Iterator[bytes]:
    """Yield the marked lines of the newest bytes; what is rotated away meanwhile is not there."""
    left = limit_bytes
    for path in files:
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = max(0, size - left)
                file.seek(start)
                left -= size - start
                # What was appended since its size was asked is left for another time: the bound holds.
                text = file.read(size - start)
        except OSError:
            continue
        lines = text.split(b"\n")
        yield from (line for line in lines[1 if start else 0 :] if _MARK in line)
        if left <= 0:
            return


def _find_change_time(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


def _clean(text: Any) -> str:
    """Return foreign text as one printable line of bounded length; raises TypeError for anything else."""
    if not isinstance(text, str):
        raise TypeError("no text")
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: TEXT_LIMIT * 2]).split())
    return line if len(line) <= TEXT_LIMIT else f"{line[: TEXT_LIMIT - 1]}…"
