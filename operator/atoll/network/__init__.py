"""Where the addresses of every cluster come from. Pure."""

from .plan import plan_addresses

__all__ = ["plan_addresses"]
