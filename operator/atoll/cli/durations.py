"""Durations as people type and read them."""

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


def describe_seconds(seconds: float) -> str:
    """Write a duration as people say it: `41 s`, `12 min`, `1 h 5 min`, `3 d 2 h`."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 10 and rest:
        return f"{minutes} min {rest} s"
    minutes = round(whole / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
