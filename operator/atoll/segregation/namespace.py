"""The namespace of a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from atoll.fleet.decisions import Placement
from atoll.fleet.names import PROTECTED_ANNOTATION

from .metadata import build_metadata

_POD_SECURITY: Final = "pod-security.kubernetes.io/enforce"
_OWN_DOMAINS: Final = ("kubernetes.io", "k8s.io", "atoll.dev")
DEFAULT_POD_SECURITY: Final = "baseline"


def build_namespace(placement: Placement, labels: Mapping[str, str], pod_security: str) -> dict[str, Any]:
    """Build the namespace; `labels` are compiled governance labels.

    Labels under our own prefixes are protected by them, the copied ones by being listed in the annotation.
    """
    level = pod_security or DEFAULT_POD_SECURITY
    copied = sorted(key for key in labels if not _is_own(key))
    metadata = build_metadata(
        placement.namespace,
        tenant=placement.tenant,
        environment=placement.environment,
        labels={**labels, _POD_SECURITY: level},
    )
    metadata["annotations"] = {PROTECTED_ANNOTATION: ",".join(copied)}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _is_own(key: str) -> bool:
    prefix, slash, _ = key.rpartition("/")
    return bool(slash) and any(prefix == domain or prefix.endswith(f".{domain}") for domain in _OWN_DOMAINS)
