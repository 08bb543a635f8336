"""The admission policies on a real API server: each refusal, and beside it what stays allowed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from atoll.api.identity import GARBAGE_COLLECTOR, NAMESPACE_CONTROLLER, Identity
from atoll.api.policies import build_validating_policies
from atoll.api.policies_people import build_mutating_policies
from tests.support.helm import render_chart

from .conftest import (
    DELEGATE,
    NEWEST,
    OLDER,
    OPERATOR,
    Answer,
    Server,
    install_crds,
    serving,
    wait_until_in_force,
)
from .manifests import build

pytestmark = pytest.mark.e2e

SOMEBODY = "alice"
CHARTED = "system:serviceaccount:atoll-system:rel-atoll"
NS = ("-n", "fleet")


@contextmanager
def existing(server: Server, body: dict[str, Any], status: dict[str, Any] | None = None) -> Iterator[None]:
    """Have an object, made by Atoll, with a status; it is gone afterwards whatever happened to it."""
    server.must("create", "-f", "-", body=body, as_user=OPERATOR)
    try:
        if status is not None:
            write_status(server, body, status)
        yield
    finally:
        # An annotation and an empty status open every protection, so that no test can leave something behind.
        name, kind = body["metadata"]["name"], f"{body['kind'].lower()}.atoll.dev"
        if server.kubectl("get", kind, name, *NS).code == 0:
            if status is not None:
                write_status(server, body, dict.fromkeys(status))
            server.must(
                "annotate", kind, name, *NS, "--overwrite", f"atoll.dev/confirm-deletion={name}", as_user=OPERATOR
            )
            server.must("delete", kind, name, *NS, as_user=OPERATOR)


def write_status(server: Server, body: dict[str, Any], status: dict[str, Any]) -> None:
    """Write a status as Atoll does."""
    answer = patch(server, body, {"status": status}, "--subresource=status", as_user=OPERATOR)
    assert answer.code == 0, answer.err


def patch(server: Server, body: dict[str, Any], change: dict[str, Any], *args: str, as_user: str) -> Answer:
    """Merge-patch an object as somebody."""
    kind, name = f"{body['kind'].lower()}.atoll.dev", body["metadata"]["name"]
    return server.kubectl("patch", kind, name, *NS, "--type=merge", "-p", json.dumps(change), *args, as_user=as_user)


def delete(server: Server, body: dict[str, Any], as_user: str = SOMEBODY) -> Answer:
    """Delete an object as somebody, in a dry run."""
    kind, name = f"{body['kind'].lower()}.atoll.dev", body["metadata"]["name"]
    return server.kubectl("delete", kind, name, *NS, "--dry-run=server", as_user=as_user)


class TestDeletionProtection:
    @pytest.mark.parametrize("kind", ["ClusterSet", "HostPool", "Environment", "Tenant"])
    def test_a_protected_object_goes_only_when_the_annotation_names_it(self, guarded: Server, kind: str) -> None:
        body = build(kind, {"deletionProtection": True}, name="kept")
        with existing(guarded, body):
            refused = delete(guarded, body)
            wrong = patch(
                guarded, body, {"metadata": {"annotations": {"atoll.dev/confirm-deletion": "x"}}}, as_user=SOMEBODY
            )
            still_refused = delete(guarded, body)
            patch(
                guarded, body, {"metadata": {"annotations": {"atoll.dev/confirm-deletion": "kept"}}}, as_user=SOMEBODY
            )
            allowed = delete(guarded, body)
        remedy = (
            f"{kind} kept has spec.deletionProtection. To delete it, run: kubectl annotate -n fleet "
            f"{kind.lower()}s.atoll.dev kept atoll.dev/confirm-deletion=kept"
        )
        assert remedy in refused.err
        assert wrong.code == 0
        assert remedy in still_refused.err
        assert allowed.code == 0

    def test_an_object_without_protection_goes(self, guarded: Server) -> None:
        body = build("Environment", name="free")
        with existing(guarded, body):
            assert delete(guarded, body).code == 0

    def test_a_delete_of_all_is_stopped_too(self, guarded: Server) -> None:
        body = build("Environment", {"deletionProtection": True}, name="kept")
        with existing(guarded, body):
            answer = guarded.kubectl("delete", "environments.atoll.dev", "--all", *NS, as_user=SOMEBODY)
            assert "Environment kept has spec.deletionProtection" in answer.err

    def test_a_deletion_of_the_collection_is_stopped_too(self, guarded: Server) -> None:
        body = build("Environment", {"deletionProtection": True}, name="kept")
        with existing(guarded, body):
            path = "/apis/atoll.dev/v1alpha1/namespaces/fleet/environments"
            answer = guarded.kubectl("delete", "--raw", path, as_user=SOMEBODY)
            assert "Environment kept has spec.deletionProtection" in answer.err
            assert guarded.kubectl("get", "environments.atoll.dev", "kept", *NS).code == 0

    def test_protection_can_be_taken_off_first(self, guarded: Server) -> None:
        body = build("ClusterSet", {"deletionProtection": True}, name="kept")
        with existing(guarded, body):
            assert patch(guarded, body, {"spec": {"deletionProtection": False}}, as_user=SOMEBODY).code == 0
            assert delete(guarded, body).code == 0


class TestInUse:
    @pytest.mark.parametrize(
        ("kind", "used", "unused", "words"),
        [
            (
                "Environment",
                {"tenantCount": 2},
                {"tenantCount": 0},
                "is in use: 2 tenants are still in it. Take it out",
            ),
            ("Regime", {"demandedBy": 1, "attestedBy": 0}, {"demandedBy": 0}, "is in use: 1 environments and tenants"),
            ("Regime", {"demandedBy": 0, "attestedBy": 3}, {"attestedBy": 0}, "is in use: 3 clusters are still"),
            (
                "HostPool",
                {"hosts": {"claimed": 1}},
                {"hosts": {"claimed": 0}},
                "is in use: 1 of its hosts still belong",
            ),
        ],
    )
    def test_what_is_used_stays_and_what_is_not_goes(
        self, guarded: Server, kind: str, used: dict[str, Any], unused: dict[str, Any], words: str
    ) -> None:
        body = build(kind, name="used")
        with existing(guarded, body, used):
            refused = delete(guarded, body)
            atoll_refused = delete(guarded, body, OPERATOR)
            write_status(guarded, body, unused)
            allowed = delete(guarded, body)
        assert f"{kind} used {words}" in refused.err
        assert f"{kind} used {words}" in atoll_refused.err, "nobody is exempt"
        assert allowed.code == 0

    def test_an_object_that_was_never_looked_at_goes(self, guarded: Server) -> None:
        body = build("Regime", name="fresh")
        with existing(guarded, body):
            assert delete(guarded, body).code == 0


class TestOwned:
    CHILD = build("ChildCluster")
    HOST = build("Host")
    ROLLOUT = build("Rollout")

    @pytest.mark.parametrize("kind", ["ChildCluster", "Host", "Rollout"])
    def test_only_atoll_makes_them(self, guarded: Server, kind: str) -> None:
        body = build(kind)
        refused = guarded.kubectl("create", "--dry-run=server", "-f", "-", body=body, as_user=SOMEBODY)
        by_group = guarded.kubectl(
            "create", "--dry-run=server", "-f", "-", body=body, as_user="atoll", groups=("atoll.dev:operators",)
        )
        assert f"only Atoll makes a {kind}. Change the ClusterSet, HostPool or Tenant" in refused.err
        assert by_group.code == 0

    @pytest.mark.parametrize("kind", ["ChildCluster", "Host", "Rollout"])
    def test_only_atoll_and_the_garbage_collectors_delete_them(self, guarded: Server, kind: str) -> None:
        body = build(kind)
        with existing(guarded, body):
            refused = delete(guarded, body)
            others = [delete(guarded, body, who).code for who in (OPERATOR, GARBAGE_COLLECTOR, NAMESPACE_CONTROLLER)]
        assert f"only Atoll deletes a {kind}. Take its member out of spec.clusters" in refused.err
        assert others == [0, 0, 0]

    @pytest.mark.parametrize("kind", ["ChildCluster", "Host"])
    def test_only_atoll_writes_their_spec(self, guarded: Server, kind: str) -> None:
        change = {
            "spec": {"version": "v1.37.0"}
            if kind == "ChildCluster"
            else {"claim": {"clusterID": "x", "role": "Worker"}}
        }
        with existing(guarded, build(kind)):
            refused = patch(guarded, build(kind), change, as_user=SOMEBODY)
            allowed = patch(guarded, build(kind), change, as_user=OPERATOR)
        assert f"only Atoll writes the spec of a {kind}" in refused.err
        assert allowed.code == 0

    @pytest.mark.parametrize(
        "metadata",
        [
            {"labels": {"stage": "prod"}},
            {"finalizers": ["example.com/x"]},
            {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}]},
        ],
        ids=lambda metadata: next(iter(metadata)),
    )
    def test_only_atoll_writes_their_labels_finalizers_and_owners(
        self, guarded: Server, metadata: dict[str, Any]
    ) -> None:
        with existing(guarded, self.CHILD):
            refused = patch(guarded, self.CHILD, {"metadata": metadata}, as_user=SOMEBODY)
            by_collector = patch(
                guarded, self.CHILD, {"metadata": metadata}, "--dry-run=server", as_user=GARBAGE_COLLECTOR
            )
        assert "only Atoll writes labels, finalizers and owner references of a ChildCluster" in refused.err
        assert by_collector.code == 0

    def test_atoll_writes_labels(self, guarded: Server) -> None:
        with existing(guarded, self.CHILD):
            assert patch(guarded, self.CHILD, {"metadata": {"labels": {"a": "b"}}}, as_user=OPERATOR).code == 0

    @pytest.mark.parametrize(
        ("key", "allowed"),
        [
            ("atoll.dev/abandon", True),
            ("atoll.dev/take-over", True),
            ("argocd.argoproj.io/tracking-id", True),
            ("atoll.dev/rollout", False),
        ],
    )
    def test_people_steer_with_two_annotations(self, guarded: Server, key: str, allowed: bool) -> None:
        with existing(guarded, self.CHILD):
            answer = patch(guarded, self.CHILD, {"metadata": {"annotations": {key: "true"}}}, as_user=SOMEBODY)
        assert (answer.code == 0) is allowed
        assert ("only Atoll writes annotations under atoll.dev here" in answer.err) is not allowed

    def test_an_annotation_of_atoll_cannot_be_removed(self, guarded: Server) -> None:
        with existing(guarded, self.CHILD):
            mark = {"metadata": {"annotations": {"atoll.dev/rollout": "apps-1"}}}
            assert patch(guarded, self.CHILD, mark, as_user=OPERATOR).code == 0
            gone = {"metadata": {"annotations": {"atoll.dev/rollout": None}}}
            assert "only Atoll writes annotations" in patch(guarded, self.CHILD, gone, as_user=SOMEBODY).err

    def test_people_pause_a_rollout_but_change_nothing_else(self, guarded: Server) -> None:
        with existing(guarded, self.ROLLOUT):
            paused = patch(guarded, self.ROLLOUT, {"spec": {"action": "Pause"}}, as_user=SOMEBODY)
            labelled = patch(guarded, self.ROLLOUT, {"metadata": {"labels": {"a": "b"}}}, as_user=SOMEBODY)
        assert paused.code == 0
        assert "only Atoll writes labels, finalizers and owner references of a Rollout" in labelled.err

    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            ("ClusterSet", {"version": "v1.36.4"}),
            ("ChildCluster", {"version": "v1.36.4"}),
            ("HostPool", {"hosts": {"claimed": 0}}),
            ("Host", {"state": "Available"}),
            ("Environment", {"tenantCount": 0}),
            ("Tenant", {"placements": []}),
            ("Regime", {"demandedBy": 0}),
            ("Rollout", {"state": "Done"}),
        ],
    )
    def test_only_atoll_writes_status(self, guarded: Server, kind: str, status: dict[str, Any]) -> None:
        body = build(kind)
        with existing(guarded, body):
            refused = patch(guarded, body, {"status": status}, "--subresource=status", as_user=SOMEBODY)
            allowed = patch(guarded, body, {"status": status}, "--subresource=status", as_user=OPERATOR)
        assert f"only Atoll writes the status of a {kind}. Change its spec instead." in refused.err
        assert allowed.code == 0


class TestFleetNamespaces:
    def test_a_fleet_stays_while_it_has_children(self, guarded: Server) -> None:
        with existing(guarded, build("ChildCluster")):
            refused = guarded.kubectl("delete", "namespace", "fleet", "--dry-run=server", as_user=SOMEBODY)
        assert "namespace fleet is a fleet with ChildClusters in it, such as apps--dev. Delete its" in refused.err

    def test_taking_the_label_away_first_helps_nobody(self, guarded: Server) -> None:
        with existing(guarded, build("ChildCluster")):
            guarded.must("label", "namespace", "fleet", "atoll.dev/fleet-", as_user=SOMEBODY)
            refused = guarded.kubectl("delete", "namespace", "fleet", "--dry-run=server", as_user=SOMEBODY)
            guarded.must("label", "namespace", "fleet", "atoll.dev/fleet=true")
        assert "namespace fleet is a fleet with ChildClusters in it, such as apps--dev. Delete its" in refused.err

    def test_nobody_is_exempt(self, guarded: Server) -> None:
        with existing(guarded, build("ChildCluster")):
            refused = guarded.kubectl(
                "delete", "namespace", "fleet", "--dry-run=server", as_user="root", groups=("system:masters",)
            )
        assert "is a fleet with ChildClusters in it" in refused.err

    def test_an_empty_fleet_goes(self, guarded: Server) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "empty-fleet", "labels": {"atoll.dev/fleet": "true"}},
        }
        guarded.must("create", "-f", "-", body=body)
        with existing(guarded, build("ChildCluster")):
            assert guarded.kubectl("delete", "namespace", "empty-fleet", "--wait=false", as_user=SOMEBODY).code == 0

    def test_namespaces_of_others_are_none_of_our_business(self, guarded: Server) -> None:
        guarded.must("create", "namespace", "others")
        with existing(guarded, build("ChildCluster")):
            assert guarded.kubectl("delete", "namespace", "others", "--wait=false", as_user=SOMEBODY).code == 0


class TestApprovers:
    @staticmethod
    def approve(server: Server, approver: dict[str, Any], groups: tuple[str, ...]) -> Answer:
        body = build("Approval", {"approver": approver})
        return server.kubectl("create", "--dry-run=server", "-f", "-", body=body, as_user=SOMEBODY, groups=groups)

    def test_people_approve_in_their_own_name(self, guarded: Server) -> None:
        answer = self.approve(guarded, {"username": SOMEBODY, "groups": ["sre"]}, ("sre", "devs"))
        assert answer.code == 0, answer.err

    def test_nobody_approves_in_the_name_of_others(self, guarded: Server) -> None:
        answer = self.approve(guarded, {"username": "bob"}, ())
        assert "spec.approver.username must be your own user name, alice. `atoll approve` fills it in." in answer.err

    def test_nobody_claims_groups_of_others(self, guarded: Server) -> None:
        answer = self.approve(guarded, {"username": SOMEBODY, "groups": ["sre"]}, ("devs",))
        assert "spec.approver.groups must be groups of your own. `atoll approve` fills them in." in answer.err

    def test_no_groups_need_be_claimed(self, guarded: Server) -> None:
        assert self.approve(guarded, {"username": SOMEBODY}, ("sre",)).code == 0

    def test_an_approval_is_never_changed_into_somebody_elses(self, guarded: Server) -> None:
        body = build("Approval", {"approver": {"username": SOMEBODY}})
        guarded.must("create", "-f", "-", body=body, as_user=SOMEBODY)
        try:
            changed = patch(guarded, body, {"spec": {"approver": {"username": "bob"}}}, as_user=SOMEBODY)
        finally:
            guarded.must("delete", "approval.atoll.dev", body["metadata"]["name"], *NS)
        assert "an Approval cannot be changed" in changed.err


class TestRequestedBy:
    KEY = "atoll.dev/requested-by"

    def requester(self, server: Server, kind: str = "clusterset") -> str:
        name = {"clusterset": "one", "rollout": "apps-1"}[kind]
        annotations = server.get(f"{kind}.atoll.dev", name, *NS)["metadata"].get("annotations", {})
        found: str = annotations.get(self.KEY, "")
        return found

    def test_whoever_changes_the_target_is_the_requester(self, guarded: Server) -> None:
        body = build("ClusterSet")
        with existing(guarded, body):
            created_by = self.requester(guarded)
            assert patch(guarded, body, {"spec": {"version": "v1.37.0"}}, as_user="bob").code == 0
            changed_by = self.requester(guarded)
            forged = {"metadata": {"annotations": {self.KEY: "carol"}}, "spec": {"version": "v1.38.0"}}
            assert patch(guarded, body, forged, as_user="mallory").code == 0
            forged_by = self.requester(guarded)
            assert patch(guarded, body, {"metadata": {"annotations": {self.KEY: "carol"}}}, as_user="bob").code == 0
            after_annotation_alone = self.requester(guarded)
            assert patch(guarded, body, {"metadata": {"annotations": {self.KEY: None}}}, as_user="bob").code == 0
            after_removal = self.requester(guarded)
        seen = (created_by, changed_by, forged_by, after_annotation_alone, after_removal)
        assert seen == (OPERATOR, "bob", "mallory", "mallory", "mallory")

    def test_a_status_write_does_not_change_the_requester(self, guarded: Server) -> None:
        body = build("ClusterSet")
        with existing(guarded, body):
            assert patch(guarded, body, {"spec": {"version": "v1.37.0"}}, as_user="bob").code == 0
            write_status(guarded, body, {"version": "v1.36.4"})
            assert self.requester(guarded) == "bob"

    def test_a_delegate_may_name_the_person_behind_it(self, guarded: Server) -> None:
        body = build("ClusterSet")
        with existing(guarded, body):
            named = {"metadata": {"annotations": {self.KEY: "carol"}}, "spec": {"version": "v1.37.0"}}
            assert patch(guarded, body, named, as_user=DELEGATE).code == 0
            assert self.requester(guarded) == "carol"

    def test_whoever_pauses_a_rollout_is_named_there(self, guarded: Server) -> None:
        body = build("Rollout")
        with existing(guarded, body):
            assert patch(guarded, body, {"spec": {"action": "Pause"}}, as_user="bob").code == 0
            assert self.requester(guarded, "rollout") == "bob"


class TestRequestedByOnOlderClusters:
    """There is no policy there that writes it: it is missing, or tells of who wrote it."""

    KEY = TestRequestedBy.KEY

    def test_nobody_is_named_by_somebody_else(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        with serving(OLDER, tmp_path_factory.mktemp("older")) as server:
            install_crds(server)
            server.must("create", "namespace", "fleet")
            policies = build_validating_policies(Identity(usernames=(OPERATOR,)), (DELEGATE,))
            server.must("apply", "--server-side", "--validate=strict", "-f", "-", body=list(policies))
            wait_until_in_force(server)
            body = build("ClusterSet")

            def ask(version: str, requester: str | None, as_user: str) -> Answer:
                change = {"metadata": {"annotations": {self.KEY: requester}}, "spec": {"version": version}}
                return patch(server, body, change, as_user=as_user)

            with existing(server, body):
                forged = ask("v1.37.0", "carol", "mallory")
                own = ask("v1.37.0", "mallory", "mallory")
                stale = patch(server, body, {"spec": {"version": "v1.38.0"}}, as_user="bob")
                label_alone = patch(server, body, {"metadata": {"labels": {"a": "b"}}}, as_user="bob")
                removed = ask("v1.38.0", None, "bob")
                delegated = ask("v1.39.0", "carol", DELEGATE)
        assert "says who asks for the change of spec. Remove it, or name yourself in it." in forged.err
        assert "says who asks" in stale.err, "what stands there names mallory, and bob asks"
        assert [answer.code for answer in (own, label_alone, removed, delegated)] == [0, 0, 0, 0]


@pytest.fixture(scope="module")
def charted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield an API server with all that the chart brings, in force."""
    with serving(NEWEST, tmp_path_factory.mktemp("charted")) as server:
        rendered = render_chart(release="rel", namespace="atoll-system", version=NEWEST)
        crds = [body for body in rendered if body["kind"] == "CustomResourceDefinition"]
        server.must("apply", "--server-side", "-f", "-", body=crds)
        names = [f"crd/{crd['metadata']['name']}" for crd in crds]
        server.must("wait", "--for=condition=Established", "--timeout=30s", *names)
        server.must("create", "namespace", "fleet")
        policies = [body for body in rendered if "AdmissionPolicy" in body["kind"]]
        server.must("apply", "--server-side", "--validate=strict", "-f", "-", body=policies)
        wait_until_in_force(server)
        yield server


