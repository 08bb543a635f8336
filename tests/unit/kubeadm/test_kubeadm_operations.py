"""Operations from beginning to end on machines in memory, and cut short everywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from atoll.errors import Conflict, HostKeyMismatch, Refused, Unreachable
from atoll.fleet.authentication import NOTHING, digest_authentication, render_authentication
from atoll.hosts.access import HostAccess
from atoll.ports import (
    ObservedCluster,
    Operation,
    OperationState,
    OperationType,
    Presence,
    WantedCluster,
)
from atoll.providers.kubeadm.provider import KubeadmProvider

from .fast_loop import run_fast
from .machines import Claims, World, make_bundle, wanted

OLD, NEW = "v1.35.8", "v1.36.4"


TODAY = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class Clock:
    time: datetime = TODAY

    def now(self) -> datetime:
        return self.time


class Killed(BaseException):
    """The operator dies here."""


@dataclass
class Cutter:
    """Stands between the provider and its hosts, and kills the provider at one call."""

    world: World
    at: int = -1
    calls: int = 0
    after: bool = False
    """Kill when the host has answered and before the provider hears it."""
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    def connect(self, access: HostAccess) -> Any:
        return _Cut(self, self.world.machines[access.name].host)


class _Cut:
    def __init__(self, cutter: Cutter, host: Any) -> None:
        self._cutter, self._host = cutter, host
        self.name = host.name

    def __getattr__(self, method: str) -> Callable[..., Any]:
        async def call(*arguments: Any, **named: Any) -> Any:
            cutter = self._cutter
            cutter.calls += 1
            if cutter.calls == cutter.at and not cutter.after:
                await self._die()
            answer = await getattr(self._host, method)(*arguments, **named)
            if cutter.calls == cutter.at and cutter.after:
                await self._die()
            return answer

        return call

    async def _die(self) -> None:
        self._cutter.dead.set()
        await asyncio.Event().wait()


@pytest.fixture
def world(tmp_path: Path) -> World:
    for version in (OLD, NEW):
        make_bundle(tmp_path, version)
    made = World(bundle=tmp_path)
    for name in ("h1", "h2"):
        made.add(name)
    return made


def provide(
    world: World, cutter: Cutter | None = None, patience: float = 600.0, now: datetime = TODAY
) -> KubeadmProvider:
    connect = (cutter or Cutter(world)).connect
    return KubeadmProvider(Claims(tuple(world.machines)), connect, clock=Clock(now), patience_seconds=patience)


def todo(kind: OperationType, to: str = OLD, since: str = "", number: int = 1) -> Operation:
    return Operation(id=f"{kind.value.lower()}-{number}", type=kind, to_version=to, from_version=since)


async def finish(provider: KubeadmProvider, want: WantedCluster, operation: Operation) -> ObservedCluster:
    await provider.start(want, operation)
    while True:
        seen = await provider.observe(want.ref)
        progress = seen.operation
        if progress is None or progress.state is not OperationState.RUNNING:
            return seen
        await asyncio.sleep(1)


async def create(world: World) -> ObservedCluster:
    provider = provide(world)
    seen = await finish(provider, wanted(world, OLD), todo(OperationType.CREATE))
    await provider.close()
    return seen


def state_of(seen: ObservedCluster) -> tuple[Presence, str, str, OperationState | None]:
    state = seen.operation.state if seen.operation is not None else None
    return seen.presence, seen.version, seen.needs_repair, state


SETTLED = (Presence.PRESENT, OLD, "", OperationState.SUCCEEDED)
UPGRADED = (Presence.PRESENT, NEW, "", OperationState.SUCCEEDED)
HOP = todo(OperationType.CHANGE, NEW, OLD)


def test_a_cluster_is_made(world: World) -> None:
    async def story() -> None:
        provider = provide(world)
        want = wanted(world, OLD)
        assert await provider.preflight(want, todo(OperationType.CREATE)) == ()
        seen = await finish(provider, want, todo(OperationType.CREATE))
        assert state_of(seen) == SETTLED
        assert (seen.endpoint, seen.drift, seen.message) == ("https://10.88.0.11:6443", (), "")
        assert seen.certificates_expire_time == datetime(2027, 11, 21, tzinfo=UTC)
        assert sorted(world.nodes) == ["h1", "h2"]
        config = yaml.safe_load(await provider.kubeconfig(want.ref))
        assert config["current-context"] == "web--prod"
        assert await provider.versions() == ()
        assert world.machines["h1"].routes == {"10.128.1.0/24 via 10.88.0.12"}
        assert world.machines["h2"].routes == {"10.128.0.0/24 via 10.88.0.11"}
        ran = list(world.ran)
        await provider.start(want, todo(OperationType.CREATE))
        await asyncio.sleep(30)
        assert world.ran == ran, "a finished operation is not begun again"

    run_fast(story())


def test_no_token_outlives_its_use_and_none_is_an_argument(world: World) -> None:
    async def story() -> None:
        assert state_of(await create(world)) == SETTLED
        assert world.tokens == set()
        assert not any(".yaml" in name and "token" in text for name, text in _written(world))
        texts = " ".join(world.arguments)
        assert "SECRET" not in texts
        assert "BEGIN" not in texts

    run_fast(story())


def _written(world: World) -> list[tuple[str, str]]:
    return [entry for machine in world.machines.values() for entry in machine.host.files.items()]


def test_what_only_root_may_read_only_root_can(world: World) -> None:
    async def story() -> None:
        await create(world)
        modes = world.machines["h1"].host.modes
        private = [path for path in modes if path.startswith("/var/lib/atoll/kubeadm/") or path.endswith(".json")]
        assert private
        assert {modes[path] for path in private} == {0o600}

    run_fast(story())


def count_calls(world: World, operation: Operation, version: str) -> int:
    """Return how many calls of hosts an undisturbed operation makes."""

    async def story() -> int:
        cutter = Cutter(world)
        provider = provide(world, cutter)
        await finish(provider, wanted(world, version), operation)
        await provider.close()
        return cutter.calls

    return run_fast(story())


async def cut_and_resume(world: World, operation: Operation, version: str, at: int, *, after: bool) -> ObservedCluster:
    """Kill the operator at its call number `at`, and let another one resume."""
    cutter = Cutter(world, at=at, after=after)
    first = provide(world, cutter)
    await first.start(wanted(world, version), operation)
    dead = asyncio.create_task(cutter.dead.wait())
    _, task = first._tasks["c1"]
    await asyncio.wait({dead, task}, return_when=asyncio.FIRST_COMPLETED)
    await first.close()
    dead.cancel()
    second = provide(world)
    seen = await finish(second, wanted(world, version), operation)
    await second.close()
    return seen


def fresh(bundle: Path) -> World:
    made = World(bundle=bundle)
    for name in ("h1", "h2"):
        made.add(name)
    return made


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_a_create_that_is_cut_short_anywhere_ends_the_same_with_one_identity(world: World, after: bool) -> None:
    calls = count_calls(fresh(world.bundle), todo(OperationType.CREATE), OLD)
    assert calls > 100
    for at in range(1 + after, calls, 3):
        made = fresh(world.bundle)
        seen = run_fast(cut_and_resume(made, todo(OperationType.CREATE), OLD, at, after=after))
        told = f"cut at call {at} of {calls}"
        assert state_of(seen) == SETTLED, told
        assert made.inits == 1, told
        assert [name for name, verb in made.ran if verb == "join"] == ["h2"], told
        assert made.tokens == set(), told
        assert sorted(made.nodes) == ["h1", "h2"], told


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_a_hop_that_is_cut_short_anywhere_does_nothing_twice(world: World, after: bool) -> None:
    def start() -> World:
        made = fresh(world.bundle)
        run_fast(create(made))
        made.ran.clear()
        return made

    calls = count_calls(start(), HOP, NEW)
    for at in range(1 + after, calls, 6):
        made = start()
        seen = run_fast(cut_and_resume(made, HOP, NEW, at, after=after))
        told = f"cut at call {at} of {calls}"
        assert state_of(seen) == UPGRADED, told
        assert made.ran.count(("h1", "upgrade apply")) == 1, told
        assert made.ran.count(("h2", "upgrade node")) == 1, told
        assert made.ran.count(("h1", "snapshot")) == 1, told
        assert not any(node.unschedulable or node.annotations for node in made.nodes.values()), told
        assert (made.identity, made.inits) == (1, 1), told


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_a_delete_that_is_cut_short_anywhere_leaves_nothing(world: World, after: bool) -> None:
    def start() -> World:
        made = fresh(world.bundle)
        run_fast(create(made))
        return made

    calls = count_calls(start(), todo(OperationType.DELETE), OLD)
    for at in range(1, calls):
        made = start()
        seen = run_fast(cut_and_resume(made, todo(OperationType.DELETE), OLD, at, after=after))
        told = f"cut at call {at} of {calls}"
        assert seen == ObservedCluster(presence=Presence.ABSENT), told
        assert_clean(made)


def assert_clean(world: World) -> None:
    for machine in world.machines.values():
        assert machine.host.owner == ""
        left = [path for path in machine.host.files if not path.startswith("/var/lib/atoll/")]
        assert (left, machine.images, machine.tables, machine.routes) == ([], set(), set(), set())


@pytest.mark.parametrize("seconds", [1, 5, 20, 60, 100])
def test_a_machine_that_reboots_in_the_middle_of_init_ends_as_one_cluster(world: World, seconds: int) -> None:
    async def story() -> None:
        machine = world.machines["h1"]
        machine.slow = {"kubeadm init": 30.0, "ctr --namespace": 2.0, "sysctl --write": 10.0}
        provider = provide(world)
        want = wanted(world, OLD)
        await provider.start(want, todo(OperationType.CREATE))
        await asyncio.sleep(seconds)
        await machine.host.reboot()
        assert state_of(await finish(provider, want, todo(OperationType.CREATE))) == SETTLED
        assert world.identity == world.inits
        assert len(world.nodes) == 2

    run_fast(story())


def test_a_machine_that_reboots_while_it_joins_joins_again(world: World) -> None:
    async def story() -> None:
        machine = world.machines["h2"]
        machine.slow = {"kubeadm join": 50.0}
        provider = provide(world)
        want = wanted(world, OLD)
        await provider.start(want, todo(OperationType.CREATE))
        await asyncio.sleep(20)
        assert machine.host.done[-1][1].why == "let h2 join web--prod"
        await machine.host.reboot()
        assert state_of(await finish(provider, want, todo(OperationType.CREATE))) == SETTLED
        assert (world.inits, sorted(world.nodes), world.tokens) == (1, ["h1", "h2"], set())

    run_fast(story())


def test_what_a_half_made_init_left_is_reset_first(world: World) -> None:
    async def story() -> None:
        world.machines["h1"].host.files["/etc/kubernetes/admin.conf"] = "half"
        assert state_of(await create(world)) == SETTLED
        verbs = [verb for name, verb in world.ran if name == "h1" and verb in {"reset", "init"}]
        assert verbs == ["reset", "init"]

    run_fast(story())


def test_a_host_that_is_away_for_three_minutes_is_waited_for(world: World) -> None:
    async def story() -> None:
        provider = provide(world)
        want = wanted(world, OLD)
        world.machines["h2"].host.fault = Unreachable("host rack--h2 cannot be reached")
        await provider.start(want, todo(OperationType.CREATE))
        await asyncio.sleep(180)
        seen = await provider.observe(want.ref)
        assert seen.operation is not None
        assert (seen.operation.state, seen.presence) == (OperationState.RUNNING, Presence.PARTIAL)
        assert "rack--h2 cannot be reached" in seen.operation.message
        assert world.inits == 0, "a cluster is never made smaller than it was asked for"
        world.machines["h2"].host.fault = None
        assert state_of(await finish(provider, want, todo(OperationType.CREATE))) == SETTLED

    run_fast(story())


def test_a_worker_that_stays_away_fails_the_operation_by_name_and_a_retry_mends_it(world: World) -> None:
    async def story() -> None:
        provider = provide(world, patience=60)
        want = wanted(world, OLD)
        world.machines["h2"].host.fault = Unreachable("host rack--h2 cannot be reached")
        failed = await finish(provider, want, todo(OperationType.CREATE))
        assert failed.operation is not None
        assert failed.operation.state is OperationState.FAILED
        assert "could not take the hosts: host rack--h2 cannot be reached" in failed.operation.message
        world.machines["h2"].host.fault = None
        assert state_of(await finish(provider, want, todo(OperationType.CREATE, number=2))) == SETTLED

    run_fast(story())


def test_a_control_plane_that_goes_away_is_unknown_and_the_operation_resumed(world: World) -> None:
    async def story() -> None:
        provider = provide(world, patience=60)
        want = wanted(world, OLD)
        world.machines["h1"].slow = {"kubeadm init": 30.0}
        await provider.start(want, todo(OperationType.CREATE))
        await asyncio.sleep(10)
        world.machines["h1"].host.fault = Unreachable("host rack--h1 cannot be reached")
        await asyncio.sleep(600)
        seen = await provider.observe(want.ref)
        assert seen.presence is Presence.UNKNOWN
        assert seen.operation is not None
        assert seen.operation.state is OperationState.INTERRUPTED
        world.machines["h1"].host.fault = None
        assert state_of(await finish(provider, want, todo(OperationType.CREATE))) == SETTLED
        assert world.inits == 1

    run_fast(story())


def test_a_changed_host_key_fails_at_once(world: World) -> None:
    async def story() -> None:
        provider = provide(world)
        want = wanted(world, OLD)
        world.machines["h2"].host.fault = HostKeyMismatch(
            "host rack--h2 answered with another key", answered="", pinned=""
        )
        failed = await finish(provider, want, todo(OperationType.CREATE))
        assert failed.operation is not None
        assert "another key" in failed.operation.message
        assert world.inits == 0

    run_fast(story())


def test_a_host_of_another_cluster_is_not_touched(world: World) -> None:
    async def story() -> None:
        world.machines["h2"].host.owner = "other"
        provider = provide(world)
        want = wanted(world, OLD)
        (finding,) = await provider.preflight(want, todo(OperationType.CREATE))
        assert (finding.reason, "belongs to cluster other" in finding.message) == ("Taken", True)
        failed = await finish(provider, want, todo(OperationType.CREATE))
        assert failed.operation is not None
        assert failed.operation.state is OperationState.FAILED
        assert world.machines["h2"].host.done == []
        gone = await finish(provider, want, todo(OperationType.DELETE))
        assert gone.presence is Presence.ABSENT
        assert (world.machines["h1"].host.owner, world.machines["h2"].host.owner) == ("", "other")

    run_fast(story())


def test_a_worker_that_cannot_be_cleaned_keeps_the_journal_alive(world: World) -> None:
    async def story() -> None:
        world.add("h3")
        provider = provide(world, patience=30)
        want = wanted(world, OLD, workers=2)
        assert state_of(await finish(provider, want, todo(OperationType.CREATE))) == SETTLED
        world.machines["h2"].host.fault = Unreachable("host rack--h2 cannot be reached")
        failed = await finish(provider, want, todo(OperationType.DELETE))
        assert failed.operation is not None
        assert failed.operation.state is OperationState.FAILED
        assert "rack--h2" in failed.operation.message
        assert [machine.host.owner for machine in world.machines.values()] == ["c1", "c1", ""]
        world.machines["h2"].host.fault = None
        gone = await finish(provider, want, todo(OperationType.DELETE, number=2))
        assert gone == ObservedCluster(presence=Presence.ABSENT)
        assert_clean(world)

    run_fast(story())


def test_a_node_that_cannot_be_drained_is_opened_again_and_the_pods_are_named(world: World) -> None:
    async def story() -> None:
        await create(world)
        world.blocked = (
            'error when evicting pods/"web-1" -n "shop" (will retry after 5s): Cannot evict pod as it would violate '
            "the pod's disruption budget.\n"
        )
        provider = provide(world)
        want = wanted(world, NEW)
        failed = await finish(provider, want, HOP)
        assert failed.operation is not None
        assert failed.operation.state is OperationState.FAILED
        assert "pod shop/web-1: Cannot evict pod" in failed.operation.message
        assert not any(node.unschedulable or node.annotations for node in world.nodes.values())
        assert failed.version == OLD, "the oldest part counts"
        assert world.api_version == NEW
        world.blocked = ""
        again = todo(OperationType.CHANGE, NEW, OLD, number=2)
        assert state_of(await finish(provider, want, again)) == UPGRADED

    run_fast(story())


def test_a_cordon_of_people_stays(world: World) -> None:
    async def story() -> None:
        await create(world)
        world.nodes["h2"].unschedulable = True
        provider = provide(world)
        assert state_of(await finish(provider, wanted(world, NEW), HOP)) == UPGRADED
        assert world.nodes["h2"].unschedulable
        assert world.nodes["h2"].annotations == {}

    run_fast(story())


def test_what_is_down_is_repaired(world: World) -> None:
    async def story() -> None:
        await create(world)
        world.machines["h1"].active.discard("kubelet")
        world.machines["h2"].routes.clear()
        provider = provide(world)
        want = wanted(world, OLD)
        seen = await provider.observe(want.ref)
        assert "kube-apiserver" in seen.needs_repair
        assert "h2 has lost its routes to 10.128.0.0/24" in seen.needs_repair
        assert state_of(await finish(provider, want, todo(OperationType.REPAIR))) == SETTLED

    run_fast(story())


def test_a_host_that_is_claimed_later_joins_by_a_change(world: World) -> None:
    async def story() -> None:
        await create(world)
        world.add("h3")
        provider = provide(world)
        want = wanted(world, OLD, workers=2)
        seen = await provider.observe(want.ref)
        assert seen.drift == ("host h3 is claimed and is no node yet: a change lets it join",)
        change = todo(OperationType.CHANGE, OLD, OLD)
        assert await provider.preflight(want, change) == ()
        assert state_of(await finish(provider, want, change)) == SETTLED
        assert sorted(world.nodes) == ["h1", "h2", "h3"]
        assert world.ran.count(("h2", "join")) == 1
        assert (await provider.observe(want.ref)).drift == ()

    run_fast(story())


def test_certificates_are_renewed_before_they_end(world: World) -> None:
    async def story() -> None:
        await create(world)
        early = provide(world, now=datetime(2027, 7, 1, tzinfo=UTC))
        ref = wanted(world, OLD).ref
        assert (await early.observe(ref)).drift == ()
        late = provide(world, now=datetime(2027, 9, 1, tzinfo=UTC))
        seen = await late.observe(ref)
        assert seen.drift == ("certificates of h1 end on 2027-11-21: a change renews them",)
        change = todo(OperationType.CHANGE, OLD, OLD)
        renewed = await finish(late, wanted(world, OLD), change)
        assert (state_of(renewed), renewed.drift) == (SETTLED, ())
        assert renewed.certificates_expire_time == datetime(2028, 8, 31, tzinfo=UTC)
        again = await finish(late, wanted(world, OLD), todo(OperationType.CHANGE, OLD, OLD, number=2))
        assert (state_of(again), world.ran.count(("h1", "certs"))) == (SETTLED, 1), "young ones are left alone"

    run_fast(story())


def test_another_operation_has_to_wait(world: World) -> None:
    async def story() -> None:
        provider = provide(world)
        want = wanted(world, OLD)
        await provider.start(want, todo(OperationType.CREATE))
        await provider.start(want, todo(OperationType.CREATE))
        with pytest.raises(Conflict, match="create-1"):
            await provider.start(want, todo(OperationType.DELETE))
        await provider.close()

    run_fast(story())


def test_a_forgotten_cluster_goes_on(world: World) -> None:
    async def story() -> None:
        await create(world)
        provider = provide(world)
        ref = wanted(world, OLD).ref
        await provider.forget(ref)
        await provider.forget(ref)
        assert '"orphaned": true' in world.machines["h1"].host.files["/var/lib/atoll/cluster.json"]
        assert (await provider.observe(ref)).presence is Presence.PRESENT

    run_fast(story())


def test_what_stands_in_the_way_is_found_before_anything_moves(world: World) -> None:
    async def story() -> None:
        provider = provide(world)
        create_it = todo(OperationType.CREATE)

        async def reasons(want: WantedCluster, operation: Operation = create_it) -> list[tuple[str, str]]:
            return [(finding.reason, finding.field) for finding in await provider.preflight(want, operation)]

        unknown = todo(OperationType.CREATE, "v1.99.0")
        assert await reasons(wanted(world, "v1.99.0"), unknown) == [("VersionUnavailable", "spec.version")]
        assert await reasons(wanted(world, OLD, workers=5)) == [("HostsMissing", "spec.provider.kubeadm.hostPoolRef")]
        assert await reasons(wanted(world, OLD, controlPlaneHosts=3)) == [
            ("NotYetSupported", "spec.provider.kubeadm.controlPlaneHosts")
        ]
        assert await reasons(wanted(world, OLD, configRef={"name": "none"})) == [("Refused", "")]
        back = Operation(id="revert-1", type=OperationType.REVERT, to_version=OLD)
        assert await reasons(wanted(world, OLD), back) == [("Refused", "spec.version")]
        drill = Operation(id="drill-1", type=OperationType.DRILL, to_version=OLD)
        assert await reasons(wanted(world, OLD), drill) == [("Refused", "")]
        assert world.ran == []
        for refused in (back, drill):
            with pytest.raises(Refused):
                await provider.start(wanted(world, OLD), refused)
        with pytest.raises(Refused):
            await provider.kubeconfig(wanted(world, OLD).ref)

    run_fast(story())


ISSUER = {"oidc": {"issuerURL": "https://issuer.example.test", "clientID": "atoll"}}
OTHER = {"oidc": {**ISSUER["oidc"], "issuerURL": "https://other.example.test"}}
LOGIN_FILE = "/etc/kubernetes/atoll/authentication.json"


async def settle(world: World, kind: OperationType, number: int, login: Mapping[str, Any] | None) -> ObservedCluster:
    provider = provide(world)
    want = replace(wanted(world, OLD), authentication=login)
    seen = await finish(provider, want, todo(kind, OLD, OLD, number))
    await provider.close()
    return seen


def test_how_people_log_in_is_written_before_init_and_changed_without_a_restart(world: World) -> None:
    async def story() -> None:
        made = await settle(world, OperationType.CREATE, 1, ISSUER)
        assert (made.authentication, made.drift) == (digest_authentication(ISSUER), ())
        assert world.machines["h1"].host.modes[LOGIN_FILE] == 0o600
        assert LOGIN_FILE not in world.machines["h2"].host.files
        for number, (login, expected) in enumerate([(OTHER, OTHER), (None, OTHER), ({}, {}), (ISSUER, ISSUER)], 2):
            seen = await settle(world, OperationType.CHANGE, number, login)
            assert (seen.authentication, seen.drift) == (digest_authentication(expected), ())
            assert state_of(seen) == SETTLED

    run_fast(story())
    assert world.taken == [render_authentication(login) for login in (ISSUER, OTHER, {}, ISSUER)]
    assert world.inits == 1


def test_an_issuer_that_does_not_answer_makes_the_old_one_go_and_counts_when_it_comes(world: World) -> None:
    async def story() -> None:
        await settle(world, OperationType.CREATE, 1, ISSUER)
        world.silent_issuer = True
        seen = await settle(world, OperationType.CHANGE, 2, OTHER)
        assert (state_of(seen), seen.authentication) == (SETTLED, digest_authentication(OTHER))
        assert world.taken[-1] == NOTHING, "nobody is trusted until the new issuer answers"

    run_fast(story())


def test_a_login_file_changed_by_hand_is_seen_and_written_again(world: World) -> None:
    async def story() -> None:
        await settle(world, OperationType.CREATE, 1, ISSUER)
        files = world.machines["h1"].host.files
        files[LOGIN_FILE] = "{}"
        provider = provide(world)
        seen = await provider.observe(wanted(world, OLD).ref)
        assert seen.drift == (f"{LOGIN_FILE} of h1 is gone or was changed by hand: a change writes it again",)
        await provider.close()
        files[LOGIN_FILE] = render_authentication({})
        mended = await settle(world, OperationType.CHANGE, 2, None)
        assert (mended.authentication, mended.drift) == (digest_authentication(ISSUER), ())

    run_fast(story())


def test_a_cluster_made_before_logins_says_that_it_cannot_and_else_goes_on(world: World) -> None:
    async def story() -> None:
        await settle(world, OperationType.CREATE, 1, {})
        files = world.machines["h1"].host.files
        record = json.loads(files["/var/lib/atoll/cluster.json"])
        del record["authentication"], files[LOGIN_FILE]
        files["/var/lib/atoll/cluster.json"] = json.dumps(record)

        plain = await settle(world, OperationType.CHANGE, 2, {})
        assert (state_of(plain), plain.authentication, plain.drift) == (SETTLED, "", ())
        assert LOGIN_FILE not in files

        refused = await settle(world, OperationType.CHANGE, 3, ISSUER)
        assert refused.operation is not None
        assert refused.operation.state is OperationState.FAILED
        assert "make the cluster anew, or take spec.authentication out" in refused.operation.message

    run_fast(story())
