"""E6 to E12 and E18: other clusters, other people's accounts and tokens, names that look alike, and names come back."""

from __future__ import annotations

import base64
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.tenancy.escapes import (
    ADMIN,
    AUTHENTICATION,
    DEVELOPER,
    INSIDE,
    OTHER,
    OTHERS,
    OWN,
    POLICY,
    POLICY_QUOTA,
    RBAC_POLICY,
    SYSTEM,
    VAULT,
    VIEWER,
    Attempt,
    Guard,
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
    token_request,
)
from tests.e2e.tenancy.escapes_client import Json
from tests.support.manifests import tenant

_ATOLL: Final = "/apis/atoll.dev/v1alpha1/namespaces/fleet"
_WHO_AM_I: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_REVIEW: Final[Json] = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
_SIGNING: Final = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


def signing_request(name: str, common: str, organisation: str, signer: str = "kube-apiserver-client") -> Json:
    """Return a request for a certificate in a name."""
    subject = [
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organisation),
        x509.NameAttribute(x509.NameOID.COMMON_NAME, common),
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    request = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return body(
        "CertificateSigningRequest",
        name,
        group="certificates.k8s.io/v1",
        spec={
            "request": base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode(),
            "signerName": f"kubernetes.io/{signer}",
            "usages": ["digital signature", "client auth"],
        },
    )


def _forged(name: str, who: str, call: Any) -> Attempt:
    return attempt("E6", name, who, call, AUTHENTICATION, at="one", control="admin of one")


E6: Final = (
    _forged("sign a token of Atoll's account with nothing", "unsigned shop-x admin", get(path(OTHERS, "secrets"))),
    _forged("write another tenant's name into its own token", "edited shop admin", get(path(OTHERS, "secrets"))),
    _forged("use its token without the signature", "cut shop admin", get(path(OWN, "secrets"))),
    _forged("call with no token", "nobody", get(path(OWN, "configmaps"))),
    _forged("ask what the server offers with no token", "nobody", get("/api")),
    _forged("use a name and password", "password", get(path(OWN, "configmaps"))),
    _forged("claim a name by the headers of a proxy", "proxied", get(path(OTHERS, "secrets"))),
    attempt(
        "E6",
        "ask for a certificate in Atoll's group",
        ADMIN,
        post(_SIGNING, signing_request("planted", "atoll", "atoll.dev:operators")),
    ),
    attempt(
        "E6",
        "renew its own token",
        ADMIN,
        post(path(SYSTEM, "serviceaccounts", "shop--admin", "token"), token_request()),
    ),
    attempt(
        "E6",
        "mint a token of the tenant whose name begins like its own",
        ADMIN,
        post(path(SYSTEM, "serviceaccounts", "shop-x--admin", "token"), token_request()),
    ),
    attempt(
        "E6",
        "mint a token of the tenant whose name its own begins with",
        OTHER,
        post(path(SYSTEM, "serviceaccounts", "shop--admin", "token"), token_request()),
    ),
)


def _elsewhere(name: str, who: str, at: str, call: Any, **more: Any) -> Attempt:
    return attempt("E7", name, who, call, AUTHENTICATION, at=at, control=f"admin of {at}", **more)


E7: Final = (
    _elsewhere("list the tenants on the hub", ADMIN, "hub", get(f"{_ATOLL}/tenants")),
    _elsewhere(
        "read the kubeconfig of its cluster on the hub",
        ADMIN,
        "hub",
        get(path("fleet", "secrets", "eu--one-kubeconfig")),
    ),
    _elsewhere(
        "raise its own amounts on the hub",
        ADMIN,
        "hub",
        patch(f"{_ATOLL}/tenants/shop", {"metadata": {"labels": {"planted": "yes"}}}),
    ),
    _elsewhere(
        "make a tenant on the hub",
        ADMIN,
        "hub",
        post(f"{_ATOLL}/tenants", tenant("planted", "dev")),
    ),
    _elsewhere("ask the hub who it is", ADMIN, "hub", post(_WHO_AM_I, _REVIEW)),
    _elsewhere("read the hub's API as an account inside of the namespace", INSIDE, "hub", get("/api/v1")),
    _elsewhere("list pods of its own namespace on the other child", ADMIN, "two", get(path("shop--far", "pods"))),
    _elsewhere(
        "write in its own namespace on the other child",
        ADMIN,
        "two",
        post(path("shop--far", "configmaps"), config_map()),
    ),
    _elsewhere("ask the other child who it is", ADMIN, "two", post(_WHO_AM_I, _REVIEW)),
    _elsewhere(
        "read another tenant's Secrets on the other child", DEVELOPER, "two", get(path("vault--far", "secrets"))
    ),
    _elsewhere("come from the regulated child to the plain one", VAULT, "one", get(path(OWN, "secrets"))),
    _elsewhere(
        "come with the other child's token of the same name", "shop admin far", "one", get(path(OWN, "secrets"))
    ),
)

