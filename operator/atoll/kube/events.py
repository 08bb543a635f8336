"""Events for people who look at an object: few, never repeated, never in the way."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from atoll.errors import AtollError

from .answers import clean_text
from .store import Store

REPORTING_CONTROLLER: Final = "atoll.dev/operator"
REPEAT_AFTER: Final = timedelta(minutes=10)
BURST: Final = 10
"""Events that one object may get at once."""
REFILL_SECONDS: Final = 60.0
"""One more event per object after each of these."""
NOTE_LIMIT: Final = 1000
"""The API server refuses notes above 1 KiB."""
MEMORY_LIMIT: Final = 10_000
"""How many events and objects are remembered; the oldest are forgotten first."""

_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")
EventType = Literal["Normal", "Warning"]
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: datetime


class EventRecorder:
    """Writes events, at most one of the same content in 10 minutes. A failure is logged and forgotten."""

    def __init__(self, store: Store, *, instance: str) -> None:
        """`instance` names this process, for example the host name."""
        self._store = store
        self._instance = instance[:128] or "atoll"
        self._seen: OrderedDict[tuple[str, str, str], datetime] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    async def record(
        self,
        regarding: Mapping[str, Any],
        *,
        reason: str,
        note: str,
        now: datetime,
        action: str = "Reconcile",
        type: EventType = "Normal",  # noqa: A002 - the API's own word
    ) -> bool:
        """Write an event about an object; say whether it was written. Never raises for a failing API server."""
        metadata = regarding.get("metadata") or {}
        about = str(
            metadata.get("uid") or f"{regarding.get('kind')}/{metadata.get('namespace')}/{metadata.get('name')}"
        )
        if not self._admit(about, reason, note, now):
            return False
        body = build_event(
            regarding, reason=reason, note=note, now=now, action=action, type=type, instance=self._instance
        )
        try:
            await self._store.create(body)
        except AtollError as error:
            _log.warning("event %s about %s was not written: %s", reason, metadata.get("name"), error)
            return False
        return True

    def _admit(self, about: str, reason: str, note: str, now: datetime) -> bool:
        content = (about, reason, note)
        last = self._seen.get(content)
        if last is not None and now - last < REPEAT_AFTER:
            return False
        bucket = self._buckets.setdefault(about, _Bucket(BURST, now))
        elapsed = max(0.0, (now - bucket.filled).total_seconds())
        bucket.tokens = min(BURST, bucket.tokens + elapsed / REFILL_SECONDS)
        bucket.filled = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        self._seen[content] = now
        self._seen.move_to_end(content)
        self._buckets.move_to_end(about)
        for memory in (self._seen, self._buckets):
            while len(memory) > MEMORY_LIMIT:
                memory.popitem(last=False)
        return True


def build_event(
    regarding: Mapping[str, Any],
    *,
    reason: str,
    note: str,
    now: datetime,
    action: str,
    type: EventType,  # noqa: A002 - the API's own word
    instance: str,
) -> dict[str, Any]:
    """Return an Event; events about cluster-scoped objects go to namespace default."""
    metadata = regarding.get("metadata") or {}
    name, namespace = str(metadata.get("name") or ""), str(metadata.get("namespace") or "")
    moment = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
    reference = {
        "apiVersion": regarding.get("apiVersion"),
        "kind": regarding.get("kind"),
        "name": name,
        "namespace": namespace,
        "uid": metadata.get("uid"),
        "resourceVersion": metadata.get("resourceVersion"),
    }
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        # The server adds a random tail: two events in one microsecond have two names.
        "metadata": {"generateName": f"{_NOT_IN_NAMES.sub('-', name)[:200]}-", "namespace": namespace or "default"},
        "regarding": {key: value for key, value in reference.items() if value},
        "reason": reason,
        "note": clean_text(note, NOTE_LIMIT // 2),
        "type": type,
        "action": action,
        "eventTime": moment,
        "reportingController": REPORTING_CONTROLLER,
        "reportingInstance": instance,
    }
