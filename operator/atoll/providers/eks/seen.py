"""What one look at EKS finds, and how the answers of its API are read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from atoll.providers.managed.kubeconfig import decode_authority


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenUpdate:
    """One update that EKS has made or tried to make."""

    id: str
    kind: str
    """`VersionUpdate`, `VersionRollback`, `EndpointAccessUpdate`, …"""
    status: str
    """`InProgress`, `Failed`, `Cancelled` or `Successful`."""
    version: str = ""
    """Minor version that it leads to, where it is about one."""
    created: datetime
    words: str = ""
    """What EKS says went wrong."""

    @property
    def has_failed(self) -> bool:
        """Whether it ended without doing what it was for."""
        return self.status in {"Failed", "Cancelled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenGroup:
    """One managed node group."""

    name: str
    arn: str = ""
    status: str = "ACTIVE"
    version: str = ""
    min_size: int = 0
    max_size: int = 0
    desired_size: int = 0
    instance_types: tuple[str, ...] = ()
    role: str = ""
    created: datetime
    modified: datetime
    issues: tuple[tuple[str, str], ...] = ()
    """Code, and what EKS says with the resources that it names."""
    tags: Mapping[str, str] = field(default_factory=dict)
    failure: SeenUpdate | None = None
    """Its latest update, if that has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAddon:
    """One add-on that EKS looks after."""

    name: str
    arn: str = ""
    status: str = "ACTIVE"
    version: str = ""
    created: datetime
    modified: datetime
    issues: tuple[tuple[str, str], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The versions of an add-on that fit one minor version of Kubernetes."""

    versions: tuple[str, ...]
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCluster:
    """One cluster with all that belongs to it."""

    name: str
    arn: str = ""
    status: str
    version: str
    """Minor version: `1.36`."""
    server: str = ""
    authority: str = ""
    role: str = ""
    subnets: tuple[str, ...] = ()
    public: bool = True
    private: bool = False
    service_cidr: str = ""
    deletion_protection: bool = False
    created: datetime
    issues: tuple[tuple[str, str], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[SeenGroup, ...] = ()
    addons: tuple[SeenAddon, ...] = ()
    updates: tuple[SeenUpdate, ...] = ()
    """Updates of the cluster itself, oldest first; not looked for while it is being made."""
    offers: Mapping[tuple[str, str], Offer] = field(default_factory=dict)
    """(add-on, minor version) → what fits, for the add-ons that are there."""

    @property
    def latest(self) -> datetime:
        """The newest moment that EKS tells of; by its clock, not ours."""
        groups = [moment for group in self.groups for moment in (group.created, group.modified)]
        addons = [moment for addon in self.addons for moment in (addon.created, addon.modified)]
        failures = [group.failure.created for group in self.groups if group.failure is not None]
        return max((self.created, *groups, *addons, *failures, *(update.created for update in self.updates)))

    def group(self, name: str) -> SeenGroup | None:
        """Return a node group by name."""
        return next((group for group in self.groups if group.name == name), None)

    def addon(self, name: str) -> SeenAddon | None:
        """Return an add-on by name."""
        return next((addon for addon in self.addons if addon.name == name), None)


def parse_cluster(body: Mapping[str, Any]) -> SeenCluster:
    """Read what DescribeCluster says."""
    vpc = body.get("resourcesVpcConfig", {})
    return SeenCluster(
        name=body["name"],
        arn=body.get("arn", ""),
        status=body.get("status", ""),
        version=body.get("version", ""),
        server=body.get("endpoint", ""),
        authority=decode_authority(body.get("certificateAuthority", {}).get("data", "")),
        role=body.get("roleArn", ""),
        subnets=tuple(vpc.get("subnetIds", ())),
        public=bool(vpc.get("endpointPublicAccess", True)),
        private=bool(vpc.get("endpointPrivateAccess", False)),
        service_cidr=body.get("kubernetesNetworkConfig", {}).get("serviceIpv4Cidr", ""),
        deletion_protection=bool(body.get("deletionProtection", False)),
        created=_moment(body.get("createdAt")),
        issues=_issues(body),
        tags=MappingProxyType(dict(body.get("tags", {}))),
    )


def parse_group(body: Mapping[str, Any], failure: SeenUpdate | None = None) -> SeenGroup:
    """Read what DescribeNodegroup says."""
    sizes = body.get("scalingConfig", {})
    return SeenGroup(
        name=body["nodegroupName"],
        arn=body.get("nodegroupArn", ""),
        status=body.get("status", ""),
        version=body.get("version", ""),
        min_size=sizes.get("minSize", 0),
        max_size=sizes.get("maxSize", 0),
        desired_size=sizes.get("desiredSize", 0),
        instance_types=tuple(body.get("instanceTypes", ())),
        role=body.get("nodeRole", ""),
        created=_moment(body.get("createdAt")),
        modified=_moment(body.get("modifiedAt")),
        issues=_issues(body),
        tags=MappingProxyType(dict(body.get("tags", {}))),
        failure=failure,
    )


def parse_addon(body: Mapping[str, Any]) -> SeenAddon:
    """Read what DescribeAddon says."""
    return SeenAddon(
        name=body["addonName"],
        arn=body.get("addonArn", ""),
        status=body.get("status", ""),
        version=body.get("addonVersion", ""),
        created=_moment(body.get("createdAt")),
        modified=_moment(body.get("modifiedAt")),
        issues=_issues(body),
        tags=MappingProxyType(dict(body.get("tags", {}))),
    )


def parse_update(body: Mapping[str, Any]) -> SeenUpdate:
    """Read what DescribeUpdate says."""
    errors = [
        _words(error.get("errorCode", ""), error.get("errorMessage", ""), error.get("resourceIds", ()))
        for error in body.get("errors", ())
    ]
    versions = [param.get("value", "") for param in body.get("params", ()) if param.get("type") == "Version"]
    return SeenUpdate(
        id=body["id"],
        kind=body.get("type", ""),
        status=body.get("status", ""),
        version=versions[0] if versions else "",
        created=_moment(body.get("createdAt")),
        words="; ".join(errors),
    )


def parse_offer(pages: tuple[Mapping[str, Any], ...], minor: str) -> Offer:
    """Read what DescribeAddonVersions says of one add-on and one minor version."""
    versions, default = [], ""
    for release in (release for addon in pages for release in addon.get("addonVersions", ())):
        fits = [fit for fit in release.get("compatibilities", ()) if fit.get("clusterVersion") == minor]
        if fits:
            versions.append(release["addonVersion"])
            default = default or (release["addonVersion"] if any(fit.get("defaultVersion") for fit in fits) else "")
    return Offer(versions=tuple(versions), default=default)


def describe_issues(issues: tuple[tuple[str, str], ...]) -> str:
    """Put what EKS says into one sentence."""
    return "; ".join(words for _, words in issues) or "EKS says no more"


def _issues(body: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = body.get("health", {}).get("issues", ())
    return tuple(
        (
            issue.get("code", ""),
            _words(issue.get("code", ""), issue.get("message", ""), issue.get("resourceIds", ())),
        )
        for issue in found
    )


def _words(code: str, message: str, resources: Any) -> str:
    named = f" ({', '.join(resources)})" if resources else ""
    return f"{code}: {message}{named}"


def _moment(value: Any) -> datetime:
    return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromtimestamp(0, UTC)


def is_usable(said: Mapping[str, Any], minor: str) -> bool:
    """Say whether what EKS says of a version lets clusters have it."""
    states = {str(said.get("versionStatus", "")).upper(), str(said.get("status", "")).upper()}
    return said.get("clusterVersion") == minor and "UNSUPPORTED" not in states