_TOKEN_SECRET: Final = "kubernetes.io/service-account-token"


def _account_secret(account: str) -> Json:
    made = body("Secret", "planted", type=_TOKEN_SECRET)
    made["metadata"]["annotations"] = {"kubernetes.io/service-account.name": account}
    return made


E9: Final = (
    attempt(
        "E9",
        "start a pod of a controller's account in kube-system",
        ADMIN,
        post(path("kube-system", "pods"), pod(serviceAccountName="namespace-controller")),
    ),
    attempt(
        "E9",
        "start a pod of another tenant's account beside Atoll",
        ADMIN,
        post(path(SYSTEM, "pods"), pod(serviceAccountName="shop-x--admin")),
    ),
    attempt(
        "E9",
        "start a pod of its own account beside Atoll",
        ADMIN,
        post(path(SYSTEM, "pods"), pod(serviceAccountName="shop--admin")),
    ),
    attempt(
        "E9",
        "start a Deployment beside Atoll",
        DEVELOPER,
        post(path(SYSTEM, "deployments", group="apps"), deployment(serviceAccountName="shop--admin")),
    ),
    attempt(
        "E9",
        "start a CronJob in kube-system",
        ADMIN,
        post(
            path("kube-system", "cronjobs", group="batch"),
            body(
                "CronJob",
                "planted",
                group="batch",
                spec={
                    "schedule": "* * * * *",
                    "jobTemplate": {
                        "spec": {
                            "template": {
                                "spec": {
                                    "restartPolicy": "Never",
                                    "serviceAccountName": "generic-garbage-collector",
                                    "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
                                }
                            }
                        }
                    },
                },
            ),
        ),
    ),
    attempt(
        "E9",
        "name the account of Atoll's namespace in a pod of its own",
        ADMIN,
        post(path(OWN, "pods"), pod(serviceAccountName="shop--admin")),
        (Guard.ACCOUNT,),
    ),
    attempt(
        "E9",
        "name a controller's account in a pod of its own",
        DEVELOPER,
        post(path(OWN, "pods"), pod(serviceAccountName="namespace-controller")),
        (Guard.ACCOUNT,),
    ),
    attempt(
        "E9",
        "let its own account be mounted into pods",
        ADMIN,
        patch(path(SYSTEM, "serviceaccounts", "shop--admin"), {"automountServiceAccountToken": True}),
        RBAC_POLICY,
    ),
    attempt(
        "E9",
        "make an account beside Atoll",
        ADMIN,
        post(path(SYSTEM, "serviceaccounts"), body("ServiceAccount", "planted")),
    ),
    attempt(
        "E9",
        "delete another tenant's account",
        ADMIN,
        delete(path(SYSTEM, "serviceaccounts", "shop-x--viewer")),
        RBAC_POLICY,
    ),
)

E10: Final = (
    attempt(
        "E10",
        "mint a token of Atoll's namespace",
        ADMIN,
        post(path(SYSTEM, "serviceaccounts", "default", "token"), token_request()),
    ),
    attempt(
        "E10",
        "mint a token of a controller",
        ADMIN,
        post(path("kube-system", "serviceaccounts", "clusterrole-aggregation-controller", "token"), token_request()),
    ),
    attempt(
        "E10",
        "mint a token of another tenant's developer",
        DEVELOPER,
        post(path(SYSTEM, "serviceaccounts", "shop-x--developer", "token"), token_request()),
    ),
    attempt(
        "E10",
        "mint a token of an account in another tenant's namespace",
        ADMIN,
        post(path(OTHERS, "serviceaccounts", "default", "token"), token_request()),
    ),
    attempt(
        "E10",
        "mint a token of an account in its namespace",
        ADMIN,
        post(path(OWN, "serviceaccounts", "robot", "token"), token_request()),
    ),
    attempt(
        "E10",
        "mint a token of itself as an account inside of the namespace",
        INSIDE,
        post(path(OWN, "serviceaccounts", "robot", "token"), token_request()),
    ),
    attempt(
        "E10",
        "have a lasting token of its own account made beside Atoll",
        ADMIN,
        post(path(SYSTEM, "secrets"), _account_secret("shop--admin")),
    ),
    attempt(
        "E10",
        "have a lasting token of another tenant made beside Atoll",
        VIEWER,
        post(path(SYSTEM, "secrets"), _account_secret("shop-x--admin")),
    ),
    attempt(
        "E10",
        "have a lasting token of a controller made in kube-system",
        ADMIN,
        post(path("kube-system", "secrets"), _account_secret("namespace-controller")),
    ),
    attempt(
        "E10",
        "have a lasting token made of an account in its namespace",
        ADMIN,
        post(path(OWN, "secrets"), _account_secret("default")),
        POLICY,
    ),
    attempt(
        "E10",
        "have a lasting token made of an account named like its admin",
        ADMIN,
        post(path(OWN, "secrets"), _account_secret("shop--admin")),
        POLICY,
    ),
)

