"""E1 to E5: other people's namespaces, labels of ownership, credentials elsewhere, and more rights than one has."""

from __future__ import annotations

from typing import Final

from tests.e2e.tenancy.escapes import (
    ADMIN,
    DEVELOPER,
    INSIDE,
    OTHERS,
    OWN,
    RBAC_POLICY,
    SYSTEM,
    VIEWER,
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
    token_request,
)
from tests.e2e.tenancy.escapes_client import APPLY, Call, Json

_OWNED: Final = {"app.kubernetes.io/managed-by": "atoll", "atoll.dev/tenant": "shop", "atoll.dev/environment": "dev"}
_RBAC: Final = "rbac.authorization.k8s.io"


def _binding(kind: str, name: str, role: str, *, account: str = "shop--admin", role_kind: str = "ClusterRole") -> Json:
    return body(
        kind,
        name,
        group="rbac",
        roleRef={"apiGroup": _RBAC, "kind": role_kind, "name": role},
        subjects=[{"kind": "ServiceAccount", "name": account, "namespace": SYSTEM}],
    )


E1: Final = (
    attempt("E1", "make a namespace", ADMIN, post(path("", "namespaces"), body("Namespace", "mine"))),
    attempt(
        "E1",
        "make a namespace that looks like one more of its own",
        ADMIN,
        post(path("", "namespaces"), body("Namespace", "shop--more", labels=_OWNED)),
        RBAC_POLICY,
    ),
    attempt(
        "E1", "make a ConfigMap in another tenant's namespace", ADMIN, post(path(OTHERS, "configmaps"), config_map())
    ),
    attempt("E1", "make a ConfigMap in kube-system", ADMIN, post(path("kube-system", "configmaps"), config_map())),
    attempt("E1", "make a ConfigMap in default", ADMIN, post(path("default", "configmaps"), config_map())),
    attempt("E1", "make a ConfigMap beside Atoll", ADMIN, post(path(SYSTEM, "configmaps"), config_map())),
    attempt("E1", "start a pod in another tenant's namespace", ADMIN, post(path(OTHERS, "pods"), pod())),
    attempt(
        "E1",
        "start a Deployment in another tenant's namespace",
        DEVELOPER,
        post(path(OTHERS, "deployments", group="apps"), deployment()),
    ),
    attempt(
        "E1",
        "server-side apply over another tenant's ConfigMap",
        ADMIN,
        patch(path(OTHERS, "configmaps", "board"), config_map("board"), APPLY, fieldManager="x", force="true"),
    ),
    attempt(
        "E1",
        "scale another tenant's Deployment",
        ADMIN,
        patch(path(OTHERS, "deployments", "app", "scale", group="apps"), {"spec": {"replicas": 0}}),
    ),
    attempt("E1", "delete another tenant's pod", ADMIN, delete(path(OTHERS, "pods", "idle"))),
    attempt("E1", "delete all Secrets of another tenant", ADMIN, delete(path(OTHERS, "secrets"))),
    attempt("E1", "delete another tenant's namespace", ADMIN, delete(path("", "namespaces", OTHERS)), RBAC_POLICY),
    attempt(
        "E1",
        "evict another tenant's pod",
        DEVELOPER,
        post(path(OTHERS, "pods", "idle", "eviction"), body("Eviction", "idle", group="policy")),
    ),
    attempt(
        "E1",
        "make a StorageClass",
        ADMIN,
        post(
            path("", "storageclasses", group="storage.k8s.io/v1"),
            body("StorageClass", "planted", group="storage.k8s.io/v1", provisioner="planted.example/x"),
        ),
    ),
    attempt(
        "E1",
        "make an IngressClass",
        ADMIN,
        post(
            path("", "ingressclasses", group="networking"),
            body("IngressClass", "planted", group="networking", spec={"controller": "planted.example/x"}),
        ),
    ),
)

