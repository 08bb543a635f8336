"""Questions and answers for the tests of this folder."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from atoll.fleet.gates import GateKey, MetricQuestion

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EPOCH = NOW.timestamp()
KEY = GateKey("uid-1", "canary", "slo")


def ask(
    query: str = "slo:errors:ratio5m",
    *,
    most: str = "0.01",
    interval: int = 30,
    secret_name: str = "",
    url: str = "http://127.0.0.1:9090",
) -> MetricQuestion:
    """Build a question."""
    return MetricQuestion(key=KEY, url=url, query=query, max=most, interval_seconds=interval, secret_name=secret_name)


def answer(result: object, kind: str = "vector", **more: Any) -> bytes:
    """Build the body of a successful answer."""
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}, **more}).encode()


def one(value: object, *, time: object = EPOCH) -> bytes:
    """Build an answer of one series."""
    return answer([{"metric": {"job": "web"}, "value": [time, value]}])


def complaint(kind: str, words: str) -> bytes:
    """Build the body of an answer that says what is wrong."""
    return json.dumps({"status": "error", "errorType": kind, "error": words}).encode()