_CSI: Final[Json] = {
    "capacity": {"storage": "1Gi"},
    "accessModes": ["ReadWriteOnce"],
    "claimRef": {"namespace": OWN, "name": "planted"},
    "csi": {
        "driver": "planted.example",
        "volumeHandle": "planted",
        "nodePublishSecretRef": {"namespace": OTHERS, "name": "key"},
    },
}
E11: Final = (
    attempt(
        "E11",
        "refer to another tenant's Secret in a PersistentVolume",
        ADMIN,
        post(path("", "persistentvolumes"), body("PersistentVolume", "planted", spec=_CSI)),
    ),
    attempt(
        "E11",
        "refer to another tenant's Secret in a StorageClass",
        ADMIN,
        post(
            path("", "storageclasses", group="storage.k8s.io/v1"),
            body(
                "StorageClass",
                "planted",
                group="storage.k8s.io/v1",
                provisioner="planted.example/x",
                parameters={
                    "csi.storage.k8s.io/provisioner-secret-name": "key",
                    "csi.storage.k8s.io/provisioner-secret-namespace": OTHERS,
                },
            ),
        ),
    ),
    attempt(
        "E11",
        "claim another tenant's PersistentVolume",
        ADMIN,
        patch(path("", "persistentvolumes", "others"), {"spec": {"claimRef": {"namespace": OWN, "name": "x"}}}),
    ),
    attempt("E11", "read all PersistentVolumes", ADMIN, get(path("", "persistentvolumes"))),
    attempt(
        "E11",
        "read another tenant's Secret through a service's proxy",
        ADMIN,
        get(path(OTHERS, "services", "web", "proxy")),
        control_status=(500, 503),
    ),
    attempt(
        "E11",
        "reach a pod of another tenant through the server",
        ADMIN,
        get(path(OTHERS, "pods", "idle", "proxy")),
        control_status=(400, 500, 503),
    ),
    attempt(
        "E11",
        "reach a pod of its own through the server's network",
        ADMIN,
        get(path(OWN, "pods", "idle", "proxy")),
        control_status=(400, 500, 503),
    ),
    attempt(
        "E11",
        "use another tenant's Secret to pull images for an account of its",
        ADMIN,
        patch(path(OTHERS, "serviceaccounts", "default"), {"imagePullSecrets": [{"name": "key"}]}),
    ),
    attempt(
        "E11",
        "mount another tenant's Secret in another tenant's pod",
        ADMIN,
        post(path(OTHERS, "pods"), pod(volumes=[{"name": "key", "secret": {"secretName": "key"}}])),
    ),
    attempt(
        "E11",
        "bind what another tenant has left in a volume",
        ADMIN,
        post(
            path(OWN, "persistentvolumeclaims"),
            body(
                "PersistentVolumeClaim",
                "planted",
                spec={
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "",
                    "volumeName": "others",
                    "resources": {"requests": {"storage": "1Mi"}},
                },
            ),
        ),
        POLICY_QUOTA,
    ),
)

