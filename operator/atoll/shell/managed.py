"""The providers of managed clusters, put together. None of their SDKs is imported before a cluster asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from atoll.kube.store import Store
from atoll.ports import Clock, Provider
from atoll.providers.aks.cloud import AksCloud
from atoll.providers.aks.errors import translate as translate_aks
from atoll.providers.eks.cloud import EksCloud
from atoll.providers.eks.errors import translate as translate_eks
from atoll.providers.gke.cloud import GkeCloud
from atoll.providers.gke.errors import translate as translate_gke
from atoll.providers.managed.calling import Translate
from atoll.providers.managed.cloud import Cloud
from atoll.providers.managed.provider import ManagedProvider, Pace

from .cache import Cache
from .clouds import CloudSurroundings
from .context import Settings
from .metrics import Metrics


def build_managed(
    store: Store, cache: Cache, clock: Clock, settings: Settings, metrics: Metrics
) -> Mapping[str, Provider]:
    """Return one provider for each cloud, by the name of its block."""
    pace = Pace(work=settings.cloud_poll_seconds, rest=settings.cloud_resync_seconds)

    def build(cloud: Cloud[Any], translate: Translate) -> Provider:
        kind = cloud.info.name
        return ManagedProvider(
            cloud,
            CloudSurroundings(store, cache, kind, allow_endpoints=settings.allow_cloud_endpoints),
            translate,
            clock=clock,
            pace=pace,
            count=partial(_count, metrics, kind),
        )

    return {
        "eks": build(EksCloud(), translate_eks),
        "gke": build(GkeCloud(), translate_gke),
        "aks": build(AksCloud(), translate_aks),
    }


def _count(metrics: Metrics, kind: str, call: str, result: str) -> None:
    metrics.cloud_calls.labels(kind, call, result).inc()
