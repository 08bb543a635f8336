"""Single decisions: who is held and why, what is refused, what is never begun."""

from dataclasses import replace
from datetime import timedelta

import pytest

from atoll.fleet.authentication import digest_authentication
from atoll.fleet.cluster import Presence, ProviderInfo
from atoll.fleet.decisions import Advance, RolloutDecision
from atoll.fleet.spec import Environment, Freeze, Paused, Tenant, Upgrade
from atoll.fleet.values import Share, freeze
from atoll.rollout.build import build_rollout
from atoll.rollout.planner import plan_rollouts

from .builders import CANARY, LOCAL, PROD, START, cluster_set, healthy_view, member, meta, settled_child, v, wave
from .simulator import Nature, Simulator, settled_fleet


def begun(owner=None, version="v1.36.4", ticks=1, **natures):
    """A world whose set has been asked for another version, after the rollout was created."""
    world = Simulator(settled_fleet(owner or cluster_set()), natures={f"s--{k}": n for k, n in natures.items()})
    world.change_set(version=v(version))
    for _ in range(ticks):
        world.apply(world.decide())
        world.work()
        world.now += timedelta(seconds=5)
    return look_around(world)


def look_around(world):
    """Let everybody be looked at whom the rollout wants to move."""
    for inspection in world.decide().inspections:
        world.look(inspection)
    return world


def rows(decision):
    return {row.cluster: (row.state, row.message) for row in decision.progress[0].rows}


def see(world, name, **changes):
    seen = world.seen()
    views = {**seen.views, name: replace(seen.views[name], **changes)}
    return replace(seen, views=views)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"member": None, "unreachable_message": "connection refused"}, "it is unreachable: connection refused"),
        ({"refused": ("IdentityMismatch", "another cluster answered")}, "its identity is refused: another cluster"),
        ({"cluster": healthy_view("v1.35.8", presence=Presence.UNKNOWN).cluster}, "its cluster is Unknown: no answer"),
    ],
)
def test_an_unhealthy_cluster_is_not_changed(changes, message):
    decision = plan_rollouts(see(begun(), "s--dev", **changes), START)
    assert decision.advances == ()
    state, told = rows(decision)["dev"]
    assert state == "Held"
    assert told.startswith(message)


def test_a_cluster_that_was_not_looked_at_yet_is_not_changed():
    seen = replace(begun().seen(), views={})
    decision = plan_rollouts(seen, START)
    assert decision.advances == ()
    assert rows(decision)["dev"] == ("Held", "it has not been looked at yet; an unhealthy cluster is not changed")


def test_a_wave_is_not_over_while_a_member_that_arrived_is_not_well():
    world = begun(ticks=8)
    assert world.fleet.child("s--dev").done_revision == world.fleet.child("s--dev").revision
    world.silent.add("s--dev")
    world.now += timedelta(seconds=60)
    decision = world.decide()
    assert decision.advances == ()
    assert "is not over while dev is not well: it is unreachable" in decision.progress[0].message
    world.silent.clear()
    assert [item.child for item in world.decide().advances] == ["s--prod-a", "s--prod-b"]


def test_a_frozen_environment_holds_its_clusters_until_its_end():
    world = begun()
    end = START + timedelta(hours=1)
    prod = Environment(meta=meta("prod"), freezes=(Freeze(start=START, end=end, reason="sale"),))
    placed = freeze({"placements": [{"environment": "prod", "cluster": "s--dev", "state": "Placed"}]})
    world.fleet = replace(world.fleet, environments=(prod,), tenants=(Tenant(meta=meta("shop"), status=placed),))
    decision = world.decide()
    assert decision.advances == ()
    assert rows(decision)["dev"] == ("Held", "environment prod is frozen until 2026-11-21 13:00:00: sale")
    assert decision.wake == end
    world.now = end
    assert [item.child for item in look_around(world).decide().advances] == ["s--dev"]


