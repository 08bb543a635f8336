"""The namespace of a tenant."""

from __future__ import annotations

from typing import Any, Final

from atoll.fleet.decisions import Placement
from atoll.fleet.labels import protected_keys
from atoll.fleet.names import PLACEMENT_LABEL, PROTECTED_ANNOTATION, TENANT_UID

from .metadata import Labels, build_metadata

POD_SECURITY_PREFIX: Final = "pod-security.kubernetes.io/"
DEFAULT_POD_SECURITY: Final = "baseline"


def build_namespace(placement: Placement, labels: Labels, pod_security: str, tenant_uid: str = "") -> dict[str, Any]:
    """Build the namespace; `labels` are compiled governance labels.

    Labels under our own prefixes are protected by them, the copied ones by being listed in the annotation. The Tenant's
    UID is left out where it is not known (offline).
    """
    level = pod_security or DEFAULT_POD_SECURITY
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
    metadata["annotations"] = {PROTECTED_ANNOTATION: ",".join(protected_keys(labels))}
    if tenant_uid:
        metadata["annotations"][TENANT_UID] = tenant_uid
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