E2: Final = (
    attempt(
        "E2",
        "label default as its own",
        ADMIN,
        patch(path("", "namespaces", "default"), patch_labels(_OWNED)),
        RBAC_POLICY,
    ),
    attempt(
        "E2",
        "label kube-system as its own",
        ADMIN,
        patch(path("", "namespaces", "kube-system"), patch_labels(_OWNED)),
        RBAC_POLICY,
    ),
    attempt(
        "E2",
        "label Atoll's namespace as its own",
        ADMIN,
        patch(path("", "namespaces", SYSTEM), patch_labels(_OWNED)),
        RBAC_POLICY,
    ),
    attempt(
        "E2",
        "label a namespace that nobody owns as its own",
        ADMIN,
        patch(path("", "namespaces", "legacy"), patch_labels(_OWNED)),
        RBAC_POLICY,
    ),
    attempt(
        "E2",
        "label another tenant's namespace as its own",
        ADMIN,
        patch(path("", "namespaces", OTHERS), patch_labels(_OWNED)),
        RBAC_POLICY,
    ),
    attempt(
        "E2",
        "apply ownership onto a namespace that nobody owns",
        ADMIN,
        patch(
            path("", "namespaces", "legacy"),
            body("Namespace", "legacy", labels=_OWNED),
            APPLY,
            fieldManager="atoll",
            force="true",
        ),
        RBAC_POLICY,
    ),
    attempt(
        "E2",
        "become the owner of a namespace by owner reference",
        ADMIN,
        patch(
            path("", "namespaces", OTHERS),
            {
                "metadata": {
                    "ownerReferences": [
                        {
                            "apiVersion": "v1",
                            "kind": "Namespace",
                            "name": OWN,
                            "uid": "00000000-0000-4000-8000-000000000000",
                        }
                    ]
                }
            },
        ),
        RBAC_POLICY,
    ),
    attempt(
        "E2",
        "finalize another tenant's namespace",
        ADMIN,
        put(path("", "namespaces", OTHERS, "finalize"), body("Namespace", OTHERS, spec={"finalizers": []})),
        RBAC_POLICY,
    ),
)

_STRIPPED: Final[Json] = dict.fromkeys(_OWNED)
E3: Final = (
    attempt(
        "E3",
        "strip the labels of ownership from its namespace",
        ADMIN,
        patch(path("", "namespaces", OWN), patch_labels(_STRIPPED)),
        RBAC_POLICY,
    ),
    attempt(
        "E3",
        "strip them as an account inside of the namespace",
        INSIDE,
        patch(path("", "namespaces", OWN), patch_labels(_STRIPPED)),
        RBAC_POLICY,
    ),
    attempt(
        "E3",
        "take one label away by JSON patch",
        ADMIN,
        patch(path("", "namespaces", OWN), [{"op": "remove", "path": "/metadata/labels/atoll.dev~1tenant"}]),
        RBAC_POLICY,
    ),
    attempt(
        "E3",
        "move its namespace to another environment by label",
        ADMIN,
        patch(path("", "namespaces", OWN), patch_labels({"atoll.dev/environment": "prod"})),
        RBAC_POLICY,
    ),
    attempt(
        "E3",
        "give its namespace to another tenant by label",
        ADMIN,
        patch(path("", "namespaces", OWN), patch_labels({"atoll.dev/tenant": "shop-x"})),
        RBAC_POLICY,
    ),
    attempt(
        "E3",
        "replace its namespace by a bare one",
        ADMIN,
        put(path("", "namespaces", OWN), body("Namespace", OWN)),
        RBAC_POLICY,
    ),
    attempt(
        "E3",
        "change a governance label that the environment set",
        ADMIN,
        patch(path("", "namespaces", OWN), patch_labels({"stage": "prod"})),
        RBAC_POLICY,
    ),
    attempt(
        "E3",
        "empty the list of protected labels",
        ADMIN,
        patch(path("", "namespaces", OWN), {"metadata": {"annotations": {"atoll.dev/protected-labels": ""}}}),
        RBAC_POLICY,
    ),
    attempt(
        "E3",
        "claim a regime by label",
        ADMIN,
        patch(path("", "namespaces", OWN), patch_labels({"regime.atoll.dev/strict": "true"})),
        RBAC_POLICY,
    ),
    attempt("E3", "delete its own namespace", ADMIN, delete(path("", "namespaces", OWN)), RBAC_POLICY),
    attempt(
        "E3",
        "strip ownership from its quota",
        ADMIN,
        patch(path(OWN, "resourcequotas", "atoll"), patch_labels(_STRIPPED)),
        RBAC_POLICY,
    ),
    attempt(
        "E3",
        "strip ownership from its role binding",
        ADMIN,
        patch(path(OWN, "rolebindings", "atoll:viewer", group="rbac"), patch_labels(_STRIPPED)),
        RBAC_POLICY,
    ),
    attempt(
        "E3",
        "strip ownership from Atoll's record of the owner",
        ADMIN,
        patch(path(SYSTEM, "configmaps", "atoll-owner"), patch_labels(_STRIPPED)),
        RBAC_POLICY,
    ),
)