class TestChart:
    """What the chart installs refuses as what `atoll up` installs does."""

    def test_it_has_every_policy(self) -> None:
        rendered = render_chart(release="rel", namespace="atoll-system", version=NEWEST)
        wanted = (*build_validating_policies(Identity(usernames=(CHARTED,))), *build_mutating_policies())
        names = {(body["kind"], body["metadata"]["name"]) for body in wanted}
        assert {(b["kind"], b["metadata"]["name"]) for b in rendered if "AdmissionPolicy" in b["kind"]} == names

    def test_what_is_protected_or_in_use_stays(self, charted: Server) -> None:
        kept, used = build("Tenant", {"deletionProtection": True}, name="kept"), build("Regime", name="used")
        for body in (kept, used):
            charted.must("create", "-f", "-", body=body)
        status = {"status": {"demandedBy": 1}}
        by_somebody = patch(charted, used, status, "--subresource=status", as_user=SOMEBODY)
        by_atoll = patch(charted, used, status, "--subresource=status", as_user=CHARTED)
        refused = [delete(charted, body).err for body in (kept, used)]

        assert "only Atoll writes the status of a Regime" in by_somebody.err
        assert by_atoll.code == 0, by_atoll.err
        assert "Tenant kept has spec.deletionProtection" in refused[0]
        assert "Regime used is in use: 1 environments and tenants still demand it" in refused[1]

    def test_a_fleet_with_children_stays_and_nobody_approves_for_others(self, charted: Server) -> None:
        charted.must("create", "-f", "-", body=build("ChildCluster"), as_user=CHARTED)
        fleet = charted.kubectl("delete", "namespace", "fleet", "--dry-run=server", as_user=SOMEBODY)
        approval = build("Approval", {"approver": {"username": "bob"}})
        forged = charted.kubectl("create", "--dry-run=server", "-f", "-", body=approval, as_user=SOMEBODY)

        assert "namespace fleet is a fleet with ChildClusters in it" in fleet.err
        assert "spec.approver.username must be your own user name" in forged.err


