"""What others have hung into a child's API server and what would break a change of it: dead webhooks and dead APIs.

A finding only where a change needs what is broken; all else is a warning. What a change needs:

* A new API server writes its built-in objects before it is ready (RBAC, priority classes, flow schemas, APIServices),
  controllers write leases, accounts and ConfigMaps in kube-system, kubelets their nodes and the pods of kube-system. A
  webhook that must be asked about these and that nobody answers stops the change half-way.
* Atoll's verification after each change makes a namespace and waits until it is gone. A namespace goes only when the
  API server can list all of its APIs: seen on real planes, an APIService without a backend keeps namespaces for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from atoll.fleet.cluster import Finding
from atoll.fleet.values import Requirement, Selector
from atoll.ports import Body

from .answers import clean_text
from .kinds import API_SERVICE, ENDPOINT_SLICE, MUTATING_WEBHOOKS, NAMESPACE, SERVICE, VALIDATING_WEBHOOKS
from .member import MemberClient
from .trial import VERIFICATION_LABEL

DEAD_WEBHOOK: Final = "WebhookUnavailable"
DEAD_API: Final = "APIServiceUnavailable"
SERVICES_LIMIT: Final = 50
"""How many Services of webhooks are looked into."""
_RBAC: Final = "rbac.authorization.k8s.io"
_WRITES: Final = frozenset({"CREATE", "UPDATE", "DELETE", "*"})
_NAME: Final = "kubernetes.io/metadata.name"
_SYSTEM: Final = ("", "pods"), ("", "configmaps"), ("", "serviceaccounts"), ("coordination.k8s.io", "leases")
_CLUSTER: Final = (
    ("", "nodes"),
    (_RBAC, "clusterroles"),
    (_RBAC, "clusterrolebindings"),
    ("scheduling.k8s.io", "priorityclasses"),
    ("flowcontrol.apiserver.k8s.io", "flowschemas"),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
    ("apiregistration.k8s.io", "apiservices"),
)
_TRIAL: Final = ("", "serviceaccounts"), ("", "configmaps")
_TRIAL_LABELS: Final = MappingProxyType({_NAME: "atoll-verify", VERIFICATION_LABEL: "true"})

Told = tuple[tuple[Finding, ...], tuple[Finding, ...]]
"""(findings, warnings)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One webhook that must be asked, behind a Service."""

    configuration: str
    """Kind and name."""
    name: str
    service: tuple[str, str]
    """Namespace and name."""
    body: Mapping[str, Any]


async def check_webhooks(client: MemberClient) -> Told:
    """Find webhooks with failurePolicy Fail whose Service has nobody behind it."""
    configurations, system = await asyncio.gather(
        asyncio.gather(client.store.list(VALIDATING_WEBHOOKS), client.store.list(MUTATING_WEBHOOKS)),
        client.store.get(NAMESPACE, None, "kube-system"),
    )
    hooks = list_hooks([body for found in configurations for body in found])
    services = sorted({hook.service for hook in hooks})
    looked = services[:SERVICES_LIMIT]
    dead = {service for service in looked if not await _is_served(client, *service)}
    labels = {_NAME: "kube-system", **((system or {}).get("metadata", {}).get("labels") or {})}
    told = [(hook, find_needed(hook.body, labels)) for hook in hooks if hook.service in dead]
    findings = tuple(build_dead_webhook(hook, needed) for hook, needed in told if needed)
    warnings = tuple(build_dead_webhook(hook, needed) for hook, needed in told if not needed)
    if len(services) > len(looked):
        more = f"{len(services) - len(looked)} Services of webhooks were not looked at: there are {len(services)}"
        warnings = (*warnings, Finding(reason=DEAD_WEBHOOK, message=more))
    return findings, warnings


async def check_api_services(client: MemberClient) -> Told:
    """Find aggregated APIs that nobody serves."""
    bodies = await client.store.list(API_SERVICE)
    return tuple(build_dead_api(body) for body in bodies if is_dead(body)), ()


def list_hooks(configurations: Iterable[Body]) -> tuple[Hook, ...]:
    """List the webhooks that must be asked and that stand behind a Service, in order."""
    found = []
    for configuration in configurations:
        metadata = configuration["metadata"]
        for webhook in configuration.get("webhooks") or ():
            service = (webhook.get("clientConfig") or {}).get("service")
            # Behind a URL there may be anything, reached by ways that we do not see.
            if webhook.get("failurePolicy", "Fail") != "Fail" or not service:
                continue
            found.append(
                Hook(
                    configuration=f"{configuration['kind']} {clean_text(str(metadata.get('name')), 253)}",
                    name=clean_text(str(webhook.get("name")), 253),
                    service=(str(service.get("namespace")), str(service.get("name"))),
                    body=webhook,
                )
            )
    return tuple(sorted(found, key=lambda hook: (hook.configuration, hook.name)))


def find_needed(webhook: Mapping[str, Any], system_labels: Mapping[str, str]) -> str:
    """Name something that a change writes and that the webhook must be asked about; empty when there is nothing.

    A webhook that looks at labels of objects or has conditions is asked about none of it as far as anybody can tell.
    """
    if webhook.get("matchConditions") or not _is_empty(webhook.get("objectSelector")):
        return ""
    rules = [rule for rule in webhook.get("rules") or () if _WRITES & set(rule.get("operations") or ())]
    selector = webhook.get("namespaceSelector")
    # Names of verification's namespaces differ from child to child; a selector that knows one is no selector of these.
    trial, system = _selects(selector, _TRIAL_LABELS), _selects(selector, system_labels)
    asked = [
        *((*what, "Namespaced", f"{what[1]} in kube-system") for what in _SYSTEM if system),
        *((*what, "Cluster", what[1]) for what in _CLUSTER),
        *([("", "namespaces", "Cluster", "namespaces")] if trial or system else []),
        *((*what, "Namespaced", f"{what[1]} in new namespaces") for what in _TRIAL if trial),
    ]
    return next(
        (name for group, plural, scope, name in asked if any(_covers(rule, group, plural, scope) for rule in rules)), ""
    )


def build_dead_webhook(hook: Hook, needed: str) -> Finding:
    """Tell of a webhook that nobody answers; `needed`: what of a change it stops."""
    namespace, name = hook.service
    service = f"{clean_text(namespace, 63)}/{clean_text(name, 63)}"
    what = (
        f"a change writes {needed}, which it would refuse" if needed else "it refuses whatever it must be asked about"
    )
    return Finding(
        reason=DEAD_WEBHOOK,
        message=f"webhook {hook.name} of {hook.configuration} has failurePolicy Fail, and its Service {service} has no "
        f"ready endpoint: {what}. Bring the Service up, delete the webhook, or exempt kube-system in its "
        "namespaceSelector",
        field=f"webhook:{hook.configuration.partition(' ')[2]}/{hook.name}",
    )


def is_dead(body: Body) -> bool:
    """Say whether an APIService is somebody else's server and does not answer."""
    if not (body.get("spec") or {}).get("service"):
        return False
    conditions = (body.get("status") or {}).get("conditions") or ()
    return not any(item.get("type") == "Available" and item.get("status") == "True" for item in conditions)


