"""What stands in a member's block says how its cluster shall be; only its place is needed to see and to remove it."""

from __future__ import annotations

from atoll.ports import Operation, OperationState, OperationType, Presence

from .cloud_kit import CloudKit, carry_out


async def test_a_cluster_whose_block_lost_all_but_its_place_is_seen_and_removed(cloud: CloudKit) -> None:
    # So it is when a member has left the list, and the block of the set says only where clusters are.
    provider = cloud.provider()
    made = await carry_out(
        cloud, provider, Operation(id="create-1", type=OperationType.CREATE, to_version=cloud.new, from_version="")
    )
    assert made.operation is not None
    assert made.operation.state is OperationState.SUCCEEDED, made.operation.message
    await provider.close()

    cloud.settings = {name: cloud.settings[name] for name in cloud.place}
    other = cloud.provider()
    seen = await other.observe(cloud.wanted(cloud.new, "c1").ref)
    assert (seen.presence, seen.version) == (Presence.PRESENT, made.version)
    gone = await carry_out(
        cloud, other, Operation(id="delete-1", type=OperationType.DELETE, to_version=cloud.new, from_version=cloud.new)
    )
    assert (gone.presence, gone.operation) == (Presence.ABSENT, None)
    assert cloud.names() == []
    await other.close()