def test_nothing_is_begun_for_a_set_that_asks_for_what_cannot_be_done():
    world = Simulator(settled_fleet(cluster_set()))
    world.change_set(version=v("v1.36.4"))
    assert plan_rollouts(world.fleet, world.now, refused={"s"}) == RolloutDecision()
    assert [item.name for item in plan_rollouts(world.fleet, world.now).new] == ["s-1"]
    running = begun()
    running.change_set(version=v("v1.36.5"))
    decision = plan_rollouts(running.fleet, running.now, refused={"s"})
    assert (decision.new, decision.advances, decision.progress) == ((), (), ())


def test_a_cluster_is_left_alone_while_a_tenant_stands_where_its_residency_forbids():
    world = begun()
    entry = {"environment": "prod", "cluster": "s--dev", "state": "Placed"}
    for rule, held in (("country", True), ("isolation", False), ("", False)):
        placed = freeze({"placements": [{**entry, **({"rule": rule} if rule else {})}]})
        world.fleet = replace(world.fleet, tenants=(Tenant(meta=meta("shop"), status=placed),))
        decision = world.decide()
        assert [item.child for item in decision.advances] == ([] if held else ["s--dev"])
        if held:
            message = "tenant shop has to leave it first (rule country); `atoll why tenant/shop` tells where to"
            assert rows(decision)["dev"] == ("Held", message)


def test_an_environment_counts_the_changing_clusters_of_all_sets():
    everything = Upgrade(max_concurrent=Share(100, True), waves=(wave("all", "prod", max_concurrent=Share(9)),))
    one = cluster_set("s", members=(member("a"),), upgrade=everything)
    two = cluster_set("t", members=(member("b"),), upgrade=everything)
    both = settled_fleet(one)
    placements = [{"environment": "prod", "cluster": name, "state": "Placed"} for name in ("s--a", "t--b")]
    both = replace(
        both,
        cluster_sets=tuple(replace(item, version=v("v1.36.4")) for item in (two, one)),
        children=(*both.children, settled_child(two, "b")),
        environments=(Environment(meta=meta("prod"), max_unavailable_clusters=1),),
        tenants=(Tenant(meta=meta("shop"), status=freeze({"placements": placements})),),
    )
    world = Simulator(both)
    world.apply(world.decide())
    decision = look_around(world).decide()
    assert [item.child for item in decision.advances] == ["s--a"]
    told = next(item for item in decision.progress if item.set_name == "t")
    assert told.rows[0].message == "environment prod allows 1 unavailable clusters, and has 1: s--a"


def test_who_takes_longest_goes_first():
    owner = cluster_set(members=(member("a"), member("b"), member("c")), upgrade=Upgrade())
    world = begun(owner)
    for name, seconds in (("a", 30), ("b", 40), ("c", 90)):
        entry = {"from": "v1.34.9", "to": "v1.35.8", "startedTime": "2026-11-01T00:00:00Z", "seconds": seconds}
        history = (freeze({**entry, "type": "Change", "result": "Succeeded"}),)
        world.put(world.fleet.child(f"s--{name}"), history=history)
    decision = world.decide()
    assert [item.child for item in decision.advances] == ["s--c"]
    forecast = decision.progress[0].forecast
    assert forecast.low < 30 + 40 + 90 < forecast.high


def test_a_missing_regime_stops_everything_and_supersedes_nothing():
    world = begun()
    world.change_set(regimes=("pci",))
    decision = world.decide()
    assert (decision.new, decision.progress, decision.advances) == ((), (), ())
    assert [item.reason for item in decision.problems] == ["RegimeMissing"]


def test_a_way_with_a_missing_minor_moves_nobody():
    world = Simulator(settled_fleet(cluster_set()))
    world.fleet = replace(world.fleet, versions={"local": (v("v1.35.8"), v("v1.37.1"))})
    world.change_set(version=v("v1.37.1"))
    decision = world.decide()
    assert (decision.new, decision.advances) == ((), ())
    assert [(item.path, item.reason) for item in decision.problems] == [("spec.version", "VersionUnavailable")]
    assert "goes through v1.36" in decision.problems[0].message