class TestDefinitions:
    """Deleting a CRD deletes its objects past every policy: what the finalizer is for. The last class of this file."""

    @pytest.mark.parametrize(
        "body",
        [
            build("ClusterSet", {"deletionProtection": True}, name="kept"),
            build("ChildCluster"),
            build("Tenant", {"deletionProtection": True}, name="kept"),
        ],
        ids=lambda body: body["kind"],
    )
    def test_no_policy_sees_what_goes_with_its_definition(self, guarded: Server, body: dict[str, Any]) -> None:
        plural, name = f"{body['kind'].lower()}s.atoll.dev", body["metadata"]["name"]
        body = {**body, "metadata": {**body["metadata"], "finalizers": ["atoll.dev/finalizer"]}}
        guarded.must("create", "-f", "-", body=body, as_user=OPERATOR)
        refused = delete(guarded, body)

        guarded.must("delete", "crd", plural, "--wait=false", as_user=SOMEBODY)
        marked = wait_for_value(lambda: guarded.get(plural, name, *NS)["metadata"].get("deletionTimestamp"))
        definition = guarded.get("crd", plural)

        assert refused.code != 0
        assert marked, "the object is being deleted although a policy refuses it"
        assert definition["metadata"]["deletionTimestamp"], "which is how Atoll tells that nobody asked for it"
        conditions = {entry["type"]: entry["status"] for entry in definition["status"]["conditions"]}
        assert conditions["Terminating"] == "True"
        released = patch(guarded, body, {"metadata": {"finalizers": []}}, as_user=OPERATOR)
        assert released.code == 0, released.err
        gone = wait_for_value(lambda: guarded.kubectl("get", "crd", plural).code != 0)
        assert gone, "the CRD goes when Atoll has let go"


def wait_for_value(look: Callable[[], Any], seconds: float = 30) -> Any:
    """Return the first thing seen that counts as true, or the last that does not."""
    deadline = time.monotonic() + seconds
    while not (seen := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return seen
