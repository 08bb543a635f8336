"""What people tell a rollout: which one is meant, what is written, and what is refused with which remedy."""

from __future__ import annotations

import pytest

from atoll.api.rollout import Approval
from atoll.cli.approve_model import (
    Person,
    build_approval,
    check_counts,
    check_right,
    choose_gate,
    find_approval,
    name_approval,
)
from atoll.cli.rollout_actions import write_options
from atoll.cli.rollout_choice import choose_rollout, is_rollout_name
from atoll.cli.rollout_gates import list_gates
from atoll.cli.rollout_orders import describe_abort, plan_abort, plan_pause, plan_resume, plan_retry
from atoll.cli.watch_model import describe_unseen
from atoll.errors import BadInput, Refused

from .fleet_bodies import condition
from .rollout_bodies import GATES, cluster_set, counts, rollout, row, wave

BEN = Person(username="ben", groups=("sre", "system:authenticated"))
OPEN, CLOSED = ({"name": "sign-off", "state": state, "message": "…"} for state in ("Open", "Closed"))


def waiting(*gates, **more):
    """A rollout whose first wave waits for gates."""
    body = rollout(**more)
    body["status"]["waves"] = [wave("canary", "Held", gates=list(gates)), wave("first", "Waiting")]
    return body


def gates_of(body, owner=None):
    return list_gates(body, owner or cluster_set())


class TestWhichRollout:
    def test_a_bare_name_is_a_rollout_first_and_then_a_set(self):
        bodies = [cluster_set(currentRollout="eu-7"), rollout("eu-6", "Done"), rollout("eu-7")]

        assert [
            choose_rollout(text, bodies, "fleet")["metadata"]["name"] for text in ("eu-6", "rollout/eu-6", "eu")
        ] == [
            "eu-6",
            "eu-6",
            "eu-7",
        ]
        assert [is_rollout_name(text, bodies) for text in ("eu-6", "rollout/eu-6", "eu", "cset/eu")] == [
            True,
            True,
            False,
            False,
        ]

    def test_a_set_whose_last_rollout_is_over_means_that_one_and_numbers_count_as_numbers(self):
        bodies = [cluster_set(), rollout("eu-9", "Done"), rollout("eu-10", "Done")]

        assert choose_rollout("cset/eu", bodies, "fleet")["metadata"]["name"] == "eu-10"

    def test_a_rollout_that_has_just_begun_is_meant_before_the_set_says_so(self):
        bodies = [cluster_set(currentRollout="eu-7"), rollout("eu-7", "Halted"), rollout("eu-8", "")]

        assert choose_rollout("eu", bodies, "fleet")["metadata"]["name"] == "eu-8"

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("us", "there is no Rollout us in fleet lab; there is: eu-7"),
            ("rollout/eu", "there is no Rollout eu in fleet lab; there is: eu-7"),
            ("tenant/eu", "`tenant/eu` is no rollout; write its name, such as eu-7 or rollout/eu-7"),
        ],
    )
    def test_what_is_not_there_is_told_with_what_is(self, text, told):
        with pytest.raises(BadInput) as caught:
            choose_rollout(text, [cluster_set(), rollout()], "lab")

        assert told in str(caught.value)

    def test_a_set_without_any_says_where_to_look(self):
        with pytest.raises(BadInput, match="See `atoll why cset/eu`"):
            choose_rollout("eu", [cluster_set()], "fleet")

    def test_commands_to_copy_repeat_the_options(self):
        assert write_options("fleet", "", "") == ""
        assert write_options("lab 1", "/k", "c") == " -n 'lab 1' --kubeconfig /k --context c"


