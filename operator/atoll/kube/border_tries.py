"""What is asked at a border between tenants, and how the answers are judged. Pure.

Each request is harmless if it succeeds: it reads one object, or is a dry run, which passes authorisation and admission
like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from atoll.fleet.borders import ESCALATION, LABELS, QUOTA, READS, WRITES, BorderPlan
from atoll.fleet.names import SYSTEM_NAMESPACE, TENANT_LABEL

from .kinds import (
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    NAMESPACE,
    POD,
    RESOURCE_QUOTA,
    ROLE_BINDING,
    SECRET,
    SERVICE_ACCOUNT,
    Kind,
    url_path,
)
from .verdicts import FAILED, PASSED, UNKNOWN, Verdict

TOKEN_SECONDS: Final = 600
"""The shortest life that API servers grant."""
NAME: Final = "atoll-border"
"""Of objects that dry runs ask for. They never come to be."""
ONE: Final = (("limit", "1"),)
_DRY: Final = (("dryRun", "All"), ("fieldManager", NAME))
_RBAC: Final = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One request that must be refused."""

    attempt: str
    method: str
    path: str
    what: str
    """In words, for the message of a red cell."""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


def judge(status: int, message: str) -> Verdict:
    """Judge an answer to what must be refused. Only rights and policies count as refusals, not chance."""
    if 200 <= status < 300:
        return FAILED, f"was answered {status}"
    if status == 403 and ("exceeded quota" in message or "because it is being terminated" in message):
        return UNKNOWN, f"was stopped by chance alone: {message}"
    if status == 403 or (status == 422 and "ValidatingAdmissionPolicy" in message):
        return PASSED, "was refused"
    return UNKNOWN, f"was neither refused nor let through: {status} {message}".rstrip()


def list_tries(plan: BorderPlan, subject: str, target: str, attempt: str) -> Iterator[Try]:
    """List the requests that make up one cell."""
    namespaces = plan.sides[target].namespaces
    own = subject == target
    for namespace in namespaces:
        if attempt == READS:
            yield from _read(namespace)
        elif attempt == WRITES:
            yield _create(WRITES, CONFIG_MAP, namespace, {"data": {}})
        elif attempt == LABELS:
            yield _relabel(
                namespace, {"pod-security.kubernetes.io/enforce": "privileged"} if own else {TENANT_LABEL: subject}
            )
        elif attempt == QUOTA:
            yield from _unbound(namespace, plan.quotas.get(namespace, "atoll"), own=own)
        else:
            for account in plan.sides[subject].accounts:
                yield _create(ESCALATION, ROLE_BINDING, namespace, _grant(account))
    if attempt == ESCALATION:
        yield from _escalate(plan, subject, target, namespaces)


def _read(namespace: str) -> Iterator[Try]:
    for kind in (CONFIG_MAP, SECRET, POD):
        yield Try(
            attempt=READS,
            method="GET",
            path=url_path(kind, namespace),
            query=ONE,
            what=f"listing {kind.plural} in {namespace}",
        )


def _relabel(namespace: str, labels: Mapping[str, str]) -> Try:
    return Try(
        attempt=LABELS,
        method="PATCH",
        path=url_path(NAMESPACE, None, namespace),
        query=_DRY,
        headers={"Content-Type": "application/merge-patch+json"},
        body={"metadata": {"labels": dict(labels)}},
        what=f"labelling namespace {namespace} with {', '.join(labels)}",
    )


def _unbound(namespace: str, quota: str, *, own: bool) -> Iterator[Try]:
    path = url_path(RESOURCE_QUOTA, namespace, quota)
    yield Try(
        attempt=QUOTA,
        method="PATCH",
        path=path,
        query=_DRY,
        headers={"Content-Type": "application/merge-patch+json"},
        body={"spec": {"hard": {"pods": "100000"}}},
        what=f"raising ResourceQuota {namespace}/{quota}",
    )
    if own:
        yield Try(
            attempt=QUOTA,
            method="DELETE",
            path=path,
            query=_DRY[:1],
            what=f"deleting ResourceQuota {namespace}/{quota}",
        )


def _escalate(plan: BorderPlan, subject: str, target: str, namespaces: tuple[str, ...]) -> Iterator[Try]:
    """List the ways to become more than one is: everybody's master, or somebody of the other tenant."""
    if subject == target:
        account = next(iter(plan.sides[subject].accounts))
        yield _create(ESCALATION, CLUSTER_ROLE_BINDING, "", _grant(account))
        yield Try(
            attempt=ESCALATION,
            method="GET",
            path=url_path(NAMESPACE),
            query=ONE,
            headers={"Impersonate-User": NAME, "Impersonate-Group": "system:masters"},
            what="impersonating system:masters",
        )
        return
    for account in plan.sides[target].accounts[:1]:
        yield Try(
            attempt=ESCALATION,
            method="POST",
            path=url_path(SERVICE_ACCOUNT, SYSTEM_NAMESPACE, account, "token"),
            query=_DRY[:1],
            headers={"Content-Type": "application/json"},
            body={
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": TOKEN_SECONDS},
            },
            what=f"asking for a token of account {account}",
        )
        if namespaces:
            yield Try(
                attempt=ESCALATION,
                method="GET",
                path=url_path(CONFIG_MAP, namespaces[0]),
                query=ONE,
                headers={"Impersonate-User": f"system:serviceaccount:{SYSTEM_NAMESPACE}:{account}"},
                what=f"impersonating account {account}",
            )


def _create(attempt: str, kind: Kind, namespace: str, content: Mapping[str, Any]) -> Try:
    metadata = {"name": NAME} | ({"namespace": namespace} if namespace else {})
    return Try(
        attempt=attempt,
        method="POST",
        path=url_path(kind, namespace or None),
        query=_DRY,
        headers={"Content-Type": "application/json"},
        body={"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **content},
        what=f"creating a {kind.kind}{f' in {namespace}' if namespace else ''}",
    )


def _grant(account: str) -> dict[str, Any]:
    return {
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": SYSTEM_NAMESPACE}],
    }