_TABLE: Final = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
_PARTIAL: Final = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}

E4: Final = (
    attempt("E4", "list the Secrets of the whole cluster", ADMIN, get(path("", "secrets"))),
    attempt("E4", "list the Secrets beside Atoll", ADMIN, get(path(SYSTEM, "secrets"))),
    attempt("E4", "list the Secrets of kube-system", ADMIN, get(path("kube-system", "secrets"))),
    attempt("E4", "read another tenant's Secret", ADMIN, get(path(OTHERS, "secrets", "key"))),
    attempt(
        "E4",
        "list another tenant's Secrets by name",
        ADMIN,
        get(path(OTHERS, "secrets"), fieldSelector="metadata.name%3Dkey"),
    ),
    attempt("E4", "watch another tenant's Secrets", ADMIN, get(path(OTHERS, "secrets"), watch="1")),
    attempt(
        "E4",
        "watch all Secrets by the old path",
        ADMIN,
        get("/api/v1/watch/secrets", timeoutSeconds="1"),
        control_status=(200,),
    ),
    attempt("E4", "list another tenant's Secrets as a table", ADMIN, get(path(OTHERS, "secrets"), _TABLE)),
    attempt("E4", "list the metadata of another tenant's Secrets", ADMIN, get(path(OTHERS, "secrets"), _PARTIAL)),
    attempt("E4", "read a Secret of its own as a viewer", VIEWER, get(path(OWN, "secrets", "key"))),
    attempt("E4", "read a Secret as an account inside of the namespace", INSIDE, get(path(OWN, "secrets", "key"))),
    attempt("E4", "read who owns the cluster", ADMIN, get(path(SYSTEM, "configmaps", "atoll-owner"))),
    attempt("E4", "read another tenant's events", ADMIN, get(path(OTHERS, "events"))),
    attempt(
        "E4",
        "read another tenant's logs",
        ADMIN,
        get(path(OTHERS, "pods", "idle", "log")),
        control_status=(400, 404, 500),
    ),
    attempt("E4", "read the accounts beside Atoll", ADMIN, get(path(SYSTEM, "serviceaccounts"))),
    attempt(
        "E4",
        "read how the server checks callers",
        ADMIN,
        get(path("kube-system", "configmaps", "extension-apiserver-authentication")),
    ),
)


def _as(where: str = path("kube-system", "secrets"), **headers: str) -> Call:
    return get(where, {f"Impersonate-{key.title()}": value for key, value in headers.items()})