class TestPauseResumeAbort:
    def test_each_writes_its_one_field(self):
        owner = cluster_set()

        assert plan_pause(rollout()).patch == {"spec": {"action": "Pause"}}
        assert plan_resume(rollout(state="Paused", action="Pause"), owner).patch == {"spec": {"action": "Run"}}
        assert plan_abort(rollout()).patch == {"spec": {"action": "Abort"}}

    def test_twice_is_once(self):
        pausing, aborted = rollout(action="Pause"), rollout(state="Aborted", action="Abort")

        assert (plan_pause(pausing).patch, plan_pause(pausing).told) == (None, "rollout eu-7 is paused already")
        assert (plan_resume(rollout(), None).patch, plan_resume(rollout(), None).told) == (
            None,
            "rollout eu-7 is not paused",
        )
        assert (plan_abort(aborted).patch, plan_abort(aborted).told) == (None, "rollout eu-7 is aborted already")

    def test_who_is_in_the_middle_is_named(self):
        body = rollout(rows=[row("dev-1", "canary", "Changing"), row("dev-2", "canary", "Verifying")])

        assert plan_pause(body).told.endswith("until it is resumed; dev-1, dev-2 finish the change under way")

    def test_a_resumed_rollout_of_a_paused_set_says_what_holds_it_still(self):
        owner = cluster_set()
        owner["spec"]["paused"] = {"reason": "audit"}

        assert plan_resume(rollout(action="Pause"), owner).told == (
            "rollout eu-7 goes on, but its ClusterSet eu is paused (audit). To end that: "
            'kubectl patch cset eu -n fleet --type merge -p \'{"spec":{"paused":null}}\''
        )

    @pytest.mark.parametrize("plan", [plan_pause, lambda body: plan_resume(body, None)])
    def test_an_aborted_rollout_never_goes_on_and_retry_is_the_remedy(self, plan):
        for state in ("Running", "Aborted"):
            with pytest.raises(Refused, match=r"for ever\. `atoll retry eu` begins a new rollout"):
                plan(rollout(state=state, action="Abort"))

    @pytest.mark.parametrize("plan", [plan_pause, plan_abort, lambda body: plan_resume(body, None)])
    @pytest.mark.parametrize("state", ["Done", "Halted", "Reverted", "Superseded"])
    def test_what_is_over_cannot_be_told_anything(self, plan, state):
        with pytest.raises(Refused, match=f"rollout eu-7 is {state}.*there is nothing to "):
            plan(rollout(state=state))

    def test_before_an_abort_people_are_told_what_it_means(self):
        assert describe_abort(rollout(counts=counts(1), rows=[row("dev-2", "canary", "Changing")])) == (
            "Rollout eu-7 would start nothing more, for ever, and revert nothing: 1 of 4 are done and stay as they "
            "are; dev-2 finishes the change under way. `atoll retry eu` begins a new rollout for the rest; "
            "`atoll pause` would only hold this one."
        )


class TestRetry:
    @pytest.mark.parametrize("state", ["Halted", "Aborted", "Reverted"])
    @pytest.mark.parametrize("text", ["eu", "cset/eu", "eu-7", "rollout/eu-7"])
    def test_it_raises_the_sets_own_count_by_one(self, state, text):
        order = plan_retry(text, [cluster_set(), rollout("eu-6", "Done"), rollout("eu-7", state)], "fleet")

        assert order.body["kind"] == "ClusterSet"
        assert order.patch == {"spec": {"upgrade": {"retry": 1}}}
        assert order.told == "ClusterSet eu tries v1.36.4 again in a new rollout: spec.upgrade.retry is 1 now"

    def test_twice_is_once(self):
        order = plan_retry("eu", [cluster_set(retry=1), rollout(state="Halted")], "fleet")

        assert order.patch is None
        assert "its spec.upgrade.retry is 1, and rollout eu-7 (Halted) was begun with 0" in order.told

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            (rollout(), "is Running, and neither halted nor aborted. `atoll watch eu-7`"),
            (rollout(state=""), "is just begun, and neither halted nor aborted. `atoll watch eu-7`"),
            (rollout(state="Paused"), "is Paused, and neither halted nor aborted. `atoll resume eu-7` lets it go on"),
            (rollout(state="Done"), "is Done: there is nothing to try again. A change of spec.version"),
            (rollout(state="Superseded"), "is Superseded: its target is not wanted any more"),
        ],
    )
    def test_what_was_not_stopped_is_not_tried_again(self, body, told):
        with pytest.raises(Refused) as caught:
            plan_retry("eu", [cluster_set(), body], "fleet")

        assert told in str(caught.value)

    def test_nobody_has_to_wait_until_the_operator_has_seen_an_abort(self):
        order = plan_retry("eu", [cluster_set(), rollout(action="Abort")], "fleet")

        assert order.patch == {"spec": {"upgrade": {"retry": 1}}}

    def test_an_earlier_rollout_is_not_the_one_to_try_again(self):
        with pytest.raises(Refused, match=r"eu-6 is not the last one of ClusterSet eu; that is eu-7 \(Running\)"):
            plan_retry("eu-6", [cluster_set(), rollout("eu-6", "Halted"), rollout()], "fleet")


