"""Regimes compiled: which apply, which labels they make, and where they contradict each other. Pure."""

from .labels import compile_labels, protected_keys
from .regimes import attested_regimes, choose_pod_security, effective_regimes

__all__ = ["attested_regimes", "choose_pod_security", "compile_labels", "effective_regimes", "protected_keys"]