def test_a_paused_set_begins_nothing_and_wakes_when_the_pause_ends():
    world = Simulator(settled_fleet(cluster_set()))
    until = START + timedelta(minutes=10)
    world.change_set(version=v("v1.36.4"), paused=Paused(reason="lunch", until=until))
    decision = world.decide()
    assert (decision.new, decision.wake) == ((), until)
    world.now = until
    assert [item.name for item in world.decide().new] == ["s-1"]


def test_a_member_in_its_first_creation_is_left_out_and_named():
    world = Simulator(settled_fleet(cluster_set()))
    world.put(world.fleet.child("s--prod-b"), done_revision="")
    world.change_set(version=v("v1.36.4"))
    new = world.decide().new[0]
    assert [item.clusters for item in new.waves] == [("dev",), ("prod-a",)]
    assert new.reason.endswith("left out while first being created: prod-b")


def test_a_number_is_never_used_again():
    world = Simulator(
        settled_fleet(cluster_set(status=freeze({"history": [{"rollout": "s-6"}], "currentRollout": "s-4"})))
    )
    world.change_set(version=v("v1.36.4"))
    assert [item.name for item in world.decide().new] == ["s-7"]


def test_a_members_own_settings_change_only_its_own_row():
    world = begun(ticks=1).run()
    members = world.fleet.cluster_sets[0].members
    world.change_set(members=(*members[:2], replace(members[2], settings=freeze({"verbosity": 5}))))
    assert [item.clusters for item in world.decide().new[0].waves] == [("prod-b",)]


def test_a_member_that_left_is_skipped():
    world = begun(ticks=1)
    world.change_set(members=world.fleet.cluster_sets[0].members[1:])
    assert rows(world.decide())["dev"] == ("Skipped", "it has left the set")


def test_aborting_and_trying_again_is_no_way_around_a_soak():
    world = begun(ticks=5)
    world.change_rollout("s-1", action="Abort")
    world.apply(world.decide())
    world.change_upgrade(retry=1)
    world.apply(world.decide())
    decision = world.decide()
    assert decision.advances == ()
    assert [wave.state for wave in decision.progress[-1].waves] == ["Soaking", "Waiting"]


def test_a_failure_within_the_budget_does_not_stop_the_others_and_is_not_tried_again_by_itself():
    upgrade = Upgrade(max_concurrent=Share(1), failure_budget=Share(1))
    world = begun(cluster_set(upgrade=upgrade), dev=Nature(fails_to={"v1.36.4"})).run()
    status = world.fleet.rollouts[-1].status
    assert (len(world.fleet.rollouts), status["state"]) == (1, "Done")
    assert [(row["cluster"], row["state"]) for row in status["rows"]] == [("dev", "Failed")]


def failed_after_the_hop():
    """A member serves the new version, and its verification has failed for the last time."""
    owner = cluster_set(upgrade=Upgrade(on_failure="Revert"))
    return begun(owner, dev=Nature(unproven={"v1.36.4"}), ticks=7)


def test_who_went_back_is_verified_again_before_it_counts_as_reverted():
    world = failed_after_the_hop()
    before = world.fleet.child("s--dev").done_revision
    cause = "verification failed: anonymous-refused: it answered 200"
    told = []
    for _ in range(6):
        world.apply(world.decide())
        world.work()
        world.now += timedelta(seconds=5)
        row = rows(world.decide())["dev"]
        told += [row] if row not in told else []
    assert told == [
        ("Failed", f"{cause}; goes back to v1.35.8 (writes after the snapshot are lost)"),
        ("Failed", f"{cause}; is back at v1.35.8, verifying"),
        ("Reverted", f"{cause}; is back at v1.35.8"),
    ]
    child = world.fleet.child("s--dev")
    assert child.done_revision == child.revision == f"{before}~~s-1"


def test_who_went_back_and_is_not_well_there_stays_failed_and_is_told_no_more():
    world = failed_after_the_hop()
    world.nature("s--dev").unproven.add("v1.35.8")
    world.run()
    decision = world.decide()
    assert (decision.reverts, decision.progress[0].state) == ((), "Halted")
    cause = "verification failed: anonymous-refused: it answered 200"
    assert rows(decision)["dev"] == ("Failed", f"{cause}; is back at v1.35.8, but its {cause}")


