"""Durations as people type them."""

from __future__ import annotations

import re

from atoll.errors import BadInput

_PART = re.compile(r"(\d+)(h|m|s)")
_SECONDS = {"h": 3600, "m": 60, "s": 1}


def parse_seconds(text: str) -> float:
    """Read `90s`, `15m`, `1h30m` or a bare number of seconds; raises BadInput."""
    if text.isdigit():
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BadInput(f"`{text}` is not a duration; write it like 90s, 15m or 1h30m")
    return float(sum(int(number) * _SECONDS[unit] for number, unit in parts))