E5: Final = (
    attempt(
        "E5",
        "make a Role in its namespace",
        ADMIN,
        post(
            path(OWN, "roles", group="rbac"),
            body("Role", "planted", group="rbac", rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]),
        ),
    ),
    attempt(
        "E5",
        "bind itself to cluster-admin in its namespace",
        ADMIN,
        post(path(OWN, "rolebindings", group="rbac"), _binding("RoleBinding", "planted", "cluster-admin")),
    ),
    attempt(
        "E5",
        "bind itself to Atoll's own role in another tenant's namespace",
        ADMIN,
        post(path(OTHERS, "rolebindings", group="rbac"), _binding("RoleBinding", "planted", "atoll:admin")),
    ),
    attempt(
        "E5",
        "bind itself to cluster-admin everywhere",
        ADMIN,
        post(path("", "clusterrolebindings", group="rbac"), _binding("ClusterRoleBinding", "planted", "cluster-admin")),
    ),
    attempt(
        "E5",
        "join the admins of its namespace as a developer",
        DEVELOPER,
        patch(
            path(OWN, "rolebindings", "atoll:admin", group="rbac"),
            {"subjects": [{"kind": "ServiceAccount", "name": "shop--developer", "namespace": SYSTEM}]},
        ),
        RBAC_POLICY,
    ),
    attempt(
        "E5",
        "add a rule to the role of developers",
        DEVELOPER,
        patch(
            path("", "clusterroles", "atoll:developer", group="rbac"),
            [
                {
                    "op": "add",
                    "path": "/rules/-",
                    "value": {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
                }
            ],
        ),
        RBAC_POLICY,
    ),
    attempt(
        "E5",
        "delete the binding of the viewers",
        ADMIN,
        delete(path(OWN, "rolebindings", "atoll:viewer", group="rbac")),
        RBAC_POLICY,
    ),
    attempt(
        "E5",
        "make a ClusterRole that is aggregated into admin",
        ADMIN,
        post(
            path("", "clusterroles", group="rbac"),
            body(
                "ClusterRole",
                "planted",
                group="rbac",
                labels={"rbac.authorization.k8s.io/aggregate-to-admin": "true"},
                rules=[{"apiGroups": [""], "resources": ["nodes"], "verbs": ["*"]}],
            ),
        ),
    ),
    attempt("E5", "speak as system:masters", ADMIN, _as(user="someone", group="system:masters")),
    attempt("E5", "speak as Atoll", ADMIN, _as(user="atoll", group="atoll.dev:operators")),
    attempt(
        "E5",
        "speak as a controller of Kubernetes",
        ADMIN,
        _as(user="system:serviceaccount:kube-system:generic-garbage-collector"),
        control_status=(200,),
    ),
    attempt(
        "E5",
        "speak as another tenant's account",
        ADMIN,
        _as(path(OTHERS, "secrets"), user=f"system:serviceaccount:{SYSTEM}:shop-x--admin"),
    ),
    attempt(
        "E5",
        "speak as its own admin, being a developer",
        DEVELOPER,
        _as(path(OWN, "configmaps"), user=f"system:serviceaccount:{SYSTEM}:shop--admin"),
    ),
    attempt(
        "E5",
        "speak as the group of another tenant's admins",
        ADMIN,
        _as(path(OTHERS, "secrets"), user="someone", group="shop-x-leads"),
    ),
    attempt(
        "E5",
        "write a Secret as a developer",
        DEVELOPER,
        post(path(OWN, "secrets"), body("Secret", "planted", stringData={"a": "b"})),
    ),
    attempt(
        "E5",
        "make an account as a developer",
        DEVELOPER,
        post(path(OWN, "serviceaccounts"), body("ServiceAccount", "planted")),
    ),
    attempt("E5", "start a pod as a viewer", VIEWER, post(path(OWN, "pods"), pod())),
    attempt(
        "E5",
        "run a command in a pod as a viewer",
        VIEWER,
        post(path(OWN, "pods", "idle", "exec"), {}, command="id", stdout="1"),
        control_status=(400,),
    ),
    attempt("E5", "start a pod as an account inside of the namespace", INSIDE, post(path(OWN, "pods"), pod())),
    attempt(
        "E5",
        "mint a token of its admin as a viewer",
        VIEWER,
        post(path(SYSTEM, "serviceaccounts", "shop--admin", "token"), token_request()),
    ),
)

RIGHTS: Final = (*E1, *E2, *E3, *E4, *E5)
