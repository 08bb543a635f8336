"""Policies about what else reaches past a tenant's namespace: Services, volume claims, lasting tokens.

They hold for everybody; the controller that binds claims to volumes is the one exception.
"""

from __future__ import annotations

from .cel import IN_TENANTS_NAMESPACES, Body, build_policy, build_rule, build_validation, write_user_is
from .guards import SYSTEM_GROUPS, SYSTEM_USERS

_WRITES = ("CREATE", "UPDATE")
_SPEC_CHANGED = ("spec-changed", "oldObject == null || oldObject.spec != object.spec")


def build_other_fences() -> list[Body]:
    """Build the policies with their bindings."""
    return [*_build_services(), *_build_claims(), *_build_secrets()]


def _build_services() -> list[Body]:
    validations = [
        build_validation(
            "object.spec.?type.orValue('ClusterIP') != 'NodePort' && "
            "object.spec.?ports.orValue([]).all(port, port.?nodePort.orValue(0) == 0) && "
            "object.spec.?healthCheckNodePort.orValue(0) == 0",
            "spec must use no ports of the nodes in a tenant's namespace: they go past its border. Use type ClusterIP; "
            "a LoadBalancer needs allocateLoadBalancerNodePorts: false and externalTrafficPolicy: Cluster.",
        ),
        build_validation(
            "object.spec.?externalIPs.orValue([]).size() == 0",
            "spec.externalIPs must be empty in a tenant's namespace: with it a Service takes over calls to addresses "
            "of others. Remove it.",
        ),
        build_validation(
            "object.spec.?type.orValue('ClusterIP') != 'ExternalName'",
            "spec.type must not be ExternalName in a tenant's namespace: an ingress controller would follow the name "
            "past the border. Call the name itself.",
        ),
    ]
    return _build("atoll-tenant-services", build_rule("", "v1", ("services",), _WRITES), validations, _SPEC_CHANGED)


def _build_claims() -> list[Body]:
    binder = write_user_is(SYSTEM_USERS, SYSTEM_GROUPS)
    # A StatefulSet's and a pod's claims are created by controllers of kube-system, so these are trusted with
    # changes alone.
    condition = (
        f"request.operation == 'CREATE' || (!{binder} && "
        "oldObject.spec.?volumeName.orValue('') != object.spec.?volumeName.orValue(''))"
    )
    validation = build_validation(
        "object.spec.?volumeName.orValue('') == ''",
        "spec.volumeName must be empty in a tenant's namespace: a volume that exists may hold what another tenant has "
        "left. Leave the choice to the storage class.",
    )
    rule = build_rule("", "v1", ("persistentvolumeclaims",), _WRITES)
    return _build("atoll-tenant-claims", rule, [validation], ("volume-chosen", condition))


def _build_secrets() -> list[Body]:
    validation = build_validation(
        "object.?type.orValue('') != 'kubernetes.io/service-account-token'",
        "type must not be kubernetes.io/service-account-token in a tenant's namespace: such a token never ends. Ask "
        "for a short-lived one (atoll kubeconfig), or let the pod mount its own.",
    )
    return _build("atoll-tenant-secrets", build_rule("", "v1", ("secrets",), ("CREATE",)), [validation], None)


def _build(name: str, rule: Body, validations: list[Body], condition: tuple[str, str] | None) -> list[Body]:
    match: Body = {"namespaceSelector": IN_TENANTS_NAMESPACES, "resourceRules": [rule]}
    return build_policy(name, match, validations, conditions=[condition] if condition else ())
