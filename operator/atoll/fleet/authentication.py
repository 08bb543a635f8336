"""How people log in to a cluster: from `spec.authentication` to what its API server reads. Pure.

Tenants name users and groups as the tokens say them, without a prefix. So that no issuer can name somebody whom
Kubernetes or Atoll trusts, a token that speaks of a reserved name is refused as a whole: nothing of it is dropped in
silence. The file does not speak of anonymous requests: whether they are served is a matter of `--anonymous-auth`, and
the API server takes that flag only while the file is silent about it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from cryptography import x509

RESERVED_PREFIXES: Final = ("system:", "atoll.dev:", "kubeadm:")
"""Users and groups of Kubernetes itself, of Atoll, and of kubeadm's administrators."""
RESERVED_USERS: Final = ("atoll", "atoll-bootstrap", "kubernetes-admin", "kubernetes-super-admin")
"""Names in the certificates of Atoll and of kubeadm's administrators."""

OWN_ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
"""Issuer of the ServiceAccount tokens of each cluster; an API server that shall trust another such does not start."""

OLDEST_MINOR: Final = 34
"""The first Kubernetes 1.x that reads this file in its stable version."""


def build_authentication_configuration(authentication: Mapping[str, Any]) -> dict[str, Any]:
    """Return the AuthenticationConfiguration for a `spec.authentication`; without an issuer it trusts none."""
    oidc = authentication.get("oidc")
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [_build_authenticator(oidc)] if oidc else [],
    }


def render_authentication(authentication: Mapping[str, Any]) -> str:
    """Return the file that the API server reads; JSON is YAML, too."""
    return json.dumps(build_authentication_configuration(authentication), indent=2, sort_keys=True) + "\n"


def digest_authentication(authentication: Mapping[str, Any]) -> str:
    """Return the digest of what a `spec.authentication` asks for; empty when it asks for nothing."""
    return digest_file(render_authentication(authentication)) if authentication.get("oidc") else ""


def is_to_change(wanted: Mapping[str, Any], seen: str | None) -> bool:
    """Say whether a cluster that has been told `wanted` does otherwise; False where nobody can tell."""
    return seen is not None and seen != digest_authentication(wanted)


def digest_file(text: str) -> str:
    """Return the digest of a file, as the API server and `sha256sum` tell it."""
    return hashlib.sha256(text.encode()).hexdigest()


NOTHING: Final = render_authentication({})
"""The file of a cluster that trusts no issuer."""
NOTHING_DIGEST: Final = digest_file(NOTHING)


def is_certificates(pem: str) -> bool:
    """Say whether a text is what an API server takes for the certificates of an authority."""
    try:
        return bool(x509.load_pem_x509_certificates(pem.encode()))
    except ValueError:
        return False


def _build_authenticator(oidc: Mapping[str, Any]) -> dict[str, Any]:
    issuer: dict[str, Any] = {"url": oidc["issuerURL"], "audiences": [oidc["clientID"]]}
    if oidc.get("certificateAuthority"):
        issuer["certificateAuthority"] = oidc["certificateAuthority"]
    mappings: dict[str, Any] = {"username": {"claim": oidc.get("usernameClaim") or "sub", "prefix": ""}}
    if oidc.get("groupsClaim"):
        mappings["groups"] = {"claim": oidc["groupsClaim"], "prefix": ""}
    return {"issuer": issuer, "claimMappings": mappings, "userValidationRules": _build_rules()}


def _build_rules() -> list[dict[str, str]]:
    """Return what every user has to pass, in CEL; the messages stand in the API server's log alone."""
    users = ", ".join(f"'{name}'" for name in RESERVED_USERS)
    reserved = " && ".join(f"!{{0}}.startsWith('{prefix}')" for prefix in RESERVED_PREFIXES)
    words = ", ".join(RESERVED_PREFIXES)
    return [
        {"expression": "user.username != ''", "message": "the user name must not be empty"},
        {
            "expression": f"!(user.username in [{users}])",
            "message": f"the user names {', '.join(RESERVED_USERS)} are reserved",
        },
        {
            "expression": reserved.format("user.username"),
            "message": f"user names that begin with {words} are reserved",
        },
        {
            "expression": f"user.groups.all(group, {reserved.format('group')})",
            "message": f"groups that begin with {words} are reserved",
        },
    ]
