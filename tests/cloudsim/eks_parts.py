"""The calls on node groups and add-ons."""

from __future__ import annotations

import uuid
from typing import Any

from .eks_clusters import FAILS, check_role, check_subnets
from .eks_state import Account, Cluster, Doing, EksError, Part, new_update, settle_part
from .eks_upgrades import ROLLBACK_SECONDS
from .eks_versions import ADDONS, RELEASES, default_addon_version, find_addon_release, turn

AMI_DATE = "20261101"


def _find(account: Account, cluster: Cluster, parts: dict[str, Part], name: str, kind: str) -> Part:
    part = parts.get(name)
    if part is None or account.cloud.now() < part.hidden_until or not settle_part(account.cloud.now(), part):
        word = "node group" if kind == "nodegroupName" else "addon"
        message = f"No {word} found for name: {name}."
        raise EksError("ResourceNotFoundException", message, **{"clusterName": cluster.name, kind: name})
    return part


def _begin(account: Account, doing: Doing, parts: dict[str, Part], name: str, part: Part, shown: str) -> dict[str, Any]:
    """Take up a new node group or add-on."""
    part.fails_with = FAILS if doing.broken else ""
    part.hidden_until = account.cloud.now() + account.cloud.faults.hidden_seconds
    parts[name] = part
    account.remember(doing, lambda: {shown: dict(part.body)} if parts.get(name) is part else None)
    return {shown: dict(part.body)}


def _begin_update(
    account: Account, doing: Doing, part: Part, kind: str, said: dict[str, str], change: dict[str, Any]
) -> dict[str, Any]:
    """Take up an update of a node group or an add-on."""
    update = new_update(account.cloud, kind, said, lambda: part.body.update(change), FAILS if doing.broken else "")
    part.updates[update.body["id"]] = update
    part.body["status"] = "UPDATING"
    account.remember(doing, lambda: {"update": dict(update.body)})
    return {"update": dict(update.body)}


def _delete(account: Account, doing: Doing, part: Part) -> None:
    if part.body["status"] == "DELETING":
        return
    part.body["status"] = "DELETING"
    part.ready_at = account.cloud.later()
    part.fails_with = FAILS if doing.broken else ""


def _require_ready(part: Part, what: str, **names: str) -> None:
    if part.body["status"] in ("CREATING", "UPDATING", "DELETING"):
        message = f"{what} cannot be updated as it is currently not in Active State: {part.body['status']}"
        raise EksError("ResourceInUseException", message, **names)


def require_usable(cluster: Cluster) -> None:
    """Refuse to add to a cluster that is not there yet, or no more."""
    if cluster.status not in ("ACTIVE", "UPDATING"):
        message = f"Cluster '{cluster.name}' is not in ACTIVE status: it is {cluster.status}"
        raise EksError("InvalidRequestException", message, clusterName=cluster.name)


def create_nodegroup(account: Account, doing: Doing) -> dict[str, Any]:
    """Begin a node group, at the version of its cluster."""
    params, cloud = doing.params, account.cloud
    cluster, name = account.find(params["clusterName"]), params["nodegroupName"]
    before = account.again(doing)
    if before is not None:
        return before
    require_usable(cluster)
    if name in cluster.nodegroups:
        message = f"NodeGroup already exists with name {name} and cluster name {cluster.name}"
        raise EksError("ResourceInUseException", message, clusterName=cluster.name, nodegroupName=name)
    version = params.get("version", cluster.body["version"])
    if version != cluster.body["version"]:
        message = f"The node group's version {version} is not the cluster's {cluster.body['version']}"
        raise EksError("InvalidParameterException", message, clusterName=cluster.name, nodegroupName=name)
    check_role(account, params["nodeRole"])
    check_subnets(account, params["subnets"], at_least=1)
    scaling = {"minSize": 1, "maxSize": 2, "desiredSize": 2, **params.get("scalingConfig", {})}
    check_scaling(scaling)
    now = cloud.now()
    kept = ("remoteAccess", "taints", "launchTemplate", "nodeRepairConfig", "warmPoolConfig")
    body = {
        "nodegroupName": name,
        "nodegroupArn": account.arn(f"nodegroup/{cluster.name}/{name}/{uuid.uuid4()}"),
        "clusterName": cluster.name,
        "version": version,
        "releaseVersion": params.get("releaseVersion", release_of(version)),
        "createdAt": now,
        "modifiedAt": now,
        "status": "CREATING",
        "capacityType": params.get("capacityType", "ON_DEMAND"),
        "scalingConfig": scaling,
        "instanceTypes": list(params.get("instanceTypes") or ["t3.medium"]),
        "subnets": list(params["subnets"]),
        "amiType": params.get("amiType", "AL2023_x86_64_STANDARD"),
        "nodeRole": params["nodeRole"],
        "labels": dict(params.get("labels", {})),
        "diskSize": params.get("diskSize", 20),
        "updateConfig": params.get("updateConfig", {"maxUnavailable": 1}),
        "health": {"issues": []},
        "tags": dict(params.get("tags", {})),
        **{member: params[member] for member in kept if member in params},
    }
    part = Part(body=body, ready_at=cloud.later())
    return _begin(account, doing, cluster.nodegroups, name, part, "nodegroup")


