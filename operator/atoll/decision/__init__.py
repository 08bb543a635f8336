"""The one decision about a fleet: rooms asked in order, statuses and steps composed. Pure."""

from .decide import Decision, decide

__all__ = ["Decision", "decide"]
