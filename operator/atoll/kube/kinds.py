"""The kinds that we touch, as a static table: discovery would cost 24 requests on a common server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from atoll.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of object and where an API server keeps it."""

    group: str
    """Empty for the core group."""
    version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """Return what stands in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def is_builtin(self) -> bool:
        """Say whether the server itself defines this kind: it drops empty fields, custom resources keep them."""
        return self.group in _BUILTIN_GROUPS or (
            self.group.endswith(".k8s.io") and self.group not in _CUSTOM_K8S_GROUPS
        )


_CUSTOM_K8S_GROUPS: Final = frozenset({"multicluster.x-k8s.io", "about.k8s.io", "cluster.x-k8s.io"})
_BUILTIN_GROUPS: Final = frozenset({"", "apps", "autoscaling", "batch", "policy"})


def _kind(api_version: str, kind: str, plural: str, *, namespaced: bool = True) -> Kind:
    group, _, version = api_version.rpartition("/")
    return Kind(group=group, version=version, kind=kind, plural=plural, namespaced=namespaced)


_ATOLL = "atoll.dev/v1alpha1"
CLUSTER_SET: Final = _kind(_ATOLL, "ClusterSet", "clustersets")
CHILD_CLUSTER: Final = _kind(_ATOLL, "ChildCluster", "childclusters")
HOST_POOL: Final = _kind(_ATOLL, "HostPool", "hostpools")
HOST: Final = _kind(_ATOLL, "Host", "hosts")
ENVIRONMENT: Final = _kind(_ATOLL, "Environment", "environments")
TENANT: Final = _kind(_ATOLL, "Tenant", "tenants")
REGIME: Final = _kind(_ATOLL, "Regime", "regimes")
ROLLOUT: Final = _kind(_ATOLL, "Rollout", "rollouts")
APPROVAL: Final = _kind(_ATOLL, "Approval", "approvals")
ATOLL_KINDS: Final = (
    CLUSTER_SET,
    CHILD_CLUSTER,
    HOST_POOL,
    HOST,
    ENVIRONMENT,
    TENANT,
    REGIME,
    ROLLOUT,
    APPROVAL,
)
"""Our own nine kinds."""

NAMESPACE: Final = _kind("v1", "Namespace", "namespaces", namespaced=False)
NODE: Final = _kind("v1", "Node", "nodes", namespaced=False)
POD: Final = _kind("v1", "Pod", "pods")
SECRET: Final = _kind("v1", "Secret", "secrets")
CONFIG_MAP: Final = _kind("v1", "ConfigMap", "configmaps")
SERVICE: Final = _kind("v1", "Service", "services")
SERVICE_ACCOUNT: Final = _kind("v1", "ServiceAccount", "serviceaccounts")
RESOURCE_QUOTA: Final = _kind("v1", "ResourceQuota", "resourcequotas")
LIMIT_RANGE: Final = _kind("v1", "LimitRange", "limitranges")
PERSISTENT_VOLUME_CLAIM: Final = _kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
EVENT: Final = _kind("events.k8s.io/v1", "Event", "events")
LEASE: Final = _kind("coordination.k8s.io/v1", "Lease", "leases")
DEPLOYMENT: Final = _kind("apps/v1", "Deployment", "deployments")
DAEMON_SET: Final = _kind("apps/v1", "DaemonSet", "daemonsets")
JOB: Final = _kind("batch/v1", "Job", "jobs")
NETWORK_POLICY: Final = _kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")

_RBAC = "rbac.authorization.k8s.io/v1"
ROLE: Final = _kind(_RBAC, "Role", "roles")
ROLE_BINDING: Final = _kind(_RBAC, "RoleBinding", "rolebindings")
CLUSTER_ROLE: Final = _kind(_RBAC, "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDING: Final = _kind(_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False)

_ADMISSION = "admissionregistration.k8s.io/v1"
VALIDATING_POLICY: Final = _kind(
    _ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False
)
VALIDATING_POLICY_BINDING: Final = _kind(
    _ADMISSION, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", namespaced=False
)
MUTATING_POLICY: Final = _kind(_ADMISSION, "MutatingAdmissionPolicy", "mutatingadmissionpolicies", namespaced=False)
MUTATING_POLICY_BINDING: Final = _kind(
    _ADMISSION, "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", namespaced=False
)
VALIDATING_WEBHOOKS: Final = _kind(
    _ADMISSION, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", namespaced=False
)
MUTATING_WEBHOOKS: Final = _kind(
    _ADMISSION, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", namespaced=False
)
API_SERVICE: Final = _kind("apiregistration.k8s.io/v1", "APIService", "apiservices", namespaced=False)
ENDPOINT_SLICE: Final = _kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
CUSTOM_RESOURCE_DEFINITION: Final = _kind(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
CLUSTER_PROFILE: Final = _kind("multicluster.x-k8s.io/v1alpha1", "ClusterProfile", "clusterprofiles")
CLUSTER_PROPERTY: Final = _kind("about.k8s.io/v1beta1", "ClusterProperty", "clusterproperties", namespaced=False)

KINDS: Final[Mapping[tuple[str, str], Kind]] = MappingProxyType(
    {
        (kind.api_version, kind.kind): kind
        for kind in (
            *ATOLL_KINDS,
            NAMESPACE,
            NODE,
            POD,
            SECRET,
            CONFIG_MAP,
            SERVICE,
            SERVICE_ACCOUNT,
            RESOURCE_QUOTA,
            LIMIT_RANGE,
            PERSISTENT_VOLUME_CLAIM,
            EVENT,
            LEASE,
            DEPLOYMENT,
            DAEMON_SET,
            JOB,
            NETWORK_POLICY,
            ROLE,
            ROLE_BINDING,
            CLUSTER_ROLE,
            CLUSTER_ROLE_BINDING,
            VALIDATING_POLICY,
            VALIDATING_POLICY_BINDING,
            MUTATING_POLICY,
            MUTATING_POLICY_BINDING,
            VALIDATING_WEBHOOKS,
            MUTATING_WEBHOOKS,
            API_SERVICE,
            ENDPOINT_SLICE,
            CUSTOM_RESOURCE_DEFINITION,
            CLUSTER_PROFILE,
            CLUSTER_PROPERTY,
        )
    }
)
"""Every kind that we touch, by (apiVersion, kind)."""


def kind_of(body: Mapping[str, Any]) -> Kind:
    """Return the kind of an object; raises BadInput for one that is not in the table."""
    key = (str(body.get("apiVersion", "")), str(body.get("kind", "")))
    try:
        return KINDS[key]
    except KeyError:
        raise BadInput(
            f"apiVersion `{key[0]}` with kind `{key[1]}` is no kind that Atoll handles; check the spelling of both",
            field="apiVersion",
        ) from None


def url_path(kind: Kind, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
    """Return the URL path of an object, or of a collection when there is no name (no namespace: all of them)."""
    parts = [f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"]
    if kind.namespaced and namespace:
        parts += ["namespaces", _segment(namespace)]
    elif kind.namespaced and name:
        raise BadInput(f"{kind.kind} `{name}` needs a namespace", field="metadata.namespace")
    parts.append(kind.plural)
    if name:
        parts.append(_segment(name))
    if subresource:
        parts.append(_segment(subresource))
    return "/".join(parts)


def _segment(text: str) -> str:
    """Refuse what the API server refuses in names, so that no name can lead to another path."""
    if text in {".", ".."} or "/" in text or "%" in text or not text.isprintable():
        raise BadInput(f"`{text!r}` cannot be a name of a Kubernetes object", field="metadata.name")
    return quote(text, safe=":@-._~")
