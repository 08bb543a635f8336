"""How faults are gone through: all probes beside each other, clusters one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tests.e2e.hosts.rig import RigHost
from tests.support.home import condition_of

from . import breaking
from .judging import check_cluster, list_operations
from .scenario import FaultFailed, ProbeFault, Story
from .scene import CHILD, CLUSTER_SECONDS, NEW, OLD, SET, STATE_SECONDS, Scene, apply_pool, read_position
from .telling import Telling

Json = dict[str, Any]
MIDDLE_SECONDS: Final = 3.0
"""A step that lasts longer is a long one: the operator is killed in its middle, too."""
CLUSTER_HOSTS: Final = ("h1", "h2")


def run_probes(scene: Scene, faults: Sequence[ProbeFault], telling: Telling) -> None:
    """Break one host for each fault, make a pool of them all, see each told, mend all, and see them pass."""
    hosts = dict(zip((fault.name for fault in faults), scene.rig.up(*(fault.name for fault in faults)), strict=True))
    wrong: dict[str, str] = {}
    begin = time.monotonic()
    try:
        for fault in faults:
            fault.strike(hosts[fault.name])
        apply_pool(scene, tuple(hosts.values()))
        wrong = {fault.name: _see_broken(scene, fault, hosts[fault.name], begin) for fault in faults}
        _check_pool(scene, faults, wrong)
        for fault in faults:
            fault.heal(hosts[fault.name])
        for fault in faults:
            with telling.scenario(fault.name, begin=begin):
                _see_mended(scene, fault, hosts[fault.name], wrong[fault.name])
    finally:
        scene.rig.down(*hosts)


def _see_broken(scene: Scene, fault: ProbeFault, host: RigHost, begin: float) -> str:
    """Say what does not hold while it is broken; nothing when all does."""
    try:
        body = scene.until(
            lambda: scene.host(fault.name),
            lambda seen: is_as_told(seen, fault),
            f"{fault.state}, {fault.reason}: {fault.says}",
            # All have been broken at the same time.
            begin + STATE_SECONDS - time.monotonic(),
        )
        fault.look(host, body)
    except AssertionError as error:
        return f"while it was broken: {error}"
    return ""


def is_as_told(body: Mapping[str, Any], fault: ProbeFault) -> bool:
    """Say whether a Host is in the safe state that a fault asks for."""
    status = body.get("status", {})
    return (
        status.get("state") == fault.state
        and condition_of(body, "Ready").get("reason") == fault.reason
        and fault.says in status.get("message", "")
    )


def _check_pool(scene: Scene, faults: Sequence[ProbeFault], wrong: Mapping[str, str]) -> None:
    """The pool counts those that it has, and those that may not be used."""
    counted = scene.home.get("hostpool", "rack")["status"]["hosts"]
    quarantined = sum(fault.state == "Quarantined" for fault in faults)
    if not any(wrong.values()) and counted["quarantined"] != quarantined:
        raise FaultFailed(f"{quarantined} hosts are in quarantine, and the pool counts {counted}")


def _see_mended(scene: Scene, fault: ProbeFault, host: RigHost, before: str) -> None:
    body = scene.until(
        lambda: scene.host(fault.name),
        lambda seen: seen.get("status", {}).get("state") == "Available" and not seen["status"].get("message"),
        "Available",
        STATE_SECONDS,
    )
    fault.look_after(host, body)
    if before:
        raise FaultFailed(before)


def run_story(scene: Scene, story: Story, telling: Telling) -> None:
    """Take one cluster from its creation to its deletion, with faults on the way."""
    hosts = _begin(scene, story.workers)
    inits = 1 + sum(fault.inits for fault in story.faults)
    try:
        scene.make_set(story.workers)
        for fault in story.faults:
            if not fault.in_upgrade:
                with telling.scenario(fault.name):
                    fault.strike(scene)
        with telling.scenario(f"{story.name}: created"):
            scene.wait_version(OLD)
            check_cluster(scene, OLD, inits=inits)
        if story.has_upgrade:
            scene.home.patch("clusterset", SET, {"spec": {"version": NEW}})
            for fault in story.faults:
                if fault.in_upgrade:
                    with telling.scenario(fault.name):
                        fault.strike(scene)
            with telling.scenario(f"{story.name}: changed"):
                scene.wait_version(NEW)
                # Nothing that was mended has halted the rollout.
                scene.home.wait_ready("clusterset", SET)
                check_cluster(scene, NEW, inits=inits)
        with telling.scenario(f"{story.name}: deleted"):
            scene.home.kubectl("delete", "clusterset", SET, "-n", "fleet", "--timeout=300s", seconds=330)
            wait_given_back(scene)
    finally:
        scene.rig.down(*(host.name for host in hosts))


def run_kills(scene: Scene, telling: Telling, *, workers: int = 1) -> None:
    """Create, change and delete a cluster; kill the operator between any two steps, and in each long one."""
    hosts = _begin(scene, workers)
    try:
        with telling.scenario("operator-killed-create") as outcome:
            scene.make_set(workers)
            outcome.notes = kill_all_along(scene, lambda: is_at(scene, OLD))
            check_cluster(scene, OLD, inits=1)
            check_once(scene, ("create",))
        with telling.scenario("operator-killed-change") as outcome:
            scene.home.patch("clusterset", SET, {"spec": {"version": NEW}})
            outcome.notes = kill_all_along(scene, lambda: is_at(scene, NEW))
            check_cluster(scene, NEW, inits=1)
            # What ran before is tidied away when an operation ends well.
            check_once(scene, ("change",))
        with telling.scenario("operator-killed-delete") as outcome:
            scene.home.kubectl("delete", "clusterset", SET, "-n", "fleet", "--wait=false")
            outcome.notes = kill_all_along(scene, lambda: is_given_back(scene))
    finally:
        scene.rig.down(*(host.name for host in hosts))


def kill_all_along(scene: Scene, is_done: Any) -> Mapping[str, str]:
    """Kill the operator whenever the host's own record shows another step, and once in each that lasts."""
    between = middle = 0
    last = read_position(scene.first)
    since, was_in_middle, look = time.monotonic(), True, 0.0
    end = time.monotonic() + CLUSTER_SECONDS
    while time.monotonic() < end:
        now = read_position(scene.first)
        if now != last:
            scene.kill_operator()
            between += 1
            last, since, was_in_middle = now, time.monotonic(), False
        elif not was_in_middle and time.monotonic() - since > MIDDLE_SECONDS:
            scene.kill_operator()
            middle += 1
            was_in_middle = True
        if time.monotonic() > look:
            if is_done():
                return {"kills between steps": str(between), "in the middle": str(middle)}
            look = time.monotonic() + 1.0
        time.sleep(0.02)
    raise FaultFailed(f"not done after {CLUSTER_SECONDS:g} s, {between + middle} kills: {scene.child()}")