class TestWhichGate:
    def test_the_only_one_that_is_waited_for_needs_no_name(self):
        body = waiting(CLOSED)

        assert choose_gate(body, gates_of(body), "", "").name == "sign-off"

    def test_several_are_listed_with_the_commands(self):
        owner = cluster_set(gates={"canary": [*GATES["canary"], {"name": "cab", "approval": {}}]})
        body = waiting(CLOSED, {"name": "cab", "state": "Closed"})
        body["spec"]["waves"][0] = {**body["spec"]["waves"][0], "gates": ["sign-off", "cab"]}

        with pytest.raises(BadInput) as caught:
            choose_gate(body, gates_of(body, owner), "", "", " -n lab")

        assert str(caught.value).splitlines() == [
            "rollout eu-7 waits for 2 approvals; choose one:",
            "  atoll approve eu-7 --wave canary --gate sign-off -n lab",
            "  atoll approve eu-7 --wave canary --gate cab -n lab",
        ]
        assert choose_gate(body, gates_of(body, owner), "", "cab").name == "cab"

    def test_none_that_is_waited_for_says_which_may_be_approved_before(self):
        body = rollout()

        with pytest.raises(BadInput) as caught:
            choose_gate(body, gates_of(body), "", "")

        assert str(caught.value).splitlines() == [
            "rollout eu-7 waits for no approval now. To approve before it gets there:",
            "  atoll approve eu-7 --wave canary --gate sign-off",
        ]
        assert choose_gate(body, gates_of(body), "canary", "sign-off").state == ""

    def test_an_open_gate_is_waited_for_no_more(self):
        body = waiting(OPEN)

        with pytest.raises(BadInput, match=r"^rollout eu-7 waits for no approval now$"):
            choose_gate(body, gates_of(body), "", "")

    @pytest.mark.parametrize(
        ("wave_name", "gate", "told"),
        [
            ("", "slo", "people cannot open slo (metric) of wave canary: a measurement opens it by itself"),
            ("", "typo", "rollout eu-7 has no gate typo; its gates: sign-off (approval) of wave canary, slo (metric)"),
            ("first", "", "rollout eu-7 has no gate in wave first; its gates: sign-off"),
        ],
    )
    def test_what_is_no_gate_for_people_is_told_with_those_that_are(self, wave_name, gate, told):
        body = waiting(CLOSED)

        with pytest.raises(BadInput) as caught:
            choose_gate(body, gates_of(body), wave_name, gate)

        assert told in str(caught.value)

    def test_a_gate_that_was_taken_out_of_the_set_cannot_be_opened(self):
        body = waiting(CLOSED)

        with pytest.raises(BadInput, match=r"it was taken out of spec\.upgrade\.waves of the ClusterSet"):
            choose_gate(body, gates_of(body, cluster_set(gates={})), "", "sign-off")

    def test_a_regimes_gate_is_for_people_of_any_group(self):
        body = waiting({"name": "regime-pci", "state": "Closed"})
        gate = choose_gate(body, gates_of(body), "", "")

        assert (gate.name, gate.kind, gate.groups) == ("regime-pci", "regime", ())
        assert check_right(body, gate, Person(username="cleo")) == ()

    @pytest.mark.parametrize("state", ["Done", "Halted", "Aborted", "Reverted", "Superseded"])
    def test_a_rollout_that_is_over_needs_no_word_any_more(self, state):
        body = waiting(CLOSED, state=state)

        with pytest.raises(Refused, match=f"rollout eu-7 is {state}: nothing of it is left to approve"):
            choose_gate(body, gates_of(body), "", "")


