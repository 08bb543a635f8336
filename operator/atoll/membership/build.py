"""Bodies of the ChildClusters, as they shall stand in the API: the same inputs give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atoll.fleet.decisions import NewChild
from atoll.fleet.names import API_VERSION, FINALIZER, MANAGED_LABELS, MEMBER_LABEL, ROLLOUT_ANNOTATION, SET_LABEL
from atoll.fleet.observed import ChildCluster
from atoll.fleet.spec import ClusterSet, Member
from atoll.fleet.values import Version, thaw


def build_new_child(
    new: NewChild, cluster_set: ClusterSet, labels: Mapping[str, str], *, cloud: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Build the body of a child that is not there yet, but for its random id. `cloud`: where a managed one is made."""
    spec: dict[str, Any] = {
        "setName": new.set_name,
        "memberName": new.member_name,
        "provider": cluster_set.provider.kind,
        "version": str(new.version),
        "revision": new.revision,
        "network": {"podCIDR": new.addresses.pod_cidr, "serviceCIDR": new.addresses.service_cidr},
        "deletionPolicy": str(cluster_set.deletion_policy),
    }
    if cloud:
        spec["cloud"] = dict(cloud)
    return _body(new.name, cluster_set, new.member_name, labels, spec, annotations={})


def build_child(
    child: ChildCluster,
    cluster_set: ClusterSet,
    labels: Mapping[str, str],
    *,
    version: Version,
    revision: str,
    cluster_uid: str,
    rollout: str,
    hosts: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Build the body that a child shall have now. Identity and addresses are kept as they are."""
    spec: dict[str, Any] = {
        "id": child.id,
        "setName": child.set_name,
        "memberName": child.member_name,
        "provider": child.provider,
        "version": str(version),
        "revision": revision,
        "network": {"podCIDR": child.pod_cidr, "serviceCIDR": child.service_cidr},
        "deletionPolicy": str(cluster_set.deletion_policy),
    }
    if child.cloud:
        spec["cloud"] = thaw(child.cloud)
    if cluster_uid:
        spec["clusterUID"] = cluster_uid
    if hosts:
        spec["hosts"] = list(hosts)
    annotations = {ROLLOUT_ANNOTATION: rollout} if rollout else {}
    body = _body(child.name, cluster_set, child.member_name, labels, spec, annotations=annotations)
    body["metadata"]["uid"] = child.meta.uid
    return body


def build_labels(
    cluster_set: ClusterSet, member: Member | None, member_name: str, governance: Mapping[str, str]
) -> dict[str, str]:
    """Build what selectors read: `governance` (labels of set and member, marks of attested regimes), and the place.

    A member's labels come with `governance` alone: what that refused, such as a forged mark of a regime, stays out.
    """
    place = {}
    if member is not None:
        place = {key: value for key, value in (("region", member.region), ("country", member.country)) if value}
    return {
        **place,
        **governance,
        **MANAGED_LABELS,
        SET_LABEL: cluster_set.meta.name,
        MEMBER_LABEL: member_name,
    }


def _body(
    name: str,
    cluster_set: ClusterSet,
    member_name: str,
    labels: Mapping[str, str],
    spec: dict[str, Any],
    *,
    annotations: dict[str, str],
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": cluster_set.meta.namespace,
        "labels": dict(labels),
        "finalizers": [FINALIZER],
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "ClusterSet",
                "name": cluster_set.meta.name,
                "uid": cluster_set.meta.uid,
                "controller": True,
            }
        ],
    }
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": API_VERSION, "kind": "ChildCluster", "metadata": metadata, "spec": spec}
