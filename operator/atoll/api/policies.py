"""Admission policies of the management cluster: what CRD rules cannot see, such as annotations and who asks.

They are a first line only: `membership.protection` checks again before anything is destroyed, because deleting a CRD
goes past every policy. All fail closed for our own group; the one about namespaces fails open, so that a broken policy
never keeps other people's namespaces from going.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from atoll.fleet.names import ABANDON, ADOPT, CONFIRM_DELETION, HOLD, REQUESTED_BY, TAKE_OVER
from atoll.segregation.cel import Body, build_validation, write_list

from .identity import GARBAGE_COLLECTOR, NAMESPACE_CONTROLLER, Identity
from .meta import API_VERSION, GROUP
from .policies_people import build_approvers, build_requesters
from .policy_parts import match, pair

PROTECTED: Final = ("clustersets", "hostpools", "environments", "tenants")
OWNED: Final = ("childclusters", "hosts", "rollouts")
"""Kinds that Atoll alone makes and deletes."""
WITH_STATUS: Final = (
    "clustersets",
    "childclusters",
    "hostpools",
    "hosts",
    "environments",
    "tenants",
    "regimes",
    "rollouts",
)


def build_validating_policies(identity: Identity, delegates: Sequence[str] = ()) -> tuple[Body, ...]:
    """Build every ValidatingAdmissionPolicy with its binding, for management clusters from 1.30 on.

    `delegates`: user names that may name somebody else as the requester, such as a GitOps controller.
    """
    return (
        *build_deletion_protection(),
        *build_in_use(),
        *build_owned(identity),
        *build_fleet_namespaces(),
        *build_approvers(),
        *build_requesters(delegates),
        *build_adoption(),
    )


def build_deletion_protection() -> tuple[Body, ...]:
    """Build the policy that protected objects go only when an annotation names them."""
    named = f"oldObject.metadata.?annotations[?'{CONFIRM_DELETION}'].orValue('') == oldObject.metadata.name"
    spec = {
        "matchConstraints": match(PROTECTED, "DELETE"),
        "failurePolicy": "Fail",
        "validations": [
            build_validation(
                f"!oldObject.spec.?deletionProtection.orValue(false) || {named}",
                "spec.deletionProtection is true. Annotate the object with "
                f"{CONFIRM_DELETION}=<its name>, then delete it again.",
                say=(
                    "oldObject.kind + ' ' + oldObject.metadata.name + ' has spec.deletionProtection. To delete it, "
                    "run: kubectl annotate -n ' + oldObject.metadata.namespace + ' ' + request.resource.resource + "
                    f"'.{GROUP} ' + oldObject.metadata.name + ' {CONFIRM_DELETION}=' + oldObject.metadata.name"
                ),
            )
        ],
    }
    return pair("Validating", "deletion-protection", spec)


def build_in_use() -> tuple[Body, ...]:
    """Build the policy that keeps Environments, Regimes and HostPools that are in use."""
    spec = {
        "matchConstraints": match(("environments", "regimes", "hostpools"), "DELETE"),
        "failurePolicy": "Fail",
        "validations": [
            _in_use(
                "environments",
                "oldObject.?status.?tenantCount.orValue(0)",
                "tenants are still in it. Take it out of their spec.environments first.",
            ),
            _in_use(
                "regimes",
                "oldObject.?status.?demandedBy.orValue(0)",
                "environments and tenants still demand it. Take it out of their spec.regimes first.",
            ),
            _in_use(
                "regimes",
                "oldObject.?status.?attestedBy.orValue(0)",
                "clusters are still attested for it. Take it out of the regimes of their ClusterSets first.",
            ),
            _in_use(
                "hostpools",
                "oldObject.?status.?hosts.?claimed.orValue(0)",
                "of its hosts still belong to clusters. Remove those clusters, or move them to other hosts, first.",
            ),
        ],
    }
    return pair("Validating", "in-use", spec)


def build_owned(identity: Identity) -> tuple[Body, ...]:
    """Build the policy that Atoll alone makes, changes and deletes what is its own, and writes every status.

    Everybody with the right to update may set the annotations abandon, hold and take-over and those of other tools, and
    `spec.action` of a Rollout.
    """
    trusted = (
        f"(request.userInfo.username in {write_list(identity.usernames)} || "
        f"request.userInfo.?groups.orValue([]).exists(group, group in {write_list(identity.groups)}))"
    )
    cleaner = f"(request.userInfo.username in {write_list((GARBAGE_COLLECTOR, NAMESPACE_CONTROLLER))})"
    same_metadata = " && ".join(
        f"object.metadata.?{field} == oldObject.metadata.?{field}"
        for field in ("labels", "finalizers", "ownerReferences")
    )
    free = write_list((ABANDON, HOLD, TAKE_OVER))
    # On a Rollout the requester is written by our own mutating policy, in the name of whoever asks.
    own = f"request.resource.resource == 'rollouts' && key == '{REQUESTED_BY}'"
    ours = f"key.startsWith('{GROUP}/') && !(key in {free}) && !({own})"
    now, then = (f"{owner}.metadata.?annotations.orValue({{}})" for owner in ("object", "oldObject"))
    spec = {
        "matchConstraints": match(
            (*OWNED, *(f"{plural}/status" for plural in WITH_STATUS)), "CREATE", "UPDATE", "DELETE"
        ),
        "failurePolicy": "Fail",
        "variables": [
            {"name": "trusted", "expression": trusted},
            {"name": "cleaner", "expression": cleaner},
            {"name": "status", "expression": "request.?subResource.orValue('') == 'status'"},
            {"name": "kind", "expression": "(object != null ? object : oldObject).kind"},
        ],
        "validations": [
            build_validation(
                "variables.trusted || request.operation != 'CREATE'",
                "only Atoll makes objects of this kind.",
                say=(
                    "'only Atoll makes a ' + variables.kind + '. Change the ClusterSet, HostPool or Tenant that it "
                    "follows from.'"
                ),
            ),
            build_validation(
                "variables.trusted || variables.cleaner || request.operation != 'DELETE'",
                "only Atoll deletes objects of this kind.",
                say=(
                    "'only Atoll deletes a ' + variables.kind + '. Take its member out of spec.clusters (and name it "
                    "in spec.confirmRemoval to destroy the cluster), or its host out of spec.hosts; a Rollout goes "
                    "with its ClusterSet.'"
                ),
            ),
            build_validation(
                "variables.trusted || !variables.status",
                "only Atoll writes status.",
                say="'only Atoll writes the status of a ' + variables.kind + '. Change its spec instead.'",
            ),
            build_validation(
                "variables.trusted || variables.status || request.operation != 'UPDATE' || "
                "request.resource.resource == 'rollouts' || object.spec == oldObject.spec",
                "only Atoll writes this spec.",
                say=(
                    "'only Atoll writes the spec of a ' + variables.kind + '. Change the ClusterSet or HostPool that "
                    "it follows from.'"
                ),
            ),
            build_validation(
                "variables.trusted || variables.cleaner || variables.status || request.operation != 'UPDATE' || "
                f"({same_metadata})",
                "only Atoll writes labels, finalizers and owner references here.",
                say=(
                    "'only Atoll writes labels, finalizers and owner references of a ' + variables.kind + '. Set "
                    "labels at the ClusterSet or its member; to skip what an unreachable cluster holds up, annotate "
                    f"the ChildCluster with {ABANDON}=true.'"
                ),
            ),
            build_validation(
                "variables.trusted || variables.status || request.operation != 'UPDATE' || ("
                f"{now}.all(key, !({ours}) || {then}[?key] == {now}[?key]) && "
                f"{then}.all(key, !({ours}) || {now}[?key] == {then}[?key]))",
                f"only Atoll writes annotations under {GROUP} here, but for {ABANDON} and {TAKE_OVER}.",
            ),
        ],
    }
    return pair("Validating", "owned", spec)


def build_fleet_namespaces() -> tuple[Body, ...]:
    """Build the policy that a fleet's namespace stays while ChildClusters are in it."""
    # No selector by label: whoever may delete a namespace may mostly take its label away first.
    spec = {
        "paramKind": {"apiVersion": API_VERSION, "kind": "ChildCluster"},
        "matchConstraints": match(("namespaces",), "DELETE", group="", version="v1"),
        "failurePolicy": "Ignore",
        "validations": [
            build_validation(
                "params == null",
                "the namespace is a fleet with ChildClusters in it. Delete its ClusterSets and wait until their "
                "clusters are gone or orphaned, then delete the namespace again.",
                say=(
                    "'namespace ' + oldObject.metadata.name + ' is a fleet with ChildClusters in it, such as ' + "
                    "params.metadata.name + '. Delete its ClusterSets and wait until their clusters are gone or "
                    "orphaned, then delete the namespace again.'"
                ),
            )
        ],
    }
    # For a Namespace the parameters are looked up in the namespace of that name.
    return pair(
        "Validating", "fleet-namespaces", spec, {"paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"}}
    )


