"""E14 to E17: the network border, quotas and limits, pod security, and what belongs to the whole cluster."""

from __future__ import annotations

from typing import Any, Final

from tests.e2e.tenancy.escapes import (
    ADMIN,
    DEVELOPER,
    OTHER,
    OTHERS,
    OWN,
    POD_SECURITY,
    POD_SECURITY_POLICY,
    POLICY,
    POLICY_QUOTA,
    QUOTA,
    RBAC_POLICY,
    SYSTEM,
    VAULT,
    VIEWER,
    Attempt,
    attempt,
    body,
    config_map,
    delete,
    deployment,
    get,
    patch,
    patch_labels,
    path,
    pod,
    post,
    put,
    service,
)
from tests.e2e.tenancy.escapes_client import APPLY, Json
from tests.e2e.tenancy.escapes_identity import signing_request

_OPEN: Final[Json] = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}
_ALLOW: Final = body("NetworkPolicy", "planted", group="networking", spec=_OPEN)
_DENY: Final = path(OWN, "networkpolicies", "atoll-default-deny", group="networking")
_ENDPOINTS: Final = body("Endpoints", "planted", subsets=[{"addresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 80}]}])

E14: Final = (
    attempt(
        "E14",
        "allow everybody in by a NetworkPolicy of its own",
        ADMIN,
        post(path(OWN, "networkpolicies", group="networking"), _ALLOW),
    ),
    attempt(
        "E14", "open another tenant's border", ADMIN, post(path(OTHERS, "networkpolicies", group="networking"), _ALLOW)
    ),
    attempt("E14", "delete what refuses by default", ADMIN, delete(_DENY), RBAC_POLICY),
    attempt("E14", "open what refuses by default", ADMIN, patch(_DENY, {"spec": _OPEN}), RBAC_POLICY),
    attempt(
        "E14",
        "let what refuses by default select nothing",
        DEVELOPER,
        patch(_DENY, {"spec": {"podSelector": {"matchLabels": {"none": "such"}}}}),
        RBAC_POLICY,
    ),
    attempt(
        "E14",
        "apply over what refuses by default in Atoll's name",
        ADMIN,
        patch(
            _DENY,
            body("NetworkPolicy", "atoll-default-deny", group="networking", spec=_OPEN),
            APPLY,
            fieldManager="atoll",
            force="true",
        ),
        RBAC_POLICY,
    ),
    attempt(
        "E14",
        "delete all NetworkPolicies at once",
        ADMIN,
        delete(path(OWN, "networkpolicies", group="networking")),
        RBAC_POLICY,
    ),
    attempt(
        "E14",
        "label its namespace like the one of another tenant",
        ADMIN,
        patch(path("", "namespaces", OWN), patch_labels({"atoll.dev/tenant": "shop-x"})),
        RBAC_POLICY,
    ),
    attempt(
        "E14",
        "label its namespace like kube-system, which the server itself would put right",
        ADMIN,
        patch(path("", "namespaces", OWN), patch_labels({"kubernetes.io/metadata.name": "kube-system"})),
    ),
    attempt("E14", "send traffic elsewhere by Endpoints", ADMIN, post(path(OWN, "endpoints"), _ENDPOINTS)),
    attempt(
        "E14",
        "send traffic elsewhere by an EndpointSlice",
        ADMIN,
        post(
            path(OWN, "endpointslices", group="discovery"),
            body(
                "EndpointSlice",
                "planted",
                group="discovery",
                addressType="IPv4",
                endpoints=[{"addresses": ["10.0.0.9"]}],
                ports=[],
            ),
        ),
    ),
    attempt(
        "E14",
        "give a node's address to a pod by its status",
        ADMIN,
        patch(path(OWN, "pods", "idle", "status"), {"status": {"podIP": "10.0.0.9"}}),
    ),
    attempt(
        "E14",
        "lead an ingress controller to another tenant by name",
        ADMIN,
        post(
            path(OWN, "services"),
            service(type="ExternalName", externalName=f"web.{OTHERS}.svc.cluster.local", selector=None),
        ),
        POLICY,
    ),
    attempt(
        "E14", "use the network of the node", ADMIN, post(path(OWN, "pods"), pod(hostNetwork=True)), POD_SECURITY_POLICY
    ),
)

_QUOTA: Final = path(OWN, "resourcequotas", "atoll")
_LIMITS: Final = path(OWN, "limitranges", "atoll")
_MORE: Final[Json] = {"spec": {"hard": {"requests.cpu": "1k", "services.nodeports": "9"}}}


def _needs(**amounts: str) -> Json:
    named = {key.replace("_", "-"): value for key, value in amounts.items()}
    return {"resources": {"requests": named, "limits": named}}


def _claim(size: str) -> Json:
    resources = {"requests": {"storage": size}}
    return body("PersistentVolumeClaim", "planted", spec={"accessModes": ["ReadWriteOnce"], "resources": resources})


_WEB: Final = path(OWN, "services", "web")
E15: Final = (
    attempt("E15", "raise its quota", ADMIN, patch(_QUOTA, _MORE), RBAC_POLICY),
    attempt(
        "E15",
        "apply over its quota in Atoll's name",
        ADMIN,
        patch(_QUOTA, body("ResourceQuota", "atoll", **_MORE), APPLY, fieldManager="atoll", force="true"),
        RBAC_POLICY,
    ),
    attempt(
        "E15",
        "replace its quota by one without bounds",
        ADMIN,
        put(_QUOTA, body("ResourceQuota", "atoll", spec={})),
        RBAC_POLICY,
    ),
    attempt("E15", "delete its quota", ADMIN, delete(_QUOTA), RBAC_POLICY),
    attempt(
        "E15", "delete all quotas of its namespace at once", DEVELOPER, delete(path(OWN, "resourcequotas")), RBAC_POLICY
    ),
    attempt(
        "E15",
        "say that nothing is used",
        ADMIN,
        patch(f"{_QUOTA}/status", {"status": {"used": {"pods": "0"}}}),
        RBAC_POLICY,
    ),
    attempt(
        "E15",
        "raise its limits",
        ADMIN,
        patch(_LIMITS, {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "99"}}]}}),
        RBAC_POLICY,
    ),
    attempt("E15", "delete its limits", ADMIN, delete(_LIMITS), RBAC_POLICY),
    attempt(
        "E15",
        "ask for more cpu than it has",
        ADMIN,
        post(path(OWN, "pods"), pod(container=_needs(cpu="2", memory="1Mi"))),
        QUOTA,
    ),
    attempt(
        "E15",
        "ask for more memory than it has",
        DEVELOPER,
        post(path(OWN, "pods"), pod(container=_needs(cpu="1m", memory="2Gi"))),
        QUOTA,
    ),
    attempt(
        "E15", "ask for storage that it has not", ADMIN, post(path(OWN, "persistentvolumeclaims"), _claim("1Mi")), QUOTA
    ),
    attempt("E15", "open a node port", ADMIN, post(path(OWN, "services"), service(type="NodePort")), POLICY_QUOTA),
    attempt(
        "E15",
        "open a node port of its choice as a developer",
        DEVELOPER,
        post(path(OWN, "services"), service(type="NodePort", ports=[{"port": 80, "nodePort": 30123}])),
        POLICY_QUOTA,
    ),
    attempt("E15", "turn a Service into a node port", ADMIN, patch(_WEB, {"spec": {"type": "NodePort"}}), POLICY_QUOTA),
    attempt(
        "E15", "have a load balancer", ADMIN, post(path(OWN, "services"), service(type="LoadBalancer")), POLICY_QUOTA
    ),
    attempt(
        "E15",
        "have a load balancer without node ports",
        ADMIN,
        post(path(OWN, "services"), service(type="LoadBalancer", allocateLoadBalancerNodePorts=False)),
        QUOTA,
    ),
    attempt(
        "E15",
        "turn a Service into a load balancer",
        DEVELOPER,
        patch(_WEB, {"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False}}),
        QUOTA,
    ),
    attempt(
        "E15",
        "take an address of somebody else",
        ADMIN,
        post(path(OWN, "services"), service(externalIPs=["10.0.0.1"])),
        POLICY,
    ),
    attempt(
        "E15",
        "take an address of somebody else with a Service that is there",
        DEVELOPER,
        patch(_WEB, {"spec": {"externalIPs": ["10.0.0.1"]}}),
        POLICY,
    ),
    attempt(
        "E15",
        "take an address by the status of a Service",
        ADMIN,
        patch(f"{_WEB}/status", {"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}}),
        control_status=(422,),
    ),
    attempt(
        "E15",
        "drive others out as critical to the cluster",
        ADMIN,
        post(path(OWN, "pods"), pod(priorityClassName="system-cluster-critical")),
        POLICY,
    ),
    attempt(
        "E15",
        "drive others out as critical to the node",
        DEVELOPER,
        post(path(OWN, "pods"), pod(priorityClassName="system-node-critical")),
        POLICY,
    ),
    attempt(
        "E15",
        "drive others out by a priority class of the cluster",
        ADMIN,
        post(path(OWN, "pods"), pod(priorityClassName="foreign")),
        POLICY,
    ),
    attempt(
        "E15",
        "make a priority class",
        ADMIN,
        post(
            path("", "priorityclasses", group="scheduling.k8s.io/v1"),
            body("PriorityClass", "planted", group="scheduling.k8s.io/v1", value=1000000),
        ),
    ),
    attempt("E15", "choose its node itself", ADMIN, post(path(OWN, "pods"), pod(nodeName="planted")), POLICY),
    attempt(
        "E15",
        "bind its pod to a node",
        ADMIN,
        post(
            path(OWN, "pods", "idle", "binding"),
            body("Binding", "idle", target={"apiVersion": "v1", "kind": "Node", "name": "planted"}),
        ),
        control_status=(404, 409),
    ),
)


def _secured(**context: Any) -> Json:
    return {"securityContext": context}


def _unsafe(name: str, made: Json, guards: Any = POD_SECURITY, who: str = ADMIN) -> Attempt:
    return attempt("E16", name, who, post(path(OWN, "pods"), made), guards)


def _strict(name: str, made: Json) -> Attempt:
    return attempt("E16", f"under the regime: {name}", VAULT, post(path("vault--far", "pods"), made), POD_SECURITY)


_LEVEL: Final = "pod-security.kubernetes.io/enforce"
_HOST_PATH: Final = [{"name": "host", "hostPath": {"path": "/"}}]
_SAFE: Final = pod(safe=True)["spec"]["containers"][0]["securityContext"]
E16: Final = (
    attempt(
        "E16",
        "lower the level of its namespace",
        ADMIN,
        patch(path("", "namespaces", OWN), patch_labels({_LEVEL: "privileged"})),
        RBAC_POLICY,
    ),
    attempt(
        "E16",
        "remove the level of its namespace",
        ADMIN,
        patch(path("", "namespaces", OWN), patch_labels({_LEVEL: None})),
        RBAC_POLICY,
    ),
    attempt(
        "E16",
        "remove the level by JSON patch",
        DEVELOPER,
        patch(
            path("", "namespaces", OWN),
            [{"op": "remove", "path": "/metadata/labels/pod-security.kubernetes.io~1enforce"}],
        ),
        RBAC_POLICY,
    ),
    attempt(
        "E16",
        "have its namespace checked by the rules of long ago",
        ADMIN,
        patch(path("", "namespaces", OWN), patch_labels({f"{_LEVEL}-version": "v1.0"})),
        RBAC_POLICY,
    ),
    attempt(
        "E16",
        "lower the level that a regime set",
        VAULT,
        patch(path("", "namespaces", "vault--far"), patch_labels({_LEVEL: "baseline"})),
        RBAC_POLICY,
    ),
    _unsafe("a privileged container", pod(container=_secured(privileged=True)), POD_SECURITY_POLICY),
    _unsafe(
        "a privileged container as a developer",
        pod(container=_secured(privileged=True)),
        guards=POD_SECURITY_POLICY,
        who=DEVELOPER,
    ),
    _unsafe(
        "a privileged container that runs first",
        pod(initContainers=[{"name": "first", "image": "registry.k8s.io/pause:3.10", **_secured(privileged=True)}]),
        POD_SECURITY_POLICY,
    ),
    _unsafe("the processes of the node", pod(hostPID=True), POD_SECURITY_POLICY),
    _unsafe("the shared memory of the node", pod(hostIPC=True), POD_SECURITY_POLICY),
    _unsafe("the files of the node", pod(volumes=_HOST_PATH), POD_SECURITY_POLICY),
    _unsafe(
        "a port of the node", pod(container={"ports": [{"containerPort": 80, "hostPort": 80}]}), POD_SECURITY_POLICY
    ),
    _unsafe("a capability", pod(container=_secured(capabilities={"add": ["SYS_ADMIN"]}))),
    _unsafe("a role of SELinux", pod(container=_secured(seLinuxOptions={"role": "sysadm_r"}))),
    _unsafe("a kernel setting", pod(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})),
    _unsafe("no filter of system calls", pod(securityContext={"seccompProfile": {"type": "Unconfined"}})),
    attempt(
        "E16",
        "a privileged container put into a running pod",
        DEVELOPER,
        patch(
            path(OWN, "pods", "idle", "ephemeralcontainers"),
            {
                "spec": {
                    "ephemeralContainers": [
                        {"name": "in", "image": "registry.k8s.io/pause:3.10", **_secured(privileged=True)}
                    ]
                }
            },
        ),
        POD_SECURITY_POLICY,
    ),
    _strict("run as anybody", pod()),
    _strict("gain rights", pod(container=_secured(**{**_SAFE, "allowPrivilegeEscalation": True}))),
    _strict("keep capabilities", pod(container=_secured(**{**_SAFE, "capabilities": {}}))),
    _strict("run as root", pod(container=_secured(**{**_SAFE, "runAsUser": 0}))),
    _strict("no filter of system calls", pod(container=_secured(**{**_SAFE, "seccompProfile": None}))),
)

_REGISTRATION: Final = "admissionregistration.k8s.io/v1"
_POLICY_KIND: Final = "validatingadmissionpolicies"
_POLICY_SPEC: Final[Json] = {
    "matchConstraints": {
        "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    },
    "validations": [{"expression": "true"}],
}
_HOOK: Final[Json] = {
    "name": "planted.example.com",
    "clientConfig": {"url": "https://planted.example.com/"},
    "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}],
    "admissionReviewVersions": ["v1"],
    "sideEffects": "None",
}
_CRD: Final = body(
    "CustomResourceDefinition",
    "plants.planted.example.com",
    group="apiextensions.k8s.io/v1",
    spec={
        "group": "planted.example.com",
        "names": {"kind": "Plant", "plural": "plants"},
        "scope": "Cluster",
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
)
E17: Final = (
    attempt("E17", "reach a node's kubelet", ADMIN, get(path("", "nodes", "planted", "proxy")), control_status=(404,)),
    attempt("E17", "list nodes", ADMIN, get(path("", "nodes"))),
    attempt("E17", "make a node", ADMIN, post(path("", "nodes"), body("Node", "planted"))),
    attempt(
        "E17",
        "make a volume of a node's folder",
        ADMIN,
        post(
            path("", "persistentvolumes"),
            body(
                "PersistentVolume",
                "planted",
                spec={"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/"}},
            ),
        ),
    ),
    attempt(
        "E17",
        "ask for a node's certificate",
        ADMIN,
        post(
            "/apis/certificates.k8s.io/v1/certificatesigningrequests",
            signing_request("planted", "system:node:planted", "system:nodes", "kube-apiserver-client-kubelet"),
        ),
    ),
    attempt(
        "E17",
        "approve a request for a certificate",
        ADMIN,
        patch(
            "/apis/certificates.k8s.io/v1/certificatesigningrequests/waiting/approval",
            {"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "Planted"}]}},
        ),
    ),
    attempt(
        "E17",
        "sign a certificate",
        ADMIN,
        patch(
            "/apis/certificates.k8s.io/v1/certificatesigningrequests/waiting/status",
            {"status": {"certificate": "cGxhbnRlZA=="}},
        ),
        control_status=(404, 422),
    ),
    attempt(
        "E17",
        "see all objects by a webhook",
        ADMIN,
        post(
            path("", "validatingwebhookconfigurations", group=_REGISTRATION),
            body("ValidatingWebhookConfiguration", "planted", group=_REGISTRATION, webhooks=[_HOOK]),
        ),
    ),
    attempt(
        "E17",
        "change all objects by a webhook",
        ADMIN,
        post(
            path("", "mutatingwebhookconfigurations", group=_REGISTRATION),
            body("MutatingWebhookConfiguration", "planted", group=_REGISTRATION, webhooks=[_HOOK]),
        ),
    ),
    attempt(
        "E17",
        "serve an API of the cluster",
        ADMIN,
        post(
            path("", "apiservices", group="apiregistration.k8s.io/v1"),
            body(
                "APIService",
                "v1.planted.example.com",
                group="apiregistration.k8s.io/v1",
                spec={
                    "group": "planted.example.com",
                    "version": "v1",
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                    "insecureSkipTLSVerify": True,
                    "service": {"namespace": OWN, "name": "web", "port": 443},
                },
            ),
        ),
    ),
    attempt(
        "E17",
        "add a kind to the cluster",
        ADMIN,
        post(path("", "customresourcedefinitions", group="apiextensions.k8s.io/v1"), _CRD),
    ),
    attempt(
        "E17",
        "make an admission policy",
        ADMIN,
        post(
            path("", _POLICY_KIND, group=_REGISTRATION),
            body("ValidatingAdmissionPolicy", "planted", group=_REGISTRATION, spec=_POLICY_SPEC),
        ),
    ),
    attempt("E17", "delete all admission policies", ADMIN, delete(path("", _POLICY_KIND, group=_REGISTRATION))),
    attempt(
        "E17",
        "delete all bindings of admission policies",
        ADMIN,
        delete(path("", "validatingadmissionpolicybindings", group=_REGISTRATION)),
    ),
    attempt("E17", "read the admission policies", VIEWER, get(path("", _POLICY_KIND, group=_REGISTRATION))),
    attempt(
        "E17",
        "take a lock of the control plane",
        ADMIN,
        post(
            path("kube-system", "leases", group="coordination"),
            body("Lease", "kube-controller-manager", group="coordination", spec={"holderIdentity": "planted"}),
        ),
    ),
    attempt(
        "E17",
        "change what the server tells of itself",
        ADMIN,
        post(path("kube-public", "configmaps"), config_map("cluster-info")),
    ),
    attempt("E17", "read the metrics of the server", ADMIN, get("/metrics")),
    attempt("E17", "read the logs of the server", ADMIN, get("/logs/"), control_status=(404,)),
    attempt("E17", "look into the server", ADMIN, get("/debug/pprof/"), control_status=(404,)),
    attempt(
        "E17",
        "change how requests are shared out",
        ADMIN,
        post(
            path("", "flowschemas", group="flowcontrol.apiserver.k8s.io/v1"),
            body(
                "FlowSchema",
                "planted",
                group="flowcontrol.apiserver.k8s.io/v1",
                spec={"priorityLevelConfiguration": {"name": "exempt"}, "matchingPrecedence": 9000},
            ),
        ),
    ),
    attempt(
        "E17",
        "start a Deployment that has the node's files beside Atoll",
        OTHER,
        post(path(SYSTEM, "deployments", group="apps"), deployment(volumes=_HOST_PATH)),
    ),
)

BOUNDS: Final = (*E14, *E15, *E16, *E17)