_ODD: Final = (404,)
E12: Final = (
    attempt("E12", "shop reads shop-x", ADMIN, get(path(OTHERS, "secrets"))),
    attempt("E12", "shop-x reads shop", OTHER, get(path(OWN, "secrets"))),
    attempt("E12", "shop-x reads shop's environment dev-x", OTHER, get(path("shop--dev-x", "secrets"))),
    attempt(
        "E12", "shop-x writes in shop's environment dev-x", OTHER, post(path("shop--dev-x", "configmaps"), config_map())
    ),
    attempt("E12", "the namespace of a name that both could make", ADMIN, get(path("shop--x--dev", "secrets"))),
    attempt(
        "E12",
        "two dots lead from its namespace to another",
        ADMIN,
        get(f"/api/v1/namespaces/{OWN}/../{OTHERS}/secrets"),
        control_status=(301, 307, 404),
    ),
    attempt(
        "E12",
        "two encoded dots lead from its namespace to another",
        ADMIN,
        get(f"/api/v1/namespaces/{OWN}/%2e%2e/{OTHERS}/secrets"),
        control_status=(301, 307, 404),
    ),
    attempt(
        "E12",
        "an encoded slash joins two namespaces",
        ADMIN,
        get(f"/api/v1/namespaces/{OWN}%2F..%2F{OTHERS}/secrets"),
        control_status=(301, 307, 404),
    ),
    attempt(
        "E12",
        "two slashes hide the namespace",
        ADMIN,
        get("/api/v1/namespaces//secrets"),
        control_status=(301, 307, 404),
    ),
    attempt("E12", "a capital letter", ADMIN, get(path("Shop--dev", "secrets"))),
    attempt("E12", "a Cyrillic letter that looks like a Latin one", ADMIN, get(path("sh%D0%BEp--dev", "secrets"))),
    attempt("E12", "a dot behind the name", ADMIN, get(path(f"{OWN}.", "secrets"))),
    attempt("E12", "a star in place of the name", ADMIN, get(path("*", "secrets"))),
    attempt(
        "E12",
        "an account named like its admin in its own namespace",
        "namesake in shop--dev-x",
        get(path(OWN, "secrets")),
    ),
    attempt(
        "E12",
        "an account named like another tenant's admin in its own namespace",
        "impostor in shop--dev-x",
        get(path(OTHERS, "secrets")),
    ),
    attempt(
        "E12",
        "a namespace that belongs to nobody, named like the tenant",
        ADMIN,
        get(path("shop", "secrets")),
        control_status=_ODD,
    ),
)

_GHOST: Final = "ghost--dev"


def _late(name: str, who: str, call: Any) -> Attempt:
    return attempt("E18", name, who, call, AUTHENTICATION, at="one", control="admin of one")


E18: Final = (
    _late("the old admin's token reads the old Secrets", "old ghost admin", get(path(_GHOST, "secrets"))),
    _late(
        "the old admin's token writes in the old namespace",
        "old ghost admin",
        post(path(_GHOST, "configmaps"), config_map()),
    ),
    _late("the old developer's token lists pods", "old ghost developer", get(path(_GHOST, "pods"))),
    _late("the old admin's token works in the new namespace", "old ghost admin", get(path("ghost--dev-x", "secrets"))),
    _late("the old admin's token tells who it is", "old ghost admin", post(_WHO_AM_I, _REVIEW)),
    attempt("E18", "the new admin reads the old Secret", "new ghost admin", get(path(_GHOST, "secrets", "key"))),
    attempt("E18", "the new admin lists the old ConfigMaps", "new ghost admin", get(path(_GHOST, "configmaps"))),
    attempt(
        "E18",
        "the new admin writes beside the old data",
        "new ghost admin",
        post(path(_GHOST, "configmaps"), config_map()),
    ),
    attempt("E18", "the new admin deletes the old data", "new ghost admin", delete(path(_GHOST, "secrets", "key"))),
    attempt(
        "E18",
        "the new admin takes the old namespace by label",
        "new ghost admin",
        patch(
            path("", "namespaces", _GHOST), patch_labels({"atoll.dev/tenant": "ghost", "atoll.dev/placement": "placed"})
        ),
        RBAC_POLICY,
    ),
    attempt(
        "E18",
        "the group of the old admins reads the old Secret",
        "somebody of ghost-leads",
        get(path(_GHOST, "secrets", "key")),
    ),
    attempt("E18", "the old user reads the old Secret", "ghost-chief", get(path(_GHOST, "secrets", "key"))),
    attempt(
        "E18",
        "an account that the old tenant left reads the old Secret",
        "robot in ghost--dev",
        get(path(_GHOST, "secrets", "key")),
    ),
)

IDENTITY: Final = (*E6, *E7, *E9, *E10, *E11, *E12, *E18)
