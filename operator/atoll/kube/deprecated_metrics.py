"""Which deprecated APIs were asked for, read from an API server's own metrics. Pure.

The family names no client. It tells what was asked for since that one API server started, a watch only once it has
ended; of several API servers behind one address only the one that answers tells.
"""

from __future__ import annotations

from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from .deprecated import DeprecatedApi, parse_labels

FAMILY: Final = "apiserver_requested_deprecated_apis"
USES_LIMIT: Final = 200
"""Kubernetes 1.36 knows 18 deprecated resources."""


def parse_uses(text: str) -> tuple[tuple[DeprecatedApi, ...], int]:
    """Read an API server's metrics: which deprecated APIs were asked for, in order, and how many lines made no sense.

    Never raises.
    """
    found: set[DeprecatedApi] = set()
    unreadable = 0
    # Two megabytes of other families would keep the library, and the event loop, busy for seconds.
    for line in (line for line in text.split("\n") if line.startswith(FAMILY)):
        try:
            samples = [sample for family in text_string_to_metric_families(line + "\n") for sample in family.samples]
        except (ValueError, LookupError, TypeError, AttributeError):
            unreadable += 1
            continue
        for sample in samples:
            if sample.name != FAMILY or sample.value == 0 or not sample.labels.get("removed_release"):
                continue
            api = parse_labels(sample.labels)
            if api is None:
                unreadable += 1
            else:
                found.add(api)
    ordered = sorted(found, key=lambda api: (api.removed, api.field))
    return tuple(ordered[:USES_LIMIT]), unreadable
