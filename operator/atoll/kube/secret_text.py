"""Text in a Secret as the API shows it. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any


def read_text(secret: Mapping[str, Any] | None, key: str) -> str:
    """Return the text under a key (secret); empty where there is no such Secret or key, or no text in base64."""
    encoded = ((secret or {}).get("data") or {}).get(key)
    try:
        return base64.b64decode(encoded, validate=True).decode() if isinstance(encoded, str) else ""
    except ValueError:
        return ""
