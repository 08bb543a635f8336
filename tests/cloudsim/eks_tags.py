"""Tags: those of clusters, node groups and add-ons, and of what clusters' own controllers left in the account.

What a cluster's controllers made (load balancers, network interfaces, volumes) bears the tag `kubernetes.io/cluster/
<name>` and outlives the cluster: EKS deletes it neither nor waits for it. The Resource Groups Tagging API finds it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from .core import page
from .eks_state import Account, Doing, EksError

OWNED: Final = "kubernetes.io/cluster/"
KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "load balancer": ("elasticloadbalancing", "loadbalancer/net"),
    "target group": ("elasticloadbalancing", "targetgroup"),
    "network interface": ("ec2", "network-interface"),
    "security group": ("ec2", "security-group"),
    "volume": ("ec2", "volume"),
}
"""What people call it → service, and the start of the resource in its ARN."""


def _tags_of(account: Account, arn: str) -> dict[str, str]:
    """Return the tags of something, to be changed in place."""
    for cluster in account.visible():
        parts = [part.body for part in (*cluster.nodegroups.values(), *cluster.addons.values())]
        for body in (cluster.body, *parts):
            if arn in (body.get("arn"), body.get("nodegroupArn"), body.get("addonArn")):
                tags: dict[str, str] = body.setdefault("tags", {})
                return tags
    raise EksError("NotFoundException", f"The specified resource could not be found: {arn}")


def tag_resource(account: Account, doing: Doing) -> dict[str, Any]:
    """Add tags."""
    new = doing.params["tags"]
    check_tags(new)
    tags = _tags_of(account, doing.params["resourceArn"])
    if len(tags | new) > 50:
        raise EksError("BadRequestException", "A resource has at most 50 tags")
    tags.update(new)
    return {}


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse keys that AWS keeps for itself."""
    for key in tags:
        if key.lower().startswith("aws:"):
            raise EksError("BadRequestException", f"Tag key {key} begins with aws:, which is reserved")


def untag_resource(account: Account, doing: Doing) -> dict[str, Any]:
    """Take tags away."""
    tags = _tags_of(account, doing.params["resourceArn"])
    for key in doing.params["tagKeys"]:
        tags.pop(key, None)
    return {}


def list_tags_for_resource(account: Account, doing: Doing) -> dict[str, Any]:
    """Show tags."""
    return {"tags": dict(_tags_of(account, doing.params["resourceArn"]))}


def leave_behind(account: Account, cluster: str, what: str) -> str:
    """Let a cluster's controllers have made something, such as `load balancer k8s-shop-web`; return its ARN."""
    kind = next((kind for kind in KINDS if what.startswith(f"{kind} ")), None)
    if kind is None:
        raise ValueError(f"{what!r} begins with none of {', '.join(KINDS)}")
    service, start = KINDS[kind]
    name = what.removeprefix(f"{kind} ")
    # The names of load balancers come again, their ARNs do not; what EC2 has is named by its id alone.
    arn = account.arn(f"{start}/{name}" + (f"/{uuid.uuid4().hex[:16]}" if service != "ec2" else ""), service)
    account.left_behind[arn] = {f"{OWNED}{cluster}": "owned"}
    return arn


def get_resources(account: Account, doing: Doing) -> dict[str, Any]:
    """Answer GetResources of the tagging API."""
    params = doing.params
    types = params.get("ResourceTypeFilters", [])
    wanted = params.get("ResourceARNList")
    found = []
    for arn, tags in _all_tagged(account).items():
        chosen = not types or any(is_of_type(arn, kind) for kind in types)
        if chosen and (wanted is None or arn in wanted) and matches(tags, params.get("TagFilters", [])):
            shown = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
            found.append((arn, {"ResourceARN": arn, "Tags": shown}))
    size = account.cloud.faults.page_size
    try:
        shown_page, following = page(
            found, params.get("PaginationToken", ""), min(size, params.get("ResourcesPerPage", size))
        )
    except ValueError as error:
        raise EksError("PaginationTokenExpiredException", str(error)) from error
    # An empty token says that this was the last page.
    return {"ResourceTagMappingList": shown_page, "PaginationToken": following}


def _all_tagged(account: Account) -> dict[str, dict[str, str]]:
    found = {arn: dict(tags) for arn, tags in account.left_behind.items()}
    for cluster in account.visible():
        found[cluster.body["arn"]] = dict(cluster.body["tags"])
    return {arn: tags for arn, tags in found.items() if tags}


def is_of_type(arn: str, kind: str) -> bool:
    """Match `ec2:volume` or `ec2`."""
    service, _, start = kind.partition(":")
    parts = arn.split(":", 5)
    return parts[2] == service and (not start or parts[5].startswith((f"{start}/", f"{start}:")))


def matches(tags: Mapping[str, str], filters: list[dict[str, Any]]) -> bool:
    """Say whether tags match every filter: the key, and one of the values if there are any."""
    return all(one["Key"] in tags and (not one.get("Values") or tags[one["Key"]] in one["Values"]) for one in filters)