def release_of(version: str) -> str:
    """Return the newest image of a minor version."""
    return f"{RELEASES[version][0]}-{AMI_DATE}"


def check_scaling(scaling: dict[str, int]) -> None:
    """Refuse sizes that contradict each other."""
    if not scaling["minSize"] <= scaling["desiredSize"] <= scaling["maxSize"]:
        message = (
            f"desired capacity {scaling['desiredSize']} is not between {scaling['minSize']} and {scaling['maxSize']}"
        )
        raise EksError("InvalidParameterException", message)


def find_nodegroup(account: Account, doing: Doing) -> tuple[Cluster, Part]:
    """Return the node group that a call is about."""
    cluster = account.find(doing.params["clusterName"])
    return cluster, _find(account, cluster, cluster.nodegroups, doing.params["nodegroupName"], "nodegroupName")


def describe_nodegroup(account: Account, doing: Doing) -> dict[str, Any]:
    """Show a node group."""
    return {"nodegroup": dict(find_nodegroup(account, doing)[1].body)}


def list_nodegroups(account: Account, doing: Doing) -> dict[str, Any]:
    """List names."""
    parts = account.find(doing.params["clusterName"]).nodegroups
    names = [(name, name) for name, part in parts.items() if account.cloud.now() >= part.hidden_until]
    shown, following = turn(names, doing.params, account.cloud.faults.page_size)
    return {"nodegroups": shown, "nextToken": following or None}


def delete_nodegroup(account: Account, doing: Doing) -> dict[str, Any]:
    """Begin to delete a node group."""
    cluster, part = find_nodegroup(account, doing)
    if part.body["status"] in ("CREATING", "UPDATING"):
        message = f"Nodegroup cannot be deleted while it is {part.body['status']}"
        raise EksError("ResourceInUseException", message, clusterName=cluster.name)
    _delete(account, doing, part)
    return {"nodegroup": dict(part.body)}


def update_nodegroup_version(account: Account, doing: Doing) -> dict[str, Any]:
    """Begin to bring nodes to the version of their cluster; to the one before it while it may be rolled back."""
    params = doing.params
    cluster, part = find_nodegroup(account, doing)
    before = account.again(doing)
    if before is not None:
        return before
    name = params["nodegroupName"]
    _require_ready(part, f"Nodegroup {name}", clusterName=cluster.name, nodegroupName=name)
    wanted = params.get("version", cluster.body["version"])
    allowed = {cluster.body["version"], part.body["version"]}
    if cluster.upgraded_from and account.cloud.now() - cluster.upgraded_at <= ROLLBACK_SECONDS:
        allowed.add(cluster.upgraded_from)
    if wanted not in allowed:
        message = (
            f"Requested Nodegroup version {wanted} is not compatible with cluster version {cluster.body['version']}"
        )
        raise EksError("InvalidParameterException", message, clusterName=cluster.name, nodegroupName=name)
    release = params.get("releaseVersion", release_of(wanted))
    if (wanted, release) == (part.body["version"], part.body["releaseVersion"]):
        message = f"Nodegroup {name} is already at version {wanted} and release {release}"
        raise EksError("InvalidRequestException", message, clusterName=cluster.name, nodegroupName=name)
    change = {"version": wanted, "releaseVersion": release}
    return _begin_update(account, doing, part, "VersionUpdate", {"Version": wanted, "ReleaseVersion": release}, change)