def is_at(scene: Scene, version: str) -> bool:
    """Say whether the cluster is Ready at a version and nothing is under way."""
    body = scene.child()
    status = body.get("status", {})
    ready = condition_of(body, "Ready").get("status") == "True"
    return bool(ready and status.get("version") == version and "operation" not in status)


def is_given_back(scene: Scene) -> bool:
    """Say whether the cluster is gone, and all of its hosts may be claimed again."""
    if scene.home.get("childcluster", CHILD):
        return False
    states = [scene.host(host.name).get("status", {}).get("state") for host in scene.hosts]
    return set(states) == {"Available"}


def wait_given_back(scene: Scene) -> None:
    """Wait until the hosts may be claimed again."""
    scene.until(lambda: is_given_back(scene), bool, "all hosts back in the pool", STATE_SECONDS)


def check_once(scene: Scene, kinds: Iterable[str]) -> None:
    """Each operation was begun once: one id of each kind, and kubeadm was called once for each."""
    found = tuple(operation.partition("-")[0] for operation in list_operations(scene.first))
    if found != tuple(kinds):
        raise FaultFailed(f"operations on {scene.first.name}: {list_operations(scene.first)}")
    wanted = {"upgrade apply": int("change" in found), "reset": 0}
    for words, count in wanted.items():
        called = breaking.count_calls(scene.first, words)
        if called != count:
            raise FaultFailed(f"kubeadm {words} was called {called} times, and {count} are right")


def _begin(scene: Scene, workers: int) -> tuple[RigHost, ...]:
    """Have hosts that are as new, in a pool."""
    hosts = scene.rig.up(*CLUSTER_HOSTS[: 1 + workers])
    for host in hosts:
        breaking.watch_kubeadm(host)
    scene.hosts, scene.uid = hosts, ""
    apply_pool(scene, hosts)
    scene.home.wait_ready("hostpool", "rack")
    return hosts
