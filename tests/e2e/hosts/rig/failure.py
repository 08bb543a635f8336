"""What the rig raises."""

from __future__ import annotations


class RigFailure(Exception):
    """The rig could not do what it was asked; the message says what to do about it."""