def test_a_change_that_failed_before_the_hop_is_taken_back_with_all_data():
    owner = cluster_set(upgrade=Upgrade(on_failure="Revert"))
    world = begun(owner, dev=Nature(fails_to={"v1.36.4"}), ticks=3)
    assert [(item.version, item.reason) for item in world.decide().reverts] == [
        (v("v1.35.8"), "rollout s-1: dev goes back to v1.35.8, which it still serves: nothing is lost")
    ]
    world.run()
    child = world.fleet.child("s--dev")
    assert (child.version, child.operation, child.history) == (v("v1.35.8"), None, ())
    assert world.fleet.rollouts[0].status["state"] == "Reverted"


def test_setting_the_target_back_finds_who_went_back_there_already():
    world = failed_after_the_hop().run()
    world.change_set(version=v("v1.35.8"))
    assert world.decide().new == ()
    world.change_set(version=v("v1.36.5"))
    assert [item.name for item in world.decide().new] == ["s-2"]


def test_who_was_done_is_not_reverted_when_its_settings_change_after_the_rollout_has_halted():
    """Its own settings are the next rollout's; nobody told it to go back."""
    owner = cluster_set(upgrade=Upgrade(waves=(CANARY, PROD), max_concurrent=Share(1)))
    world = begun(owner, **{"prod-b": Nature(fails_to={"v1.36.4"})}).run()
    assert world.fleet.rollouts[0].status["state"] == "Halted"
    members = world.fleet.cluster_sets[0].members
    world.change_set(
        members=tuple(
            replace(item, settings=freeze({"verbosity": 4})) if item.name in {"dev", "prod-a"} else item
            for item in members
        )
    )
    decision = world.decide()
    assert decision.progress[0].state == "Halted"
    assert {name: state for name, (state, _) in rows(decision).items()} == {
        "dev": "Done",
        "prod-a": "Pending",
        "prod-b": "Failed",
    }


def test_settings_that_fail_after_the_member_was_done_do_not_bring_the_old_version_back():
    """What was kept before the change of version is older than the settings that failed."""
    owner = cluster_set(members=(member("a"), member("b")), upgrade=Upgrade(on_failure="Revert"))
    world = begun(owner, a=Nature(seconds=5), b=Nature(seconds=600), ticks=4)
    assert rows(world.decide())["a"][0] == "Done"
    world.nature("s--a").unproven.add("v1.36.4")
    first, second = world.fleet.cluster_sets[0].members
    world.change_set(
        members=(replace(first, settings=freeze({"verbosity": 4})), second),
        upgrade=replace(owner.upgrade, max_concurrent=Share(2)),
    )
    reverts = []
    for _ in range(12):
        decision = world.decide()
        reverts += decision.reverts
        world.apply(decision)
        world.work()
        world.now += timedelta(seconds=5)
    assert reverts == []
    assert world.fleet.child("s--a").version == v("v1.36.4")


def test_what_a_provider_cannot_revert_stays_failed_and_says_so():
    world = failed_after_the_hop()
    world.fleet = replace(world.fleet, providers={"local": replace(LOCAL, can_revert=False)})
    decision = world.decide()
    assert decision.reverts == ()
    assert rows(decision)["dev"] == (
        "Failed",
        "verification failed: anonymous-refused: it answered 200; provider local cannot revert; mend it by hand",
    )


def test_what_was_kept_before_an_older_change_is_never_brought_back():
    world = failed_after_the_hop()
    world.points["s--dev"] = (v("v1.34.9"), START - timedelta(days=30))
    decision = world.decide()
    assert decision.reverts == ()
    assert "nothing was kept from before this change" in rows(decision)["dev"][1]


def existing(upgrade):
    world = Simulator(settled_fleet(cluster_set(members=(member("dev", "dev", settings=freeze(upgrade)),))))
    info = ProviderInfo(name="existing", has_nodes=True, can_revert=False, upgrades=False)
    world.fleet = replace(world.fleet, providers={"local": info}, versions={})
    world.change_set(version=v("v1.36.4"))
    return world