class TestWhoMayApprove:
    def gate(self):
        return gates_of(waiting(CLOSED))[0]

    def test_only_those_of_my_groups_that_the_gate_names_are_written_down(self):
        assert check_right(rollout(), self.gate(), BEN) == ("sre",)

    def test_who_is_in_none_of_them_is_told_who_is(self):
        with pytest.raises(Refused) as caught:
            check_right(rollout(), self.gate(), Person(username="eve", groups=("devs",)))

        assert str(caught.value) == (
            "gate sign-off of wave canary opens for members of sre, leads; you are eve, of devs. Ask one of them to "
            "run: atoll approve eu-7 --wave canary --gate sign-off"
        )

    def test_who_asked_for_the_change_is_sent_to_somebody_else(self):
        with pytest.raises(Refused, match=r"^you, anna, asked for rollout eu-7, so your word does not count"):
            check_right(rollout(), self.gate(), Person(username="anna", groups=("sre",)))

    def test_the_object_is_what_the_api_knows_and_goes_with_its_rollout(self):
        body = build_approval(rollout(), self.gate(), BEN, ("sre",))

        assert (
            Approval.model_validate(body).model_dump(mode="json", by_alias=True)["spec"]
            == body["spec"]
            == {
                "rolloutRef": {"name": "eu-7", "uid": "uid-eu-7"},
                "wave": "canary",
                "gate": "sign-off",
                "approver": {"username": "ben", "groups": ["sre"]},
            }
        )
        assert body["metadata"]["ownerReferences"][0]["uid"] == "uid-eu-7"

    def test_a_persons_word_for_a_gate_has_one_name_and_no_other_has_it(self):
        later = rollout()
        later["metadata"]["uid"] = "uid-of-a-later-one"
        gates = gates_of(rollout())
        names = {
            name_approval(body, gate, Person(username=user))
            for body in (rollout(), later)
            for gate in gates
            for user in ("ben", "cleo")
        }

        assert len(names) == 8
        assert name_approval(rollout(), gates[0], BEN) == name_approval(rollout(), gates[0], Person(username="ben"))
        assert all(name.startswith("eu-7-") and len(name) < 253 for name in names)

    def test_a_word_given_before_is_found_under_any_name(self):
        mine = build_approval(rollout(), self.gate(), BEN, ("sre",))
        mine["metadata"]["name"] = "by-hand"
        others = build_approval(rollout(), self.gate(), Person(username="cleo"), ("sre",))

        assert find_approval(rollout(), self.gate(), BEN, [others, mine]) is mine
        assert find_approval(rollout("eu-8"), self.gate(), BEN, [others, mine]) is None

    def test_a_word_that_cannot_count_says_how_to_give_it_again(self):
        mine = build_approval(rollout(), self.gate(), BEN, ())

        with pytest.raises(
            Refused, match=r"names none of its groups \(sre, leads\).*kubectl delete approval .* -n fleet$"
        ):
            check_counts(mine, self.gate())


class TestWhatMayBeAboutToBegin:
    def begun(self, **members):
        ready = condition("Ready", "False", "Progressing", "members have not reached the target yet")
        body = cluster_set(members={"total": 4, "available": 4, "upToDate": 0} | members)
        body["status"]["conditions"] = [ready]
        return body

    def test_a_change_that_nobody_has_looked_at_yet(self):
        body = cluster_set()
        body["metadata"]["generation"] = 2

        assert describe_unseen(body, rollout(state="Done")) == (
            "the operator has not looked at the latest change of ClusterSet eu yet"
        )

    def test_a_target_that_nobody_has_reached_after_the_last_rollout(self):
        assert describe_unseen(self.begun(), rollout(state="Done")).startswith("a rollout of ClusterSet eu is about to")
        assert describe_unseen(self.begun(), rollout(state="Halted")) == "", "it is blocked; nothing begins by itself"
        assert describe_unseen(self.begun(available=3), None) == "", "a member is still being made"
        assert describe_unseen(cluster_set(), None) == ""
