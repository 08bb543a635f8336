"""Short ways to write the values that rollouts are about."""

from datetime import UTC, datetime

from atoll.fleet.cluster import ObservedCluster, Presence, ProviderInfo, RevertPoint
from atoll.fleet.observed import ChildCluster, ChildView, MemberView
from atoll.fleet.spec import ClusterSet, Member, Meta, ProviderBlock, Upgrade, Wave
from atoll.fleet.values import Selector, Share, Version, freeze
from atoll.rollout.revisions import member_revision

START = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
LOCAL = ProviderInfo(name="local", has_nodes=False, can_revert=True, can_drill=True)
AVAILABLE = tuple(Version.parse(text) for text in ("v1.34.9", "v1.35.7", "v1.35.8", "v1.36.4", "v1.36.5", "v1.37.1"))


def v(text):
    return Version.parse(text)


def meta(name, **more):
    return Meta(name=name, namespace="fleet", uid=f"uid-{name}", **more)


def member(name, stage="prod", **more):
    return Member(name=name, labels=freeze({"stage": stage}), **more)


def wave(name, stage, **more):
    return Wave(name=name, selector=Selector(match_labels=freeze({"stage": stage})), **more)


CANARY = wave("canary", "dev", soak_seconds=30)
PROD = wave("prod", "prod", max_concurrent=Share(2))


def cluster_set(name="s", version="v1.35.8", members=None, upgrade=None, **more):
    if members is None:
        members = (member("dev", "dev"), member("prod-a"), member("prod-b"))
    if upgrade is None:
        upgrade = Upgrade(waves=(CANARY, PROD), max_concurrent=Share(2))
    return ClusterSet(
        meta=meta(name),
        version=v(version),
        provider=ProviderBlock(kind="local", settings=freeze({"verbosity": 2})),
        members=members,
        upgrade=upgrade,
        **more,
    )


def settled_child(owner, name, regimes=(), **more):
    """A child that has arrived at what its set asks for."""
    revision = member_revision(owner, owner.member(name), regimes)
    values = {
        "meta": meta(owner.child_name(name)),
        "id": f"id-{name}",
        "set_name": owner.meta.name,
        "member_name": name,
        "provider": owner.provider.kind,
        "version": owner.version,
        "revision": revision,
        "done_revision": revision,
        "status": freeze({"version": str(owner.version)}),
        **more,
    }
    return ChildCluster(**values)


def healthy_view(version, now=START, *, verification=None, revert_point=None, presence=Presence.PRESENT):
    version = v(version) if isinstance(version, str) else version
    return ChildView(
        time=now,
        cluster=ObservedCluster(presence=presence, version=str(version), revert_point=revert_point),
        member=MemberView(version=version, cluster_uid="uid", ready=True),
        verification=verification,
    )


def revert_point(version, now=START):
    return RevertPoint(version=str(version), taken_time=now, message="writes after the snapshot are lost")