def test_an_existing_cluster_that_is_only_watched_is_skipped_once():
    world = existing({"upgrade": "Never"}).run()
    assert [rollout.status["state"] for rollout in world.fleet.rollouts] == ["Done"]
    assert world.fleet.child("s--dev").version == v("v1.35.8")


def test_an_existing_cluster_waits_for_its_owner():
    world = existing({"upgrade": "Allowed"})
    world.apply(world.decide())
    decision = world.decide()
    assert decision.advances == ()
    assert rows(decision)["dev"][1] == "its owner has to bring it from v1.35.8 to v1.36.4; Atoll does not change it"
    world.served["s--dev"] = v("v1.36.4")
    revision = world.fleet.rollouts[0].target_revision
    orders = [(item.child, item.version) for item in world.decide().advances]
    assert orders == [("s--dev", v("v1.36.4"))]
    assert revision


def test_a_member_that_is_told_how_people_log_in_is_changing_until_it_does_so():
    world = Simulator(settled_fleet(cluster_set(members=(member("dev", "dev"),))))
    login = freeze({"oidc": {"issuerURL": "https://id.example", "clientID": "atoll"}})
    world.change_set(authentication=login)
    world.apply(world.decide())
    world.apply(look_around(world).decide())
    told = world.fleet.child("s--dev")

    def seen(digest):
        cluster = replace(world.seen().views["s--dev"].cluster, authentication=digest)
        return rows(plan_rollouts(see(world, "s--dev", cluster=cluster), START))["dev"]

    assert (told.version, told.revision != told.done_revision) == (v("v1.35.8"), True)
    assert seen("") == ("Changing", "changing how people log in")
    assert seen(digest_authentication(login)) == ("Verifying", "serves v1.35.8, verifying")
    assert seen(None)[0] == "Verifying"


def test_the_first_order_says_who_moves_where_and_why():
    world = begun()
    revision = world.fleet.rollouts[0].target_revision
    # The member's own settings were given to no one here, so its revision differs from the set's by nothing.
    assert world.decide().advances == (
        Advance(
            child="s--dev",
            version=v("v1.36.4"),
            revision=revision,
            rollout="s-1",
            reason="rollout s-1, wave canary: dev changes from v1.35.8 to v1.36.4",
        ),
    )


def test_a_rollout_is_written_with_its_frozen_waves_and_who_asked_for_it():
    owner = cluster_set()
    owner = replace(owner, meta=replace(owner.meta, annotations=freeze({"atoll.dev/requested-by": "jane"})))
    world = Simulator(settled_fleet(owner))
    world.change_set(version=v("v1.36.4"))
    new = world.decide().new[0]
    assert build_rollout(new, owner) == {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "name": "s-1",
            "namespace": "fleet",
            "labels": {"app.kubernetes.io/managed-by": "atoll", "atoll.dev/cluster-set": "s"},
            "ownerReferences": [
                {
                    "apiVersion": "atoll.dev/v1alpha1",
                    "kind": "ClusterSet",
                    "name": "s",
                    "uid": "uid-s",
                    "controller": True,
                }
            ],
        },
        "spec": {
            "setName": "s",
            "target": {"version": "v1.36.4", "revision": new.target_revision, "retry": 0},
            "requestedBy": "jane",
            "action": "Run",
            "waves": [
                {"name": "canary", "clusters": ["dev"], "maxConcurrent": 1, "soakSeconds": 30, "gates": []},
                {"name": "prod", "clusters": ["prod-a", "prod-b"], "maxConcurrent": 2, "soakSeconds": 0, "gates": []},
            ],
        },
    }


def test_a_failure_is_not_forgotten_with_the_operator_although_the_member_was_given_other_settings():
    """Found by random sequences: the run of checks that failed was in memory alone."""
    world = begun(cluster_set(), dev=Nature(unproven={"v1.36.4"}), ticks=8)
    assert rows(world.decide())["dev"][0] == "Failed"
    members = world.fleet.cluster_sets[0].members
    own = freeze({"verbosity": 4})
    world.change_set(members=tuple(replace(m, settings=own) if m.name == "dev" else m for m in members))
    world.apply(world.decide())
    world.attempts.clear()
    assert rows(world.decide())["dev"][0] == "Failed"
