"""Add-ons: those that are declared, in versions that fit the control plane. Pure.

vpc-cni moves before the nodes, because new nodes are ready only with it; kube-proxy and whatever runs as ordinary pods
move after them, because kube-proxy must not be newer than the kubelets beside it, and CoreDNS needs nodes to run on.
"""

from __future__ import annotations

from typing import Final

from atoll.providers.managed.marks import ID
from atoll.providers.managed.moves import Call, Fail, Move, Wait

from .seen import SeenAddon, describe_issues
from .settings import WantedAddon
from .task import Task, with_token
from .versions import choose_addon_version, choose_version_before, step

BEFORE_NODES: Final = frozenset({"vpc-cni"})
_ORDER: Final = ("vpc-cni", "kube-proxy", "coredns")
MENDABLE: Final = frozenset({"ConfigurationConflict", "K8sResourceNotFound", "UnsupportedAddonModification"})
"""Somebody has changed or removed what EKS put into the cluster: EKS puts it back when it is told to."""


def order_addons(addons: tuple[WantedAddon, ...]) -> tuple[WantedAddon, ...]:
    """Return add-ons in the order in which they move: vpc-cni, kube-proxy, coredns, then others by name."""
    return tuple(
        sorted(addons, key=lambda one: (_ORDER.index(one.name) if one.name in _ORDER else len(_ORDER), one.name))
    )


def plan_addon(task: Task, wanted: WantedAddon) -> Move | None:
    """Install an add-on that is missing, and bring one that is there to the version that fits."""
    addon = task.seen.addon(wanted.name)
    if addon is None:
        version = {"addonVersion": wanted.version} if wanted.version else {}
        return with_token(
            task.operation,
            "create_addon",
            f"install add-on {wanted.name}",
            {
                "clusterName": task.seen.name,
                "addonName": wanted.name,
                **version,
                # A new cluster has vpc-cni, kube-proxy and CoreDNS as plain manifests: EKS takes those over.
                "resolveConflicts": "OVERWRITE",
                "tags": dict(task.tags),
            },
        )
    waiting = _plan_rest(addon)
    if waiting is not None:
        return waiting
    if addon.status in {"CREATE_FAILED", "DELETE_FAILED"}:
        if task.is_own(addon.created):
            return _fail(addon, "install")
        return _remove(task, addon)
    version_wanted = choose_addon_version(
        wanted.version, addon.version, task.seen.offers.get((addon.name, task.seen.version))
    )
    if version_wanted or addon.status == "UPDATE_FAILED" or is_mendable(addon):
        return _update(task, addon, version_wanted or addon.version)
    return None


def plan_before_return(task: Task, addon: SeenAddon) -> Move | None:
    """Bring an add-on to a version that runs with the control plane of before, too."""
    waiting = _plan_rest(addon)
    if waiting is not None:
        return waiting
    wanted = task.block.addon(addon.name)
    if task.seen.version == task.target:
        return None
    version = choose_version_before(
        wanted.version if wanted is not None else "",
        addon.version,
        task.seen.offers.get((addon.name, task.seen.version)),
        task.seen.offers.get((addon.name, step(task.seen.version, -1))),
    )
    if version is None:
        return Fail(
            message=f"add-on {addon.name} {addon.version} does not run with Kubernetes {task.target}, and EKS has no "
            f"version of it that runs with {task.seen.version} too. Remove the add-on, and try again"
        )
    return _update(task, addon, version) if version else None


def plan_removal(task: Task, addon: SeenAddon) -> Move:
    """Remove an add-on that we have installed and that nobody declares any more."""
    return _plan_rest(addon) or _remove(task, addon)


def find_surplus(task: Task) -> tuple[SeenAddon, ...]:
    """Return the add-ons that we have installed and that nobody declares any more; others' stay."""
    return tuple(
        addon
        for addon in task.seen.addons
        if addon.tags.get(ID) == task.ref.id and task.block.addon(addon.name) is None
    )


def is_mendable(addon: SeenAddon) -> bool:
    """Say whether telling EKS the version again mends a degraded add-on."""
    return addon.status == "DEGRADED" and any(code in MENDABLE for code, _ in addon.issues)


def _plan_rest(addon: SeenAddon) -> Move | None:
    doing = {"CREATING": "installs", "UPDATING": "changes", "DELETING": "removes"}.get(addon.status)
    return Wait(step=f"EKS {doing} add-on {addon.name}") if doing else None


def _update(task: Task, addon: SeenAddon, version: str) -> Move:
    if (addon.status == "UPDATE_FAILED" or is_mendable(addon)) and task.is_own(addon.modified):
        return _fail(addon, f"bring to {version}")
    return with_token(
        task.operation,
        "update_addon",
        f"bring add-on {addon.name} to {version}",
        {
            "clusterName": task.seen.name,
            "addonName": addon.name,
            "addonVersion": version,
            # What people have set inside the cluster stays, unless the add-on is broken by it.
            "resolveConflicts": "OVERWRITE" if is_mendable(addon) else "PRESERVE",
        },
    )


def _remove(task: Task, addon: SeenAddon) -> Move:
    return Call(
        name="delete_addon",
        arguments={"clusterName": task.seen.name, "addonName": addon.name},
        step=f"remove add-on {addon.name}",
    )


def _fail(addon: SeenAddon, what: str) -> Move:
    return Fail(
        message=f"EKS tried to {what} add-on {addon.name} and ended with {addon.status}: "
        f"{describe_issues(addon.issues)}. Mend what it names, and try again"
    )
