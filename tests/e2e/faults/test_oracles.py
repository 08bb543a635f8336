"""What judges the crash lane can itself fail: each judge is shown a wrong run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.audit import compare, read_audit
from tests.faults.digest import digest_objects, list_differences
from tests.faults.fleet_run import REPOSITORY, check_operations, check_storms
from tests.faults.lane import choose_plans
from tests.faults.sites import (
    Plan,
    RunLog,
    Side,
    Site,
    Visit,
    Where,
    list_plans,
    name_effect,
    name_request,
    read_log,
    write_plans,
)
from tests.faults.watch import check_sample

VICTIM = """
import asyncio, sys
from pathlib import Path
from tests.faults.lethal import LethalEffects, Reaper
async def main(folder):
    effects = LethalEffects(Reaper(folder), folder)
    effects.write_file(folder / "first", b"1")
    (folder / "told").touch()
    await asyncio.sleep(0)
    effects.write_file(folder / "second", b"2")
asyncio.run(main(Path(sys.argv[1])))
"""


def run_victim(folder: Path) -> int:
    """Run a process that does two things; return its exit code."""
    return subprocess.run([sys.executable, "-c", VICTIM, str(folder)], cwd=REPOSITORY, check=False).returncode


@pytest.mark.parametrize(
    ("side", "left"),
    [(Side.BEFORE, []), (Side.LOST, ["first"]), (Side.AFTER, ["first", "told"])],
)
def test_a_plan_kills_once_and_exactly_where_it_says(tmp_path: Path, side: Side, left: list[str]) -> None:
    (tmp_path / "phase").write_text("create")
    site = Site("create", name_effect(f"write_file {tmp_path / 'first'}", tmp_path), 1)
    write_plans(tmp_path / "plans.json", [Plan(site, side)])

    assert run_victim(tmp_path) == -signal.SIGKILL

    assert sorted(path.name for path in tmp_path.iterdir() if path.name in {"first", "told", "second"}) == left
    assert [kill.plan for kill in read_log(tmp_path / "sites.log").kills] == [Plan(site, side)]

    assert run_victim(tmp_path) == 0

    log = read_log(tmp_path / "sites.log")
    assert len(log.starts) == 2
    assert len(log.kills) == 1
    assert (tmp_path / "second").exists()


def test_sites_have_the_same_name_in_each_run() -> None:
    home = Path("/somewhere/home")
    assert name_effect(
        f"remove_tree {home}/planes/a2a9317b178bb7fe/snapshots/change-20261121t100418-a2a9317b.part", home
    ) == ("effect remove_tree <id>/snapshots/change-<operation>.part")
    path = "/apis/atoll.dev/v1alpha1/namespaces/crash-0001/childclusters/q--a/status"
    assert name_request(Where.HUB, "crash-0001", "PATCH", path, "application/apply-patch+yaml") == (
        "hub PATCH childclusters/q--a/status"
    )
    assert len(list_plans([Site("create", "hub POST events", 1)])) == 3


def build_visit(number: int, key: str, *, outcome: str = "done", facts: dict[str, object] | None = None) -> Visit:
    """Return one passage through a site."""
    where = key.partition(" ")[0]
    signature = key if where == "effect" else f"{where} PATCH it"
    return Visit(number=number, site=Site("create", signature, number), key=key, facts=facts or {}, outcome=outcome)


def test_a_write_that_the_harness_did_not_see_is_found_in_the_audit_log(tmp_path: Path) -> None:
    event = {
        "stage": "ResponseComplete",
        "verb": "patch",
        "requestURI": "/api/v1/it?force=true",
        "user": {"username": "us"},
    }
    stranger = {**event, "user": {"username": "them"}}
    (tmp_path / "audit.log").write_text(
        "\n".join(json.dumps(entry, separators=(",", ":")) for entry in (event, event, stranger))
    )
    logged = read_audit([tmp_path / "audit.log"], lambda entry: entry["user"]["username"] == "us", Where.HUB)
    assert logged == Counter({"hub PATCH /api/v1/it": 2})

    once, twice = [build_visit(1, "hub PATCH /api/v1/it")], [build_visit(n, "hub PATCH /api/v1/it") for n in (1, 2)]
    assert compare(once, logged).differences == ("hub PATCH /api/v1/it: 1 by the operator, 2 in the audit log",)
    assert compare(twice, logged).differences == ()
    assert compare([*twice, build_visit(3, "hub PATCH /api/v1/it", outcome="")], logged).differences == ()
    assert compare(twice, Counter()).differences == ("hub PATCH /api/v1/it: 2 by the operator, 0 in the audit log",)


def test_two_api_servers_are_allowed_only_while_the_version_changes() -> None:
    both = {"<plane>": {"kube-apiserver": ["v1.35.8", "v1.36.4"]}}
    same = {"<plane>": {"kube-apiserver": ["v1.35.8", "v1.35.8"]}}
    assert check_sample(both, "upgrade") == []
    assert len(check_sample(both, "create")) == 1
    assert len(check_sample(same, "upgrade")) == 1
    assert len(check_sample({"<plane>": {"etcd": ["etcd", "etcd"]}}, "upgrade")) == 1


def test_what_is_done_twice_is_told() -> None:
    def journal(number: int, name: str, steps: int) -> Visit:
        facts = {"type": "Change", "id": name, "steps_done": steps}
        return build_visit(number, "effect write_file <id>/operation.json", facts=facts)

    def check(*visits: Visit) -> list[str]:
        return check_operations(RunLog(visits, (), ()))

    spawn = Visit(number=1, site=Site("create", "effect spawn v1/etcd", 1), key="", facts={}, outcome="done")
    swap = Visit(number=2, site=Site("create", "effect rename <id>/a <id>/b", 1), key="", facts={}, outcome="done")
    assert check(journal(1, "one", 1), journal(2, "one", 2), spawn, swap) == []
    assert check(journal(1, "one", 2), journal(2, "one", 1)) == ["one went back from step 2 to 1"]
    assert check(journal(1, "one", 1), journal(2, "two", 1)) == ["Change was begun 2 times: ['one', 'two']"]
    assert check(spawn, spawn) == ["create: effect spawn v1/etcd was done 2 times"]
    assert check(swap, swap) == ["create: effect rename <id>/a <id>/b was done 2 times"]


def test_a_write_that_is_sent_again_and_again_is_told() -> None:
    visits = [build_visit(number, "child DELETE /api/v1/namespaces/it") for number in range(3)]
    assert check_storms(RunLog(tuple(visits[:2]), (), ())) == []
    assert check_storms(RunLog(tuple(visits), (), ())) == ["create: child DELETE /api/v1/namespaces/it 3 times"]


def test_a_digest_hides_what_is_random_and_nothing_else() -> None:
    def body(uid: str, time: str, version: str) -> dict[str, object]:
        return {
            "kind": "ChildCluster",
            "metadata": {"name": "q--a", "namespace": "crash-1", "uid": uid, "resourceVersion": "7"},
            "status": {"version": version, "since": time, "message": f"cluster {uid} came and went in 5.3 s"},
        }

    def digest(uid: str, time: str, version: str) -> dict[str, object]:
        return digest_objects([body(uid, time, version)], {"crash-1": "<fleet>"})

    one = digest("f238ee4f-2918-4da4-9efa-aa3f00f55d42", "2026-11-21T10:04:18Z", "v1.35.8")
    assert one == digest("c953a1e8-6c9a-41d0-9056-0b90dccffd7b", "2026-11-22T11:05:19Z", "v1.35.8")
    other = digest("c953a1e8-6c9a-41d0-9056-0b90dccffd7b", "2026-11-22T11:05:19Z", "v1.36.4")
    assert list_differences(one, other) == ["/ChildCluster <fleet>/q--a/status/version was 'v1.35.8' and is 'v1.36.4'"]


def test_a_run_gets_one_side_of_a_site_at_most() -> None:
    one, other = Site("create", "hub POST events", 1), Site("create", "hub POST events", 2)
    plans = [Plan(one, Side.BEFORE), Plan(one, Side.LOST), Plan(other, Side.AFTER)]
    assert choose_plans(plans, 5) == [plans[0], plans[2]]
    assert choose_plans(plans, 1) == [plans[0]]