def build_dead_api(body: Body) -> Finding:
    """Tell of an aggregated API that nobody serves."""
    name = clean_text(str(body["metadata"].get("name")), 253)
    conditions = (body.get("status") or {}).get("conditions") or ()
    said = next((str(item.get("message") or "") for item in conditions if item.get("type") == "Available"), "")
    return Finding(
        reason=DEAD_API,
        message=f"APIService {name} is not available ({clean_text(said, 200) or 'no reason given'}): no namespace can "
        "be deleted while that lasts, and each change is verified by making and deleting one. Bring its server up, or "
        f"delete the APIService: kubectl delete apiservice {name}",
        field=f"apiservice:{name}",
    )


async def _is_served(client: MemberClient, namespace: str, name: str) -> bool:
    """Say whether anybody stands behind a Service, as far as the API server can tell."""
    service = await client.store.get(SERVICE, namespace, name)
    if service is None:
        return False
    if (service.get("spec") or {}).get("type") == "ExternalName":
        return True
    slices = await client.store.list(ENDPOINT_SLICE, namespace, f"kubernetes.io/service-name={name}")
    return any(is_ready(endpoint) for body in slices for endpoint in body.get("endpoints") or ())


def is_ready(endpoint: Mapping[str, Any]) -> bool:
    """Say whether an endpoint takes requests; one that does not say counts as ready, as the API tells."""
    return (endpoint.get("conditions") or {}).get("ready") is not False and bool(endpoint.get("addresses"))


def _covers(rule: Mapping[str, Any], group: str, plural: str, scope: str) -> bool:
    groups: Sequence[str] = rule.get("apiGroups") or ()
    resources: Sequence[str] = rule.get("resources") or ()
    return (
        ("*" in groups or group in groups)
        and any(resource in {"*", "*/*", plural} for resource in resources)
        and (rule.get("scope") or "*") in {"*", scope}
    )


def _selects(body: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Match as webhooks do: a selector that says nothing selects everything."""
    if body is None or _is_empty(body):
        return True
    expressions = tuple(
        Requirement(key=str(entry["key"]), operator=str(entry["operator"]), values=tuple(entry.get("values") or ()))
        for entry in body.get("matchExpressions") or ()
    )
    return Selector(match_labels=body.get("matchLabels") or {}, match_expressions=expressions).matches(labels)


def _is_empty(body: Mapping[str, Any] | None) -> bool:
    return not body or not (body.get("matchLabels") or body.get("matchExpressions"))
