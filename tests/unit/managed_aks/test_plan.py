"""Stories of operations: what is called, in which order, and what is never called."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.errors import BadInput
from atoll.ports import OperationType
from atoll.providers.aks.plan import plan
from atoll.providers.managed.marks import is_finished
from atoll.providers.managed.moves import Call, Done, Fail, Wait

from .azure import NAME, SYSTEM, WORK, Azure, operation, wanted
from .stories import NOW, play, step

CREATE, CHANGE, REPAIR, DELETE = (
    operation(kind) for kind in (OperationType.CREATE, OperationType.CHANGE, OperationType.REPAIR, OperationType.DELETE)
)
PUT, TAGS, REMOVE = (
    "managed_clusters.begin_create_or_update",
    "managed_clusters.begin_update_tags",
    "managed_clusters.begin_delete",
)
PUT_POOL, REMOVE_POOL = "agent_pools.begin_create_or_update", "agent_pools.begin_delete"
BROKEN = "InternalOperationError: try later"


def made(version: str = "v1.35") -> Azure:
    azure = Azure()
    assert isinstance(play(azure, wanted(version), CREATE), Done)
    azure.settle()
    azure.calls.clear()
    return azure


def tags(azure: Azure) -> Any:
    assert azure.body is not None
    return azure.body["tags"]


def test_a_create_from_nothing_is_one_put_and_one_mark() -> None:
    azure = Azure()
    first = step(azure, wanted(), CREATE)
    assert isinstance(first, Call)
    assert (first.arguments["match"], first.arguments["parameters"]["tags"]) == (
        "IfMissing",
        {"team": "blue", "atoll-id": "c-1", "atoll-operation": "create-1", "atoll-state": "create-begun"},
    )
    assert step(azure, wanted(), CREATE) == Wait(step="create the cluster", done=0, total=6)
    azure.settle()
    assert play(azure, wanted(), CREATE) == Done(total=6)
    assert azure.calls == [PUT, TAGS]
    assert tags(azure)["atoll-state"] == "create-succeeded-6"


def test_an_upgrade_moves_the_control_plane_then_one_pool_after_the_other() -> None:
    azure = made()
    assert play(azure, wanted("v1.36"), CHANGE) == Done(total=6)
    assert azure.calls == [PUT, f"{PUT_POOL} system", f"{PUT_POOL} work", TAGS]


def test_a_minor_alone_is_content_with_any_of_its_patches_and_a_patch_is_not() -> None:
    azure = made()
    assert play(azure, wanted("v1.35"), CHANGE) == Done(total=6)
    assert azure.calls == [TAGS]
    assert isinstance(plan(wanted("v1.35.9"), operation(OperationType.CHANGE, 2), _settled(azure), NOW), Call)


def test_two_minors_at_once_and_steps_back_are_never_called() -> None:
    for version, words in (("v1.37", "one minor at a time"), ("v1.34", "goes back to no older"), ("v1.35.7", "older")):
        azure = made()
        move = play(azure, wanted(version), CHANGE)
        assert isinstance(move, Fail)
        assert words in move.message
        assert azure.calls == []


def test_pools_that_are_no_longer_declared_go_last_and_new_ones_come_before() -> None:
    azure = made()
    fresh = {**SYSTEM, "name": "fresh"}
    assert play(azure, wanted("v1.36", agentPools=(WORK, fresh)), CHANGE) == Done(total=6)
    assert azure.calls == [PUT, f"{PUT_POOL} fresh", f"{PUT_POOL} work", f"{REMOVE_POOL} system", TAGS]


def test_a_pool_deleted_by_hand_is_made_again_by_a_repair_which_moves_no_version() -> None:
    azure = made()
    assert azure.body is not None
    azure.body["properties"]["agentPoolProfiles"].pop()
    assert play(azure, wanted("v1.36"), REPAIR) == Done(total=6)
    assert azure.calls == [f"{PUT_POOL} work", TAGS]


def test_what_azure_failed_at_is_sent_once_more_and_then_given_up_with_its_words() -> None:
    azure = made()
    azure.failures = ["", BROKEN, BROKEN]
    move = play(azure, wanted("v1.36"), CHANGE)
    assert isinstance(move, Fail)
    assert "agent pool system" in move.message
    assert BROKEN in move.message
    assert azure.calls == [PUT, f"{PUT_POOL} system", f"{PUT_POOL} system"]
    assert play(azure, wanted("v1.36"), operation(OperationType.CHANGE, 2)) == Done(total=6)


def test_what_no_second_attempt_mends_is_given_up_at_once() -> None:
    azure = Azure(failures=["ErrCode_InsufficientVCPUQuota: 2 left, 12 asked for"])
    move = play(azure, wanted(), CREATE)
    assert isinstance(move, Fail)
    assert "2 left, 12 asked for" in move.message
    assert azure.calls == [PUT]


def test_a_cluster_that_never_came_to_be_is_removed_and_made_anew_by_the_next_create() -> None:
    azure = Azure(failures=[BROKEN, BROKEN])
    assert isinstance(play(azure, wanted(), CREATE), Fail)
    assert play(azure, wanted(), operation(OperationType.CREATE, 2)) == Done(total=6)
    assert azure.calls == [PUT, PUT, REMOVE, PUT, TAGS]


def test_a_cluster_that_once_worked_is_never_removed_to_be_made_anew() -> None:
    azure = made()
    azure.failures = [BROKEN, BROKEN]
    assert isinstance(play(azure, wanted("v1.36"), CHANGE), Fail)
    assert play(azure, wanted("v1.36"), operation(OperationType.CREATE, 2)) == Done(total=6)
    assert REMOVE not in azure.calls


def test_a_deletion_waits_for_what_azure_is_at_and_names_what_holds_it_up() -> None:
    azure = made()
    assert azure.body is not None
    azure.body["properties"]["provisioningState"] = "Updating"
    assert plan(wanted(), DELETE, azure.look(), NOW) == Wait(
        step="delete the cluster", total=4, message="Azure is still at work: the cluster is Updating"
    )
    azure.settle()
    azure.body["properties"]["nodeResourceGroup"] = "MC_fleet"
    azure.failures = ["ResourceGroupDeletionBlocked: address x is in use"]
    step(azure, wanted(), DELETE)
    azure.settle()
    again = step(azure, wanted(), DELETE)
    assert isinstance(again, Call)
    for words in ("address x is in use", "MC_fleet", "tried again"):
        assert words in again.step
    azure.settle()
    assert plan(wanted(), DELETE, azure.look(), NOW) == Done(total=1)


def test_a_deletion_needs_nothing_of_the_block_but_where_the_cluster_is() -> None:
    azure = made()
    broken = wanted(labels={"a/b": "1", "a_b": "2"}, agentPools=())
    assert play(azure, broken, DELETE) == Done(total=1)
    with pytest.raises(BadInput, match="agentPools"):
        plan(broken, CHANGE, None, NOW)


def test_a_stopped_cluster_is_not_started_behind_its_owners_back() -> None:
    azure = made()
    assert azure.body is not None
    azure.body["properties"]["powerState"] = {"code": "Stopped"}
    move = play(azure, wanted("v1.36"), CHANGE)
    assert isinstance(move, Fail)
    assert f"az aks start -g fleet -n {NAME}" in move.message


def test_what_is_not_there_cannot_be_changed_and_no_version_comes_back() -> None:
    assert isinstance(plan(wanted(), CHANGE, None, NOW), Fail)
    assert isinstance(plan(wanted(), operation(OperationType.REVERT), None, NOW), Fail)


def test_fields_that_this_atoll_does_not_know_survive_every_change() -> None:
    azure = made()
    assert azure.body is not None
    azure.body["futureField"] = {"a": 1}
    azure.body["properties"]["someProfile"] = {"b": [2]}
    azure.body["properties"]["agentPoolProfiles"][0]["nodeTaints"] = ["theirs:NoSchedule"]
    assert play(azure, wanted("v1.36", labels={"team": "red"}), CHANGE) == Done(total=6)
    assert azure.body["futureField"] == {"a": 1}
    assert azure.body["properties"]["someProfile"] == {"b": [2]}
    system = next(pool for pool in azure.body["properties"]["agentPoolProfiles"] if pool["name"] == "system")
    assert system["nodeTaints"] == ["theirs:NoSchedule"]


POOL = st.fixed_dictionaries(
    {
        "name": st.sampled_from(("a", "b", "c", "d")),
        "vmSize": st.just("Standard_D4s_v5"),
        "mode": st.sampled_from(("System", "User")),
        "minSize": st.integers(1, 3),
        "maxSize": st.integers(3, 6),
    }
)
POOLS = st.lists(POOL, min_size=1, max_size=4, unique_by=lambda pool: pool["name"]).filter(
    lambda pools: any(pool["mode"] == "System" for pool in pools)
)
VERSIONS = st.sampled_from(("v1.34", "v1.35", "v1.35.6", "v1.36", "v1.36.4", "v1.37"))
TROUBLE = st.lists(st.sampled_from(("", "", BROKEN, "QuotaExceeded: no room")), max_size=6)
KINDS = st.sampled_from((OperationType.CREATE, OperationType.CHANGE, OperationType.REPAIR))


@settings(max_examples=150, deadline=None)
@given(
    first=POOLS,
    then=POOLS,
    versions=st.tuples(VERSIONS, VERSIONS),
    trouble=TROUBLE,
    kind=KINDS,
    drift=st.fixed_dictionaries({"policy": st.sampled_from(("cilium", "none")), "most": st.integers(6, 9)}),
)
def test_from_anywhere_the_plan_ends_and_breaks_no_rule_of_aks(
    first: list[Any], then: list[Any], versions: tuple[str, str], trouble: list[str], kind: OperationType, drift: Any
) -> None:
    azure = Azure()
    assert isinstance(play(azure, wanted(versions[0], agentPools=first), CREATE), Done)
    azure.settle()
    assert azure.body is not None
    azure.body["properties"]["networkProfile"]["networkPolicy"] = drift["policy"]
    azure.body["properties"]["agentPoolProfiles"][0]["maxCount"] = drift["most"]
    azure.failures = list(trouble)
    goal = wanted(versions[1], agentPools=then)
    end = play(azure, goal, operation(kind, 7))
    assert isinstance(end, (Done, Fail))
    if isinstance(end, Done):
        seen = _settled(azure)
        assert is_finished(seen.tags, operation(kind, 7))
        assert plan(goal, operation(kind, 7), seen, NOW) == end
    azure.failures = []
    azure.settle()
    assert play(azure, goal, DELETE) == Done(total=1)


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.booleans(), min_size=30, max_size=30))
def test_work_that_settles_at_any_moment_ends_the_same(cuts: list[bool]) -> None:
    """Looks may come before or after Azure is done; calls whose answers were lost are not made twice."""
    azure = made()
    for settles in cuts:
        step(azure, wanted("v1.36"), CHANGE)
        if settles:
            azure.settle()
    play(azure, wanted("v1.36"), CHANGE)
    assert azure.calls == [PUT, f"{PUT_POOL} system", f"{PUT_POOL} work", TAGS]


def _settled(azure: Azure) -> Any:
    azure.settle()
    seen = azure.look()
    assert seen is not None
    return seen
