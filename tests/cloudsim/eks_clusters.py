"""The calls on clusters: create, describe, list, delete, and changes of their configuration."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable
from typing import Any, Final

from .eks_state import Account, Cluster, Doing, EksError, Update, new_update
from .eks_versions import DEFAULT_VERSION, check_version, turn
from .sts import Identity

PLATFORM: Final = "eks.8"
LOG_TYPES: Final = ("api", "audit", "authenticator", "controllerManager", "scheduler")
FAILS: Final = "the stand-in was told to let this fail"
ROLE: Final = re.compile(r"arn:aws:iam::(\d{12}):role/[\w+=,.@/-]+")


def create_cluster(account: Account, doing: Doing) -> dict[str, Any]:
    """Begin a cluster; the same token again shows the cluster that it made."""
    params, cloud = doing.params, account.cloud
    name = params["name"]
    before = account.again(doing)
    if before is not None:
        return before
    if account.look(name) is not None:
        raise EksError("ResourceInUseException", f"Cluster already exists with name: {name}", clusterName=name)
    version = params.get("version", DEFAULT_VERSION)
    support = params.get("upgradePolicy", {}).get("supportType", "EXTENDED")
    check_version(version, support, name)
    check_role(account, params["roleArn"])
    vpc = params["resourcesVpcConfig"]
    check_subnets(account, vpc.get("subnetIds") or [], at_least=2)
    check_endpoint(vpc)
    key = f"eks-{uuid.uuid4().hex[:12]}"
    cluster = Cluster(
        body=_build_body(account, doing, version, support),
        key=key,
        creator=doing.caller,
        ready_at=cloud.later(),
        hidden_until=cloud.now() + cloud.faults.hidden_seconds,
        fails_with=FAILS if doing.broken else "",
    )
    account.clusters[name] = cluster
    if not doing.broken:
        cloud.backing.begin(key, version)
    account.remember(doing, lambda: show(account, cluster) if account.look(name) is cluster else None)
    return show(account, cluster)


def _build_body(account: Account, doing: Doing, version: str, support: str) -> dict[str, Any]:
    params = doing.params
    vpc, access = params["resourcesVpcConfig"], params.get("accessConfig", {})
    network = params.get("kubernetesNetworkConfig", {})
    issuer = f"https://oidc.eks.{account.cloud.region}.amazonaws.com/id/{uuid.uuid4().hex.upper()}"
    kept = ("roleArn", "encryptionConfig", "remoteNetworkConfig", "zonalShiftConfig", "computeConfig", "storageConfig")
    return {
        "name": params["name"],
        "arn": account.arn(f"cluster/{params['name']}"),
        "createdAt": account.cloud.now(),
        "version": version,
        "status": "CREATING",
        "platformVersion": PLATFORM,
        "resourcesVpcConfig": {
            "subnetIds": list(vpc["subnetIds"]),
            "securityGroupIds": list(vpc.get("securityGroupIds", [])),
            "clusterSecurityGroupId": f"sg-{uuid.uuid4().hex[:17]}",
            "vpcId": "vpc-0123456789abcdef0",
            "endpointPublicAccess": vpc.get("endpointPublicAccess", True),
            "endpointPrivateAccess": vpc.get("endpointPrivateAccess", False),
            "publicAccessCidrs": list(vpc.get("publicAccessCidrs") or ["0.0.0.0/0"]),
        },
        "kubernetesNetworkConfig": {
            "serviceIpv4Cidr": network.get("serviceIpv4Cidr", "10.100.0.0/16"),
            "ipFamily": network.get("ipFamily", "ipv4"),
        },
        "logging": merge_logging({}, params.get("logging", {})),
        "identity": {"oidc": {"issuer": issuer}},
        "tags": dict(params.get("tags", {})),
        "accessConfig": {
            "bootstrapClusterCreatorAdminPermissions": access.get("bootstrapClusterCreatorAdminPermissions", True),
            "authenticationMode": access.get("authenticationMode", "CONFIG_MAP"),
        },
        "upgradePolicy": {"supportType": support},
        "deletionProtection": params.get("deletionProtection", False),
        "health": {"issues": []},
        **{name: params[name] for name in kept if name in params},
    }


def check_role(account: Account, arn: str) -> None:
    """Refuse a role that is none, or another account's."""
    found = ROLE.fullmatch(arn)
    if found is None:
        raise EksError("InvalidParameterException", f"Role with arn: {arn}, could not be assumed")
    if found[1] != account.number:
        raise EksError("AccessDeniedException", "Cross-account pass role is not allowed.")


