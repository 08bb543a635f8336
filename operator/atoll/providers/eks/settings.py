"""The block `spec.provider.eks` as the rest of this folder reads it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from atoll.errors import BadInput

FIELD: Final = "spec.provider.eks"
ID_KEY: Final = "aws_access_key_id"
SECRET_KEY: Final = "aws_secret_access_key"  # noqa: S105 - a name, not a secret
SESSION_KEY: Final = "aws_session_token"
ROLE_KEY: Final = "role_arn"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedGroup:
    """One declared node group."""

    name: str
    instance_types: tuple[str, ...]
    min_size: int
    max_size: int
    role: str

    def fit(self, desired: int) -> int:
        """Return the number of nodes inside of what is declared that is nearest to `desired`."""
        return min(max(desired, self.min_size), self.max_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAddon:
    """One declared add-on; without a version it gets the default for the cluster's."""

    name: str
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What is declared of a cluster in EKS."""

    region: str
    role: str
    subnets: tuple[str, ...]
    public: bool
    private: bool
    groups: tuple[WantedGroup, ...] = ()
    addons: tuple[WantedAddon, ...] = ()

    def group(self, name: str) -> WantedGroup | None:
        """Return a declared node group by name."""
        return next((group for group in self.groups if group.name == name), None)

    def addon(self, name: str) -> WantedAddon | None:
        """Return a declared add-on by name."""
        return next((addon for addon in self.addons if addon.name == name), None)


def parse_block(settings: Mapping[str, Any]) -> Block:
    """Read a merged block; BadInput names the field that is missing."""
    role = _require(settings, "roleARN", "the ARN of the control plane's IAM role")
    access = settings.get("endpointAccess") or {}
    block = Block(
        region=parse_region(settings),
        role=role,
        subnets=tuple(_require(settings, "subnetIDs", "subnets in at least two availability zones")),
        public=bool(access.get("public", False)),
        private=bool(access.get("private", True)),
        groups=tuple(_parse_group(group, role) for group in settings.get("nodeGroups") or ()),
        addons=tuple(
            WantedAddon(name=addon["name"], version=addon.get("version") or "")
            for addon in settings.get("addons") or ()
        ),
    )
    if not block.public and not block.private:
        raise BadInput(
            f"{FIELD}.endpointAccess leaves nobody a way to the API server: set public or private to true",
            field=f"{FIELD}.endpointAccess",
        )
    if len(set(block.subnets)) < 2:
        raise BadInput(
            f"{FIELD}.subnetIDs names one subnet, and EKS needs two in different availability zones: add one",
            field=f"{FIELD}.subnetIDs",
        )
    return block


def parse_region(settings: Mapping[str, Any]) -> str:
    """Read where a cluster is; BadInput where nothing says it."""
    return str(_require(settings, "region", "an AWS region such as eu-west-1"))


def check_credentials(credentials: Mapping[str, str]) -> None:
    """Refuse half a login; BadInput names the key that the Secret lacks, and none of its content."""
    given = [key for key in (ID_KEY, SECRET_KEY) if credentials.get(key)]
    if len(given) == 1 or (credentials.get(SESSION_KEY) and not given):
        missing = [key for key in (ID_KEY, SECRET_KEY) if key not in given]
        raise BadInput(
            f"the Secret of {FIELD}.credentialsSecretRef lacks {' and '.join(missing)}: add it, or take the "
            "reference out to use the identity of the operator's own pod",
            field=f"{FIELD}.credentialsSecretRef",
        )


def _parse_group(group: Mapping[str, Any], cluster_role: str) -> WantedGroup:
    return WantedGroup(
        name=group["name"],
        instance_types=tuple(group["instanceTypes"]),
        min_size=int(group.get("minSize", 0)),
        max_size=int(group["maxSize"]),
        role=group.get("nodeRoleARN") or cluster_role,
    )


def _require(settings: Mapping[str, Any], name: str, example: str) -> Any:
    value = settings.get(name)
    if not value:
        raise BadInput(f"{FIELD}.{name} is missing: write {example}", field=f"{FIELD}.{name}")
    return value