def build_adoption() -> tuple[Body, ...]:
    """Build the policy that a tenant does not help itself to what an earlier one of its name left.

    Teams may mostly edit their own Tenant. Taking over data takes a verb of its own: `adopt` on that Tenant.
    """
    after, before = (f"{it}.metadata.?annotations[?'{ADOPT}'].orValue('')" for it in ("object", "oldObject"))
    spec = {
        "matchConstraints": match(("tenants",), "CREATE", "UPDATE"),
        "failurePolicy": "Fail",
        "validations": [
            build_validation(
                f"{after} == '' || (oldObject != null && {after} == {before}) || "
                f"authorizer.group('{GROUP}').resource('tenants').namespace(object.metadata.namespace)"
                ".name(object.metadata.name).check('adopt').allowed()",
                f"annotation {ADOPT} hands the tenant what others have left. Ask somebody who has the verb `adopt` on "
                "this Tenant (RBAC) to set it.",
            )
        ],
    }
    return pair("Validating", "adoption", spec)


def _in_use(resource: str, count: str, remedy: str) -> Body:
    return build_validation(
        f"request.resource.resource != '{resource}' || {count} == 0",
        f"it is in use: {remedy}",
        say=f"oldObject.kind + ' ' + oldObject.metadata.name + ' is in use: ' + string({count}) + ' {remedy}'",
    )
