"""Policies about pods in tenants' namespaces, and about what pods are made from, so that a user hears it early.

They hold for everybody and under every pod-security level. Pod security `baseline`, which is the least that Atoll
sets, refuses most of this, too; but its label is one edit away from `privileged`, it says nothing of a Deployment, and
nothing of priorities. What is left to it: capabilities, seccomp, SELinux, sysctls, and all that `restricted` adds.
"""

from __future__ import annotations

from collections.abc import Sequence

from .cel import IN_TENANTS_NAMESPACES, Body, build_policy, build_rule, build_validation, write_list

_WRITES = ("CREATE", "UPDATE")
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")


def build_pod_fences(priority_classes: Sequence[str]) -> list[Body]:
    """Build the policies with their bindings; `priority_classes`: those that tenants may use."""
    pods = [build_rule("", "v1", ("pods", "pods/ephemeralcontainers"), _WRITES)]
    workloads = [
        build_rule("apps", "v1", ("daemonsets", "deployments", "replicasets", "statefulsets"), _WRITES),
        build_rule("batch", "v1", ("jobs",), _WRITES),
    ]
    controllers = [build_rule("", "v1", ("replicationcontrollers",), _WRITES)]
    cron_jobs = [build_rule("batch", "v1", ("cronjobs",), _WRITES)]
    return [
        *_build_fence("atoll-tenant-pods", pods, "spec", "", None),
        *_build_fence("atoll-tenant-workloads", workloads, "spec.template.spec", "", priority_classes),
        *_build_fence(
            "atoll-tenant-controllers", controllers, "spec.template.spec", "has({}.spec.template)", priority_classes
        ),
        *_build_fence("atoll-tenant-cronjobs", cron_jobs, "spec.jobTemplate.spec.template.spec", "", priority_classes),
        *_build_priorities(priority_classes),
    ]


def _build_fence(name: str, rules: list[Body], path: str, present: str, classes: Sequence[str] | None) -> list[Body]:
    """Build what holds for the pod spec at `path`.

    Only a changed pod spec is looked at: what stood in a namespace before it was fenced can still be scaled, and goes.
    """
    condition = f"oldObject == null || oldObject.{path} != object.{path}"
    if present:
        condition = (
            f"{present.format('object')} && (oldObject == null || !{present.format('oldObject')} || {condition})"
        )
    pod = f"object.{path}"
    lists = _CONTAINERS if path == "spec" else _CONTAINERS[:2]
    prefix = "" if path == "spec" else f"{path.removesuffix('.spec')}."
    validations = [
        build_validation(
            f"!{pod}.?volumes.orValue([]).exists(volume, has(volume.hostPath))",
            f"{prefix}spec.volumes must have no hostPath in a tenant's namespace: it is a file of the node. Use a "
            "persistentVolumeClaim, emptyDir, configMap or secret.",
        ),
        build_validation(
            " && ".join(f"!{pod}.?{field}.orValue(false)" for field in ("hostNetwork", "hostPID", "hostIPC")),
            f"{prefix}spec must not set hostNetwork, hostPID or hostIPC in a tenant's namespace: they go past its "
            "border. Remove them.",
        ),
        build_validation(
            _no_container(pod, lists[:2], "container.?ports.orValue([]).exists(port, port.?hostPort.orValue(0) > 0)"),
            f"{prefix}spec.containers[].ports must have no hostPort in a tenant's namespace: it is a port of the node. "
            "Remove it, and put a Service in front.",
        ),
        build_validation(
            _no_container(
                pod,
                lists,
                "container.?securityContext.?privileged.orValue(false) || "
                "container.?securityContext.?windowsOptions.?hostProcess.orValue(false)",
            )
            + f" && !{pod}.?securityContext.?windowsOptions.?hostProcess.orValue(false)",
            f"{prefix}spec must have no privileged container and no hostProcess in a tenant's namespace: they are the "
            "node. Remove securityContext.privileged and windowsOptions.hostProcess.",
        ),
    ]
    # The scheduler chooses by a binding, which is no update of the pod; a kubelet writes its own static pods down.
    chosen = f"{pod}.?nodeName.orValue('') == ''"
    if path == "spec":
        chosen = f"request.operation != 'CREATE' || {chosen} || 'system:nodes' in request.userInfo.?groups.orValue([])"
    validations.append(
        build_validation(
            chosen,
            f"{prefix}spec.nodeName must be empty in a tenant's namespace: it goes past the scheduler and its taints. "
            "Use nodeSelector or affinity.",
        )
    )
    if classes is not None:
        validations.append(
            build_validation(
                f"{pod}.?priorityClassName.orValue('') in {write_list(('', *classes))}",
                _tell_classes(f"{prefix}spec.priorityClassName", classes),
            )
        )
    match: Body = {"namespaceSelector": IN_TENANTS_NAMESPACES, "resourceRules": rules}
    return build_policy(name, match, validations, conditions=[("pod-spec-changed", condition)])


def _build_priorities(classes: Sequence[str]) -> list[Body]:
    """Build the policy that pods have no foreign priority class.

    Asked once for each class that there is: a class that the cluster gives to all pods by default stands in every pod,
    and only the class itself says that it is the default.
    """
    match: Body = {
        "namespaceSelector": IN_TENANTS_NAMESPACES,
        "resourceRules": [build_rule("", "v1", ("pods",), ("CREATE",))],
    }
    allowed = f" || params.metadata.name in {write_list(classes)}" if classes else ""
    validation = build_validation(
        "object.spec.?priorityClassName.orValue('') != params.metadata.name || params.?globalDefault.orValue(false)"
        f"{allowed}",
        _tell_classes("spec.priorityClassName", classes),
    )
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    reference: Body = {"selector": {}, "parameterNotFoundAction": "Allow"}
    return build_policy("atoll-tenant-priorities", match, [validation], params=(kind, reference))


def _no_container(pod: str, lists: Sequence[str], condition: str) -> str:
    return " && ".join(f"!{pod}.?{name}.orValue([]).exists(container, {condition})" for name in lists)


def _tell_classes(field: str, classes: Sequence[str]) -> str:
    allowed = f"must be empty or one of {', '.join(classes)}" if classes else "must be empty"
    return f"{field} {allowed} in a tenant's namespace: with a higher priority its pods would push others out."
