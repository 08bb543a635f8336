"""The calls that Atoll makes of AWS, and the permission that each needs. A test holds this against the code. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from atoll.providers.managed.marks import ID


@dataclass(frozen=True, slots=True)
class Permission:
    """One action of IAM, and what for."""

    action: str
    why: str


CALLS: Final[Mapping[str, Permission]] = MappingProxyType(
    {
        "describe_cluster": Permission("eks:DescribeCluster", "see the control plane and its tags"),
        "list_nodegroups": Permission("eks:ListNodegroups", "see which node groups there are"),
        "describe_nodegroup": Permission("eks:DescribeNodegroup", "see a node group"),
        "list_addons": Permission("eks:ListAddons", "see which add-ons there are"),
        "describe_addon": Permission("eks:DescribeAddon", "see an add-on"),
        "describe_addon_versions": Permission("eks:DescribeAddonVersions", "choose versions of add-ons that fit"),
        "list_updates": Permission("eks:ListUpdates", "see which updates EKS has made"),
        "describe_update": Permission("eks:DescribeUpdate", "see why an update failed, and when the last one was"),
        "describe_cluster_versions": Permission("eks:DescribeClusterVersions", "ask which versions EKS offers"),
        "list_insights": Permission("eks:ListInsights", "ask what EKS knows against a change of version"),
        "describe_insight": Permission("eks:DescribeInsight", "read an insight"),
        "start_insights_refresh": Permission("eks:StartInsightsRefresh", "let EKS look again before an upgrade"),
        "create_cluster": Permission("eks:CreateCluster", "make the control plane"),
        "update_cluster_config": Permission("eks:UpdateClusterConfig", "change endpoint access and subnets"),
        "update_cluster_version": Permission("eks:UpdateClusterVersion", "upgrade the control plane, or take it back"),
        "delete_cluster": Permission("eks:DeleteCluster", "delete the control plane"),
        "create_nodegroup": Permission("eks:CreateNodegroup", "make a node group"),
        "update_nodegroup_version": Permission("eks:UpdateNodegroupVersion", "bring nodes to a version"),
        "update_nodegroup_config": Permission("eks:UpdateNodegroupConfig", "change the size of a node group"),
        "delete_nodegroup": Permission("eks:DeleteNodegroup", "delete a node group"),
        "create_addon": Permission("eks:CreateAddon", "install an add-on"),
        "update_addon": Permission("eks:UpdateAddon", "bring an add-on to a version"),
        "delete_addon": Permission("eks:DeleteAddon", "remove an add-on that is declared no more"),
        "tag_resource": Permission("eks:TagResource", "write marks and governance labels"),
        "untag_resource": Permission("eks:UntagResource", "take back governance labels"),
        "get_caller_identity": Permission("sts:GetCallerIdentity", "sign the login to a cluster; AWS allows it to all"),
    }
)
"""Method of the SDK → permission."""
BESIDE: Final = (
    Permission("iam:PassRole", "give EKS the roles of control plane and nodes"),
    Permission("iam:GetRole", "CreateNodegroup looks at the role of the nodes"),
    Permission("iam:ListAttachedRolePolicies", "CreateNodegroup looks at the role of the nodes"),
    Permission("iam:CreateServiceLinkedRole", "the first cluster and the first node group of an account"),
    Permission("ec2:DescribeSubnets", "CreateCluster and CreateNodegroup look at the subnets"),
)
"""What EKS checks on the caller's behalf inside of those calls."""
_EVERYWHERE: Final = frozenset({"eks:DescribeAddonVersions", "eks:DescribeClusterVersions"})
"""These know no resource."""


def to_api_name(method: str) -> str:
    """Return what EKS calls a method of the SDK: `create_cluster` → `CreateCluster`."""
    return "".join(word.capitalize() for word in method.split("_"))


def build_policy(account: str, roles: tuple[str, ...]) -> dict[str, Any]:
    """Return an IAM policy that lets Atoll do its work on its own clusters, and nothing on others'.

    `roles`: ARNs of the roles of control planes and nodes.
    """
    clusters = [
        f"arn:aws:eks:*:{account}:cluster/atoll-*",
        f"arn:aws:eks:*:{account}:nodegroup/atoll-*/*/*",
        f"arn:aws:eks:*:{account}:addon/atoll-*/*/*",
    ]
    actions = sorted({one.action for one in CALLS.values() if one.action.startswith("eks:")} - _EVERYWHERE)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "OwnClusters", "Effect": "Allow", "Action": actions, "Resource": clusters},
            {
                "Sid": "WhatIsOffered",
                "Effect": "Allow",
                "Action": [*sorted(_EVERYWHERE), "ec2:DescribeSubnets"],
                "Resource": "*",
            },
            {
                "Sid": "RolesForEks",
                "Effect": "Allow",
                "Action": ["iam:PassRole", "iam:GetRole", "iam:ListAttachedRolePolicies"],
                "Resource": list(roles),
            },
            {
                "Sid": "FirstClusterOfAnAccount",
                "Effect": "Allow",
                "Action": ["iam:CreateServiceLinkedRole"],
                "Resource": f"arn:aws:iam::{account}:role/aws-service-role/eks*",
                "Condition": {
                    "StringLike": {
                        "iam:AWSServiceName": ["eks.amazonaws.com", "eks-nodegroup.amazonaws.com"],
                    }
                },
            },
            {
                "Sid": "NothingOfOthers",
                "Effect": "Deny",
                "Action": ["eks:DeleteCluster", "eks:UpdateClusterVersion", "eks:UpdateClusterConfig"],
                "Resource": f"arn:aws:eks:*:{account}:cluster/*",
                "Condition": {"Null": {f"aws:ResourceTag/{ID}": "true"}},
            },
        ],
    }
