"""Text from a host, made fit to be shown.

What a host prints ends up in statuses, events and terminals. Escape sequences could move a reader's cursor, change the
window's title or hide a line; direction marks could show a sentence backwards.
"""

from __future__ import annotations

import re
from typing import Final

_ESCAPES: Final = re.compile(
    r"\x1b\][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # operating-system commands: titles, links, clipboards
    r"|\x1b[PX^_][^\x1b\x9c\n]*(?:\x1b\\|\x9c)?"  # strings for devices and applications
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # cursor, colour, modes
    r"|\x1b[ -/]*[0-~]?"  # all other escapes
)
_RETURNS: Final = re.compile(r"\r+\n?")
_CONTROLS: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def clean_text(text: str) -> str:
    """Return `text` without terminal escapes, control and direction characters; tabs and line ends stay."""
    return _CONTROLS.sub("", _RETURNS.sub("\n", _ESCAPES.sub("", text)))


def decode_text(data: bytes) -> str:
    """Return bytes from a host as clean text; what is no UTF-8 becomes the replacement character."""
    return clean_text(data.decode(errors="replace"))
