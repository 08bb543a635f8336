"""The namespace of a tenant."""

from __future__ import annotations

from typing import Any, Final

from atoll.fleet.decisions import Placement
from atoll.fleet.names import PLACEMENT_LABEL, PROTECTED_ANNOTATION, TENANT_UID

from .metadata import Labels, build_metadata

POD_SECURITY_PREFIX: Final = "pod-security.kubernetes.io/"
_OWN_DOMAINS: Final = ("kubernetes.io", "k8s.io", "atoll.dev")
DEFAULT_POD_SECURITY: Final = "baseline"


def build_namespace(placement: Placement, labels: Labels, pod_security: str, tenant_uid: str = "") -> dict[str, Any]:
    """Build the namespace; `labels` are compiled governance labels.

    Labels under our own prefixes are protected by them, the copied ones by being listed in the annotation. The Tenant's
    UID is left out where it is not known (offline).
    """
    level = pod_security or DEFAULT_POD_SECURITY
    copied = sorted(key for key in labels if not _is_own(key))
    metadata = build_metadata(
        placement.namespace,
        tenant=placement.tenant,
        environment=placement.environment,
        labels={
            **labels,
            f"{POD_SECURITY_PREFIX}enforce": level,
            # Said, because an old version set by somebody else would be laxer.
            f"{POD_SECURITY_PREFIX}enforce-version": "latest",
            PLACEMENT_LABEL: placement.mark,
        },
    )
    metadata["annotations"] = {PROTECTED_ANNOTATION: ",".join(copied)}
    if tenant_uid:
        metadata["annotations"][TENANT_UID] = tenant_uid
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _is_own(key: str) -> bool:
    prefix, slash, _ = key.rpartition("/")
    return bool(slash) and any(prefix == domain or prefix.endswith(f".{domain}") for domain in _OWN_DOMAINS)
