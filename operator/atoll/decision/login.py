"""How people log in to a child: what its set asks for, once a rollout has told it, unless that cannot be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atoll.fleet import reasons
from atoll.fleet.authentication import OLDEST_MINOR, OWN_ISSUER, is_certificates
from atoll.fleet.decisions import Problem
from atoll.fleet.observed import ChildCluster
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet

from .settings import find_told


def check_authentication(cluster_set: ClusterSet, fleet: Fleet) -> list[Problem]:
    """Refuse logins that would reach no API server, or that would keep one from starting."""
    info = fleet.providers.get(cluster_set.provider.kind)
    oidc = cluster_set.authentication.get("oidc")
    if info is None or not oidc:
        return []
    if not (info.upgrades and info.sets_authentication):
        path = "spec.authentication.oidc"
        message = (
            f"{path} cannot reach the API servers of provider {cluster_set.provider.kind}, whose owner decides whom "
            "they trust. Set the issuer there, and remove it here."
        )
        return [_problem(cluster_set, path, reasons.NOT_IMPLEMENTED, message)]
    if cluster_set.version.minor < OLDEST_MINOR:
        path = "spec.authentication.oidc"
        message = (
            f"{path} needs Kubernetes v1.{OLDEST_MINOR} or later, and spec.version is {cluster_set.version}. Raise "
            "spec.version first, and set it then."
        )
        return [_problem(cluster_set, path, reasons.INVALID_SPEC, message)]
    if oidc.get("issuerURL") == OWN_ISSUER:
        path = "spec.authentication.oidc.issuerURL"
        message = f"{path} is the clusters' own issuer of tokens for ServiceAccounts. Name the issuer of your people."
        return [_problem(cluster_set, path, reasons.INVALID_SPEC, message)]
    authority = oidc.get("certificateAuthority")
    if authority and not is_certificates(authority):
        path = "spec.authentication.oidc.certificateAuthority"
        message = f"{path} holds no certificates that can be read. Write the PEM of the issuer's authority, or nothing."
        return [_problem(cluster_set, path, reasons.INVALID_SPEC, message)]
    return []


def _problem(cluster_set: ClusterSet, path: str, reason: str, message: str) -> Problem:
    return Problem(kind="ClusterSet", name=cluster_set.meta.name, path=path, reason=reason, message=message)


def choose_authentication(fleet: Fleet, child: ChildCluster) -> Mapping[str, Any] | None:
    """Return the set's authentication once a rollout has told the child of it; None: it keeps what it has."""
    cluster_set = find_told(fleet, child)
    if cluster_set is None or check_authentication(cluster_set, fleet):
        return None
    return cluster_set.authentication


def find_refused_login(fleet: Fleet, child: ChildCluster) -> str:
    """Say why a child that is on its way cannot get what it was told; it is not done until that is mended."""
    cluster_set = find_told(fleet, child)
    if cluster_set is None or child.revision == child.done_revision or child.meta.deleting:
        return ""
    return next((problem.message for problem in check_authentication(cluster_set, fleet)), "")
