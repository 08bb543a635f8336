"""What EKS offers: minor versions, and add-ons with the versions of Kubernetes that they fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .core import page
from .eks_state import EksError

RELEASES: Final[Mapping[str, tuple[str, float]]] = {
    "1.33": ("1.33.14", 1748476800),
    "1.34": ("1.34.9", 1759363200),
    "1.35": ("1.35.8", 1769472000),
    "1.36": ("1.36.4", 1780444800),
}
"""Minor version → patch version that runs, and when EKS released it."""
EXTENDED: Final = frozenset({"1.33"})
"""Only with the upgrade policy EXTENDED."""
DEFAULT_VERSION: Final = "1.36"
MONTH: Final = 30 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class AddonRelease:
    """One version of an add-on; `fits` are minor versions, `default_for` a part of them."""

    version: str
    fits: tuple[str, ...]
    default_for: tuple[str, ...] = ()


ADDONS: Final[Mapping[str, tuple[AddonRelease, ...]]] = {
    "vpc-cni": (
        AddonRelease(version="v1.22.1-eksbuild.1", fits=("1.34", "1.35", "1.36"), default_for=("1.35", "1.36")),
        AddonRelease(version="v1.21.1-eksbuild.3", fits=("1.33", "1.34", "1.35"), default_for=("1.33", "1.34")),
    ),
    "coredns": (
        AddonRelease(version="v1.14.1-eksbuild.2", fits=("1.35", "1.36"), default_for=("1.36",)),
        AddonRelease(version="v1.13.1-eksbuild.1", fits=("1.34", "1.35"), default_for=("1.34", "1.35")),
        AddonRelease(version="v1.12.4-eksbuild.1", fits=("1.33", "1.34"), default_for=("1.33",)),
    ),
    "kube-proxy": tuple(
        AddonRelease(version=f"v{patch}-eksbuild.2", fits=(minor,), default_for=(minor,))
        for minor, (patch, _) in reversed(list(RELEASES.items()))
    ),
    "aws-ebs-csi-driver": (
        AddonRelease(version="v1.56.0-eksbuild.1", fits=tuple(RELEASES), default_for=tuple(RELEASES)),
    ),
    "metrics-server": (AddonRelease(version="v0.8.1-eksbuild.1", fits=tuple(RELEASES), default_for=tuple(RELEASES)),),
}


def minor_number(version: str) -> int:
    """Return 36 of `1.36`."""
    return int(version.split(".")[1])


def check_version(version: str, support: str, cluster: str) -> None:
    """Refuse what EKS does not offer."""
    if version not in RELEASES:
        raise EksError("InvalidParameterException", f"unsupported Kubernetes version {version}", clusterName=cluster)
    if version in EXTENDED and support == "STANDARD":
        message = f"Kubernetes version {version} is in extended support: set the upgrade policy to EXTENDED"
        raise EksError("InvalidParameterException", message, clusterName=cluster)


def find_addon_release(name: str, version: str) -> AddonRelease | None:
    """Return a version of an add-on."""
    return next((release for release in ADDONS.get(name, ()) if release.version == version), None)


def default_addon_version(name: str, minor: str) -> str:
    """Return what a cluster gets that names no version of an add-on."""
    return next((release.version for release in ADDONS[name] if minor in release.default_for), "")


def describe_cluster_versions(params: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Answer DescribeClusterVersions."""
    wanted = params.get("clusterVersions") or list(RELEASES)
    status = params.get("versionStatus") or str(params.get("status", "")).upper().replace("-", "_")
    bodies = [_describe(minor) for minor in RELEASES if minor in wanted]
    if params.get("defaultOnly"):
        bodies = [body for body in bodies if body["defaultVersion"]]
    chosen = [(body["clusterVersion"], body) for body in bodies if not status or body["versionStatus"] == status]
    shown, following = turn(chosen, params, size)
    return {"clusterVersions": shown, "nextToken": following or None}


def _describe(minor: str) -> dict[str, Any]:
    patch, released = RELEASES[minor]
    extended = minor in EXTENDED
    return {
        "clusterVersion": minor,
        "clusterType": "eks",
        "defaultPlatformVersion": "eks.8",
        "defaultVersion": minor == DEFAULT_VERSION,
        "releaseDate": released,
        "endOfStandardSupportDate": released + 14 * MONTH,
        "endOfExtendedSupportDate": released + 26 * MONTH,
        "status": "extended-support" if extended else "standard-support",
        "versionStatus": "EXTENDED_SUPPORT" if extended else "STANDARD_SUPPORT",
        "kubernetesPatchVersion": patch,
    }


def describe_addon_versions(params: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Answer DescribeAddonVersions."""
    name, minor = params.get("addonName"), params.get("kubernetesVersion")
    if name and name not in ADDONS:
        raise EksError("ResourceNotFoundException", f"No addon versions found for {name}", addonName=name)
    chosen = []
    for addon, releases in ADDONS.items():
        fitting = [release for release in releases if not minor or minor in release.fits]
        if fitting and name in (None, addon):
            chosen.append((addon, _describe_addon(addon, fitting, minor)))
    shown, following = turn(chosen, params, size)
    return {"addons": shown, "nextToken": following or None}


def _describe_addon(name: str, releases: list[AddonRelease], minor: str | None) -> dict[str, Any]:
    versions = [
        {
            "addonVersion": release.version,
            "architecture": ["amd64", "arm64"],
            "computeTypes": ["ec2"],
            "compatibilities": [
                {"clusterVersion": one, "platformVersions": ["*"], "defaultVersion": one in release.default_for}
                for one in release.fits
                if minor in (None, one)
            ],
            "requiresConfiguration": False,
            "requiresIamPermissions": name in ("vpc-cni", "aws-ebs-csi-driver"),
        }
        for release in releases
    ]
    return {"addonName": name, "type": "networking", "publisher": "eks", "owner": "aws", "addonVersions": versions}


def turn(items: list[tuple[str, Any]], params: Mapping[str, Any], size: int) -> tuple[list[Any], str]:
    """Return the page that a call asks for, and the token of the next."""
    try:
        return page(items, params.get("nextToken", ""), min(size, params.get("maxResults", size)))
    except ValueError as error:
        raise EksError("InvalidParameterException", f"nextToken: {error}") from error
