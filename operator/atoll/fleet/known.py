"""What each provider of this build can do: known here, so that plans can be made where none of them runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from .cluster import ProviderInfo

LOCAL: Final = ProviderInfo(name="local", has_nodes=False, can_revert=True, can_drill=True, usual_seconds=15.0)
KUBEADM: Final = ProviderInfo(
    name="kubeadm",
    has_nodes=True,
    can_revert=False,
    uses_host_pool=True,
    point_of_no_return="upgrade the control plane",
    usual_seconds=180.0,
)
EXISTING: Final = ProviderInfo(
    name="existing", has_nodes=True, can_revert=False, upgrades=False, sets_authentication=False
)
EKS: Final = ProviderInfo(
    name="eks",
    has_nodes=True,
    can_revert=True,
    sets_authentication=False,
    compares_settings=True,
    short_logins=True,
    usual_seconds=1500.0,
)
GKE: Final = replace(EKS, name="gke", can_revert=False, point_of_no_return="upgrade the control plane")
AKS: Final = replace(GKE, name="aks")
_ALL: Final = (LOCAL, KUBEADM, EXISTING, EKS, GKE, AKS)
KNOWN: Final[Mapping[str, ProviderInfo]] = MappingProxyType({info.name: info for info in _ALL})
"""By kind of block."""
