"""Versions of control planes: one minor up, one minor back within seven days, and what is known of both before.

Going back follows the user guide (rollback-cluster): only what was upgraded in place, within seven days of it, to the
minor before, while nothing else is under way; what is stored stays, node groups and add-ons are the caller's to bring
back, and a readiness insight that says ERROR stands in the way unless the call is forced.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from .eks_clusters import FAILS, begin_update, require_active
from .eks_state import Account, Cluster, Doing, EksError, Part, Update, new_update
from .eks_versions import EXTENDED, check_version, find_addon_release, minor_number, turn

ROLLBACK_SECONDS: Final = 7 * 86400
KUBELET_SKEW: Final = 3
UPGRADE: Final = "UPGRADE_READINESS"
ROLLBACK: Final = "ROLLBACK_READINESS"


def update_cluster_version(account: Account, doing: Doing) -> dict[str, Any]:
    """Begin to bring a control plane to another minor version."""
    params = doing.params
    cluster = account.find(params["name"])
    before = account.again(doing)
    if before is not None:
        return before
    require_active(cluster)
    now, wanted = cluster.body["version"], params.get("version", cluster.body["version"])
    name = cluster.name
    if wanted == now:
        message = f"unsupported Kubernetes version update from {now} to {wanted}"
        raise EksError("InvalidParameterException", message, clusterName=name)
    check_version(wanted, "EXTENDED", name)
    step = minor_number(wanted) - minor_number(now)
    if step not in (1, -1):
        message = f"Unsupported Kubernetes minor version update from {now} to {wanted}"
        raise EksError("InvalidParameterException", message, clusterName=name)
    if step < 0:
        _check_rollback(account, cluster, wanted)
    elif "rollbackConfig" in params:
        raise EksError("InvalidParameterException", "rollbackConfig is for rollbacks", clusterName=name)
    else:
        _check_nodegroups(cluster)
    category = UPGRADE if step > 0 else ROLLBACK
    blocking = [insight for insight in list_insights_of(account, cluster) if _blocks(insight, category, wanted)]
    if blocking and not params.get("force", False):
        found = ", ".join(insight["name"] for insight in blocking)
        raise EksError("InvalidStateException", f"Amazon EKS detected readiness issues: {found}", clusterName=name)
    return begin_update(account, cluster, doing, _build_update(account, cluster, wanted, broken=doing.broken))


def _build_update(account: Account, cluster: Cluster, wanted: str, *, broken: bool) -> Update:
    now = cluster.body["version"]
    back = minor_number(wanted) < minor_number(now)

    def apply() -> None:
        cluster.body["version"] = wanted
        cluster.upgraded_from = "" if back else now
        cluster.upgraded_at = account.cloud.now()

    said = {"Version": wanted, "PlatformVersion": cluster.body["platformVersion"]}
    kind = "VersionRollback" if back else "VersionUpdate"
    update = new_update(account.cloud, kind, said, apply, FAILS if broken else "")
    if not broken:
        account.cloud.backing.change(cluster.key, wanted)
        update.waits_for_plane = True
    return update


def _check_rollback(account: Account, cluster: Cluster, wanted: str) -> None:
    name = cluster.name
    if cluster.upgraded_from != wanted:
        message = f"Cluster {name} was not upgraded in place from {wanted}: it cannot be rolled back to it"
        raise EksError("InvalidRequestException", message, clusterName=name)
    if account.cloud.now() - cluster.upgraded_at > ROLLBACK_SECONDS:
        message = f"Cluster {name} was upgraded more than 7 days ago: it cannot be rolled back"
        raise EksError("InvalidRequestException", message, clusterName=name)
    if wanted in EXTENDED and cluster.body["upgradePolicy"]["supportType"] == "STANDARD":
        message = f"Kubernetes version {wanted} is in extended support: set the upgrade policy to EXTENDED first"
        raise EksError("InvalidRequestException", message, clusterName=name)


def _check_nodegroups(cluster: Cluster) -> None:
    """Refuse to go ahead of node groups, as the API reference has it."""
    late = [n for n, part in cluster.nodegroups.items() if part.body["version"] != cluster.body["version"]]
    if late:
        message = (
            f"Nodegroups {', '.join(late)} must be updated to match cluster version {cluster.body['version']} "
            "before updating cluster version"
        )
        raise EksError("InvalidRequestException", message, clusterName=cluster.name, nodegroupName=late[0])


def _blocks(insight: dict[str, Any], category: str, version: str) -> bool:
    status = insight["insightStatus"]["status"]
    return bool(insight["category"] == category and insight["kubernetesVersion"] == version and status == "ERROR")


def list_insights_of(account: Account, cluster: Cluster) -> list[dict[str, Any]]:
    """Return what was put there by hand, and what follows from node groups and add-ons."""
    now = cluster.body["version"]
    found = list(cluster.insights.values())
    ways = [(UPGRADE, f"1.{minor_number(now) + 1}")]
    if cluster.upgraded_from and account.cloud.now() - cluster.upgraded_at <= ROLLBACK_SECONDS:
        ways.append((ROLLBACK, cluster.upgraded_from))
    for category, target in ways:
        found.append(_judge_kubelets(account, cluster, category, target))
        found.append(_judge_addons(account, cluster, category, target))
    return found


def _judge_kubelets(account: Account, cluster: Cluster, category: str, target: str) -> dict[str, Any]:
    versions = {name: minor_number(part.body["version"]) for name, part in cluster.nodegroups.items()}
    limit = minor_number(target)
    bad = [name for name, minor in versions.items() if minor > limit or limit - minor > KUBELET_SKEW]
    reason = f"node groups {', '.join(bad)} do not fit Kubernetes {target}" if bad else "all kubelets fit"
    return build_insight(
        account, cluster, category, target, "Kubelet version skew", "ERROR" if bad else "PASSING", reason
    )


def _judge_addons(account: Account, cluster: Cluster, category: str, target: str) -> dict[str, Any]:
    bad = []
    for name, addon in cluster.addons.items():
        release = find_addon_release(name, addon.body["addonVersion"])
        if release is not None and target not in release.fits:
            bad.append(name)
    worst = "ERROR" if category == ROLLBACK else "WARNING"
    reason = f"add-ons {', '.join(bad)} have versions that do not fit Kubernetes {target}" if bad else "all add-ons fit"
    title = "EKS add-on version compatibility"
    return build_insight(account, cluster, category, target, title, worst if bad else "PASSING", reason)


def build_insight(
    account: Account, cluster: Cluster, category: str, version: str, name: str, status: str, reason: str
) -> dict[str, Any]:
    """Return an insight as DescribeInsight shows it; its id follows from what it is about."""
    seen = cluster.refresh_ready_at if cluster.refresh_started_at is not None else cluster.body["createdAt"]
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{cluster.key} {category} {version} {name}")),
        "name": name,
        "category": category,
        "kubernetesVersion": version,
        "lastRefreshTime": min(seen, account.cloud.now()),
        "lastTransitionTime": cluster.body["createdAt"],
        "description": f"Checks for {name} before Kubernetes {version}.",
        "insightStatus": {"status": status, "reason": reason},
        "recommendation": "Mend what is named before changing the version.",
        "additionalInfo": {},
        "resources": [],
        "categorySpecificSummary": {"deprecationDetails": [], "addonCompatibilityDetails": []},
    }


SUMMARY: Final = (
    "id",
    "name",
    "category",
    "kubernetesVersion",
    "lastRefreshTime",
    "lastTransitionTime",
    "description",
    "insightStatus",
)


def list_insights(account: Account, doing: Doing) -> dict[str, Any]:
    """List insights in short."""
    params = doing.params
    chosen, wanted = [], params.get("filter", {})
    for insight in list_insights_of(account, account.find(params["clusterName"])):
        values = (insight["category"], insight["kubernetesVersion"], insight["insightStatus"]["status"])
        filters = (wanted.get("categories"), wanted.get("kubernetesVersions"), wanted.get("statuses"))
        if all(not allowed or value in allowed for value, allowed in zip(values, filters, strict=True)):
            chosen.append((insight["id"], {name: insight[name] for name in SUMMARY}))
    shown, following = turn(chosen, params, account.cloud.faults.page_size)
    return {"insights": shown, "nextToken": following or None}


def describe_insight(account: Account, doing: Doing) -> dict[str, Any]:
    """Show an insight."""
    found = list_insights_of(account, account.find(doing.params["clusterName"]))
    insight = next((insight for insight in found if insight["id"] == doing.params["id"]), None)
    if insight is None:
        raise EksError("ResourceNotFoundException", f"No insight found for id: {doing.params['id']}")
    return {"insight": insight}


def start_insights_refresh(account: Account, doing: Doing) -> dict[str, Any]:
    """Begin to look again."""
    cluster = account.find(doing.params["clusterName"])
    if cluster.refresh_started_at is not None and account.cloud.now() < cluster.refresh_ready_at:
        message = "An insights refresh is already in progress"
        raise EksError("InvalidRequestException", message, clusterName=cluster.name)
    cluster.refresh_started_at, cluster.refresh_ready_at = account.cloud.now(), account.cloud.later()
    return {"status": "IN_PROGRESS", "message": "Insights refresh is in progress"}


def describe_insights_refresh(account: Account, doing: Doing) -> dict[str, Any]:
    """Say how far looking again has come."""
    cluster = account.find(doing.params["clusterName"])
    if cluster.refresh_started_at is None:
        raise EksError("ResourceNotFoundException", "No insights refresh found", clusterName=cluster.name)
    done = account.cloud.now() >= cluster.refresh_ready_at
    return {
        "status": "COMPLETED" if done else "IN_PROGRESS",
        "message": "Insights refresh is " + ("completed" if done else "in progress"),
        "startedAt": cluster.refresh_started_at,
        "endedAt": cluster.refresh_ready_at if done else None,
    }


def _owner_of(account: Account, doing: Doing) -> Cluster | Part:
    """Return what the updates of a call belong to: the cluster, or one of its node groups or add-ons."""
    params = doing.params
    cluster = account.find(params["name"])
    nodegroup, addon = params.get("nodegroupName"), params.get("addonName")
    if nodegroup and addon:
        raise EksError("InvalidParameterException", "name either a node group or an add-on")
    if not nodegroup and not addon:
        return cluster
    part = cluster.nodegroups.get(nodegroup) if nodegroup else cluster.addons.get(str(addon))
    if part is None:
        raise EksError("ResourceNotFoundException", f"No {nodegroup or addon} found in {cluster.name}")
    return part


def list_updates(account: Account, doing: Doing) -> dict[str, Any]:
    """List the ids of updates."""
    ids = [(update_id, update_id) for update_id in _owner_of(account, doing).updates]
    shown, following = turn(ids, doing.params, account.cloud.faults.page_size)
    return {"updateIds": shown, "nextToken": following or None}


def describe_update(account: Account, doing: Doing) -> dict[str, Any]:
    """Show an update."""
    update_id = doing.params["updateId"]
    update = _owner_of(account, doing).updates.get(update_id)
    if update is None:
        raise EksError("ResourceNotFoundException", f"No update found for ID: {update_id}")
    return {"update": dict(update.body)}


def cancel_update(account: Account, doing: Doing) -> dict[str, Any]:
    """Refuse: EKS cancels rollbacks of Auto Mode clusters alone, which this stand-in does not have."""
    update = describe_update(account, doing)["update"]
    message = f"Update {update['id']} of type {update['type']} cannot be cancelled"
    raise EksError("InvalidRequestException", message, clusterName=doing.params["name"])