def update_nodegroup_config(account: Account, doing: Doing) -> dict[str, Any]:
    """Begin to change sizes, labels, taints or how updates go."""
    params = doing.params
    cluster, part = find_nodegroup(account, doing)
    before = account.again(doing)
    if before is not None:
        return before
    name, body = params["nodegroupName"], part.body
    _require_ready(part, f"Nodegroup {name}", clusterName=cluster.name, nodegroupName=name)
    change: dict[str, Any] = {}
    said: dict[str, str] = {}
    if "scalingConfig" in params:
        change["scalingConfig"] = {**body["scalingConfig"], **params["scalingConfig"]}
        check_scaling(change["scalingConfig"])
        said |= {f"{key[0].upper()}{key[1:]}": str(value) for key, value in params["scalingConfig"].items()}
    if "labels" in params:
        gone = params["labels"].get("removeLabels", [])
        kept = {key: value for key, value in body["labels"].items() if key not in gone}
        change["labels"] = {**kept, **params["labels"].get("addOrUpdateLabels", {})}
        said["LabelsToAdd"] = str(sorted(params["labels"].get("addOrUpdateLabels", {})))
    if "taints" in params:
        asked = params["taints"]
        gone = [(taint["key"], taint["effect"]) for taint in asked.get("removeTaints", [])]
        new = asked.get("addOrUpdateTaints", [])
        gone += [(taint["key"], taint["effect"]) for taint in new]
        change["taints"] = [t for t in body.get("taints", []) if (t["key"], t["effect"]) not in gone] + new
        said["TaintsToAdd"] = str([taint["key"] for taint in new])
    change |= {member: params[member] for member in ("updateConfig", "nodeRepairConfig") if member in params}
    return _begin_update(account, doing, part, "ConfigUpdate", said, change)


def create_addon(account: Account, doing: Doing) -> dict[str, Any]:
    """Begin an add-on, at a version that fits its cluster."""
    params, cloud = doing.params, account.cloud
    cluster, name = account.find(params["clusterName"]), params["addonName"]
    before = account.again(doing)
    if before is not None:
        return before
    require_usable(cluster)
    if name in cluster.addons:
        message = f"Addon already exists: {name}"
        raise EksError("ResourceInUseException", message, clusterName=cluster.name, addonName=name)
    version = params.get("addonVersion") or _default(name, cluster)
    check_addon(name, version, cluster)
    now = cloud.now()
    kept = ("serviceAccountRoleArn", "configurationValues")
    body = {
        "addonName": name,
        "clusterName": cluster.name,
        "status": "CREATING",
        "addonVersion": version,
        "health": {"issues": []},
        "addonArn": account.arn(f"addon/{cluster.name}/{name}/{uuid.uuid4()}"),
        "createdAt": now,
        "modifiedAt": now,
        "tags": dict(params.get("tags", {})),
        **{member: params[member] for member in kept if member in params},
    }
    return _begin(account, doing, cluster.addons, name, Part(body=body, ready_at=cloud.later()), "addon")


def _default(name: str, cluster: Cluster) -> str:
    return default_addon_version(name, cluster.body["version"]) if name in ADDONS else ""


def check_addon(name: str, version: str, cluster: Cluster) -> None:
    """Refuse add-ons that EKS does not have, and versions that do not fit."""
    release, minor = find_addon_release(name, version), cluster.body["version"]
    names = {"clusterName": cluster.name, "addonName": name}
    if name not in ADDONS:
        raise EksError("InvalidParameterException", f"Addon {name} specified is not supported", **names)
    if release is None or minor not in release.fits:
        message = f"Addon version specified is not supported: {name} {version} with Kubernetes {minor}"
        raise EksError("InvalidParameterException", message, **names)


def find_addon(account: Account, doing: Doing) -> tuple[Cluster, Part]:
    """Return the add-on that a call is about."""
    cluster = account.find(doing.params["clusterName"])
    return cluster, _find(account, cluster, cluster.addons, doing.params["addonName"], "addonName")


def describe_addon(account: Account, doing: Doing) -> dict[str, Any]:
    """Show an add-on."""
    return {"addon": dict(find_addon(account, doing)[1].body)}


def list_addons(account: Account, doing: Doing) -> dict[str, Any]:
    """List names."""
    parts = account.find(doing.params["clusterName"]).addons
    names = [(name, name) for name, part in parts.items() if account.cloud.now() >= part.hidden_until]
    shown, following = turn(names, doing.params, account.cloud.faults.page_size)
    return {"addons": shown, "nextToken": following or None}


def update_addon(account: Account, doing: Doing) -> dict[str, Any]:
    """Begin to change the version or the settings of an add-on."""
    params = doing.params
    cluster, part = find_addon(account, doing)
    before = account.again(doing)
    if before is not None:
        return before
    name = params["addonName"]
    _require_ready(part, f"Addon {name}", clusterName=cluster.name, addonName=name)
    change = {
        member: params[member]
        for member in ("addonVersion", "serviceAccountRoleArn", "configurationValues")
        if member in params
    }
    check_addon(name, change.get("addonVersion", part.body["addonVersion"]), cluster)
    said = {f"{key[0].upper()}{key[1:]}": str(value) for key, value in change.items()}
    return _begin_update(account, doing, part, "AddonUpdate", said, change)


def delete_addon(account: Account, doing: Doing) -> dict[str, Any]:
    """Begin to delete an add-on."""
    _, part = find_addon(account, doing)
    _delete(account, doing, part)
    return {"addon": dict(part.body)}