def check_subnets(account: Account, subnets: list[str], *, at_least: int) -> None:
    """Refuse too few subnets, and what is not there."""
    if len(set(subnets)) < at_least:
        message = f"Subnets specified must be in at least two different AZs: {', '.join(subnets)}"
        raise EksError("InvalidParameterException", message)
    for subnet in subnets:
        if not re.fullmatch(r"subnet-[0-9a-z]+", subnet) or subnet in account.missing_subnets:
            message = f"The subnet ID '{subnet}' does not exist (Service: AmazonEC2; Status Code: 400)"
            raise EksError("InvalidParameterException", message)


def check_endpoint(vpc: dict[str, Any]) -> None:
    """Refuse an API server that nobody could reach."""
    if not vpc.get("endpointPublicAccess", True) and not vpc.get("endpointPrivateAccess", False):
        raise EksError("InvalidParameterException", "Private and public endpoint access cannot be false")


def merge_logging(before: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return which logs are on after a change."""
    on = {kind for setup in before.get("clusterLogging", ()) if setup["enabled"] for kind in setup["types"]}
    for setup in change.get("clusterLogging", ()):
        kinds = set(setup.get("types", ()))
        on = on | kinds if setup.get("enabled") else on - kinds
    parts = [
        ([kind for kind in LOG_TYPES if kind in on], True),
        ([kind for kind in LOG_TYPES if kind not in on], False),
    ]
    return {"clusterLogging": [{"types": kinds, "enabled": enabled} for kinds, enabled in parts if kinds]}


def show(account: Account, cluster: Cluster) -> dict[str, Any]:
    """Return a cluster as the API shows it: its endpoint once there is one."""
    found = account.cloud.backing.endpoint(cluster.key)
    body = dict(cluster.body)
    if found is not None and cluster.status not in ("CREATING", "FAILED"):
        url, authority = found
        body["endpoint"] = url
        body["certificateAuthority"] = {"data": base64.b64encode(authority.encode()).decode()}
    return {"cluster": body}


def describe_cluster(account: Account, doing: Doing) -> dict[str, Any]:
    """Show a cluster."""
    return show(account, account.find(doing.params["name"]))


def list_clusters(account: Account, doing: Doing) -> dict[str, Any]:
    """List names."""
    names = [(cluster.name, cluster.name) for cluster in account.visible()]
    shown, following = turn(names, doing.params, account.cloud.faults.page_size)
    return {"clusters": shown, "nextToken": following or None}


def delete_cluster(account: Account, doing: Doing) -> dict[str, Any]:
    """Begin to delete a cluster. What its own controllers made outside stays."""
    name = doing.params["name"]
    cluster = account.look(name)
    if cluster is None:
        raise EksError("ResourceNotFoundException", f"No cluster found for name: {name}.", clusterName=name)
    if cluster.body["deletionProtection"]:
        message = f"Cluster {name} cannot be deleted because deletion protection is enabled"
        raise EksError("InvalidRequestException", message, clusterName=name)
    if cluster.nodegroups:
        first = next(iter(cluster.nodegroups))
        message = "Cluster has nodegroups attached"
        raise EksError("ResourceInUseException", message, clusterName=name, nodegroupName=first)
    if cluster.status not in ("ACTIVE", "FAILED"):
        message = f"Cannot delete because cluster {name} currently has an update in progress: {cluster.status}"
        raise EksError("ResourceInUseException", message, clusterName=name)
    cluster.body["status"] = "DELETING"
    cluster.ready_at = account.cloud.later()
    account.cloud.backing.end(cluster.key)
    return show(account, cluster)


def require_active(cluster: Cluster) -> None:
    """Refuse while something else is under way."""
    name, update = cluster.name, cluster.open_update()
    if update is not None:
        message = f"Cannot update because cluster {name} currently has update {update.body['id']} in progress"
        raise EksError("ResourceInUseException", message, clusterName=name)
    if cluster.status != "ACTIVE":
        message = f"Cluster '{name}' is not in ACTIVE status: it is {cluster.status}"
        raise EksError("InvalidRequestException", message, clusterName=name)


def begin_update(account: Account, cluster: Cluster, doing: Doing, update: Update) -> dict[str, Any]:
    """Take up an update of a cluster."""
    cluster.updates[update.body["id"]] = update
    cluster.body["status"] = "UPDATING"
    account.remember(doing, lambda: {"update": update.body})
    return {"update": dict(update.body)}


def update_cluster_config(account: Account, doing: Doing) -> dict[str, Any]:
    """Begin to change one kind of setting; several at once are refused, and so is what is so already."""
    params, cloud = doing.params, account.cloud
    cluster = account.find(params["name"])
    before = account.again(doing)
    if before is not None:
        return before
    changes = list(_list_changes(account, cluster, dict(params)))
    if not changes:
        raise EksError("InvalidParameterException", "No changes needed for the cluster: nothing to update")
    if len(changes) > 1:
        raise EksError("InvalidParameterException", "Only one type of update can be allowed.")
    require_active(cluster)
    kind, said, wanted = changes[0]
    if all(cluster.body.get(name) == value for name, value in wanted.items()):
        message = f"Cluster is already at the desired configuration with {json.dumps(said)}"
        raise EksError("InvalidParameterException", message, clusterName=cluster.name)
    apply: Callable[[], None] = lambda: cluster.body.update(wanted)  # noqa: E731
    update = new_update(cloud, kind, said, apply, FAILS if doing.broken else "")
    return begin_update(account, cluster, doing, update)


Change = tuple[str, dict[str, str], dict[str, Any]]
"""Type of the update, its parameters as shown, and the members of the cluster that it sets."""


def _list_changes(account: Account, cluster: Cluster, params: dict[str, Any]) -> list[Change]:
    """Return the kinds of change that a call asks for."""
    changes: list[Change] = []
    asked, old = params.get("resourcesVpcConfig", {}), cluster.body["resourcesVpcConfig"]
    access = {k: asked[k] for k in ("endpointPublicAccess", "endpointPrivateAccess", "publicAccessCidrs") if k in asked}
    places = {k: asked[k] for k in ("subnetIds", "securityGroupIds") if k in asked}
    if access:
        check_endpoint({**old, **access})
        said = {f"{k[0].upper()}{k[1:]}": json.dumps(v) for k, v in access.items()}
        changes.append(("EndpointAccessUpdate", said, {"resourcesVpcConfig": {**old, **access}}))
    if places:
        check_subnets(account, places.get("subnetIds", old["subnetIds"]), at_least=2)
        shown = {"subnetIds": "Subnets", "securityGroupIds": "SecurityGroups"}
        said = {shown[k]: json.dumps(v) for k, v in places.items()}
        changes.append(("VpcConfigUpdate", said, {"resourcesVpcConfig": {**old, **places}}))
    if "logging" in params:
        after = merge_logging(cluster.body["logging"], params["logging"])
        changes.append(("LoggingUpdate", {"ClusterLogging": json.dumps(params["logging"])}, {"logging": after}))
    for name, kind, shown_as in (
        ("accessConfig", "AccessConfigUpdate", "AuthenticationMode"),
        ("upgradePolicy", "UpgradePolicyUpdate", "UpgradePolicy"),
        ("zonalShiftConfig", "ZonalShiftConfigUpdate", "ZonalShiftConfig"),
    ):
        if name in params:
            after = {**cluster.body.get(name, {}), **params[name]}
            changes.append((kind, {shown_as: json.dumps(params[name])}, {name: after}))
    if "deletionProtection" in params:
        value = params["deletionProtection"]
        said = {"DeletionProtection": json.dumps(value)}
        changes.append(("DeletionProtectionUpdate", said, {"deletionProtection": value}))
    unknown = set(params) - {"name", "clientRequestToken", "resourcesVpcConfig", "logging", "accessConfig"}
    unknown -= {"upgradePolicy", "zonalShiftConfig", "deletionProtection"}
    if unknown:
        raise EksError("InvalidParameterException", f"this stand-in cannot update {', '.join(sorted(unknown))}")
    return changes


def is_admin(cluster: Cluster, identity: Identity) -> bool:
    """Say whether somebody may do everything in a cluster: its creator, unless that was declined."""
    bootstrap = cluster.body["accessConfig"]["bootstrapClusterCreatorAdminPermissions"]
    return bool(bootstrap) and identity.principal == cluster.creator.principal
