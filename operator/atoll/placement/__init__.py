"""Which tenant goes to which cluster: filter, then score, then pick; every refusal with its remedy. Pure."""

from .candidates import build_candidates
from .explain import explain
from .place import place
from .standing import parse_placements

__all__ = ["build_candidates", "explain", "parse_placements", "place"]
