"""Regimes compiled: which apply, which labels they make, and where they contradict each other. Pure."""

from .contradictions import find_contradictions
from .labels import compile_labels
from .regimes import attested_regimes, choose_pod_security, effective_regimes

__all__ = [
    "attested_regimes",
    "choose_pod_security",
    "compile_labels",
    "effective_regimes",
    "find_contradictions",
]
