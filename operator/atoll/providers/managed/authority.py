"""The authority of an API in a file, for SDKs that read it from there alone."""

from __future__ import annotations

import tempfile
from typing import Any


def keep_authority(pem: str) -> Any:
    """Return an open file with a PEM under `name`, which is gone when it is closed or forgotten; None without a PEM."""
    if not pem:
        return None
    kept = tempfile.NamedTemporaryFile("w", prefix="atoll-authority-", suffix=".pem")  # noqa: SIM115 - its owner closes it
    kept.write(pem)
    kept.flush()
    return kept
