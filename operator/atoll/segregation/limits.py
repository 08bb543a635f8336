"""How much a namespace may use: the quota, and defaults for pods that name no amounts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from atoll.fleet.decisions import Placement
from atoll.fleet.values import Resources, format_quantity

from .metadata import Labels, build_metadata

NAME: Final = "atoll"

OBJECT_COUNTS: Final = (
    ("count/configmaps", 200),
    ("count/cronjobs.batch", 50),
    ("count/daemonsets.apps", 50),
    ("count/deployments.apps", 100),
    ("count/horizontalpodautoscalers.autoscaling", 100),
    ("count/ingresses.networking.k8s.io", 50),
    ("count/jobs.batch", 200),
    ("count/leases.coordination.k8s.io", 200),
    ("count/poddisruptionbudgets.policy", 100),
    ("count/replicasets.apps", 1500),
    ("count/replicationcontrollers", 50),
    ("count/secrets", 200),
    ("count/serviceaccounts", 50),
    ("count/services", 100),
    ("count/statefulsets.apps", 100),
    ("persistentvolumeclaims", 50),
    ("services.loadbalancers", 0),
    ("services.nodeports", 0),
)
"""Bounds on what fills etcd without using cpu or memory: one for each kind that a role may create, pods excepted.

A Deployment keeps ten ReplicaSets by default. Load balancers cost money, node ports cross borders: none.
"""

_QUOTA_KEYS: Final = {
    "cpu": ("requests.cpu", "limits.cpu"),
    "memory": ("requests.memory", "limits.memory"),
    "pods": ("pods",),
    "storage": ("requests.storage",),
}
_TYPICAL_PODS = 10
"""How many pods a namespace may have for which nobody says."""
_MEBIBYTE = 1024 * 1024
_CPU = (Decimal("0.01"), Decimal("0.5"), Decimal("0.001"))
_MEMORY = (Decimal(16 * _MEBIBYTE), Decimal(512 * _MEBIBYTE), Decimal(_MEBIBYTE))


def build_quota(placement: Placement, resources: Resources, labels: Labels | None = None) -> dict[str, Any]:
    """Build the quota. Storage that was not asked for is refused: nothing was counted for it when placing.

    Pods are bounded even where nobody names an amount, and each of them by what is the most by default.
    """
    pods = resources.get("pods") or Decimal(_TYPICAL_PODS)
    unnamed = {"storage": Decimal(0), "pods": pods, "cpu": pods * _CPU[1], "memory": pods * _MEMORY[1]}
    hard = {name: str(count) for name, count in OBJECT_COUNTS}
    amounts = {**unnamed, **resources.amounts}
    for name, amount in amounts.items():
        for key in _QUOTA_KEYS.get(name, (f"requests.{name}",)):
            hard[key] = format_quantity(amount)
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": build_metadata(
            NAME, placement.namespace, tenant=placement.tenant, environment=placement.environment, labels=labels
        ),
        "spec": {"hard": dict(sorted(hard.items()))},
    }


def build_limit_range(placement: Placement, resources: Resources, labels: Labels | None = None) -> dict[str, Any]:
    """Build the defaults of a container: its even share of the quota, within what is sane, never above the quota.

    Limit and request are the same, because the quota bounds both by the same amount.
    """
    pods = resources.get("pods") or Decimal(_TYPICAL_PODS)
    defaults = {
        name: format_quantity(_choose_default(resources.amounts.get(name), pods, *bounds))
        for name, bounds in (("cpu", _CPU), ("memory", _MEMORY))
    }
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": build_metadata(
            NAME, placement.namespace, tenant=placement.tenant, environment=placement.environment, labels=labels
        ),
        "spec": {"limits": [{"type": "Container", "default": defaults, "defaultRequest": dict(defaults)}]},
    }


def _choose_default(quota: Decimal | None, pods: Decimal, least: Decimal, most: Decimal, unit: Decimal) -> Decimal:
    if quota is None:
        return most
    share = min(max(quota / pods, least), most)
    if quota < share:
        return quota
    return share // unit * unit
