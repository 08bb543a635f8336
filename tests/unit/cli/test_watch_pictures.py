"""Pictures of rollouts, as people see them at 100 columns. `--update-golden` rewrites them; read what it wrote."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from atoll.cli.watch_model import build_picture
from atoll.cli.watch_view import Frame, draw, list_commands, list_facts, render_nothing, render_picture

from .rollout_bodies import changed, child, cluster_set, counts, rollout, row, wave

GOLDEN = Path(__file__).parent / "golden" / "watch"
NOW = datetime(2026, 11, 23, 21, 52, 0, tzinfo=UTC)
FRAME = Frame(now=NOW, zone=UTC)

SIGN_OFF = {
    "name": "sign-off",
    "state": "Closed",
    "message": "gate sign-off: 0 of 1 approvals. somebody of sre or leads other than anna, who asked for the change, "
    "has to run `atoll approve eu-7 --wave canary --gate sign-off`",
}
SLO = {"name": "slo", "state": "Open", "message": "gate slo: 0.004 is not above 0.010 (21:51:30)"}
PASSED = [{**SIGN_OFF, "state": "Open", "message": "1 of 1 approvals (ben)"}, SLO]
CANARY_DONE = wave("canary", "Done", startedTime="2026-11-23T21:40:00Z", soakUntil="2026-11-23T21:51:00Z", gates=PASSED)
CAUSE = (
    "could not start the new kube-apiserver of v1.36.4: it ended with exit code 1 after 2 s, saying: unknown flag: "
    "--feature-gates=Old=true"
)
FORECAST = {"seconds": 2760, "lowSeconds": 2400, "highSeconds": 3300, "endTime": "2026-11-23T23:18:00Z"}


def running():
    body = rollout(
        waves=[*rollout()["spec"]["waves"], {"name": "rest", "clusters": [f"c{n}" for n in range(1, 9)]}],
        message="prod-de-1: start kube-apiserver; prod-fr-1: preflight",
        forecast=FORECAST,
        counts={**counts(2), "total": 12},
        waves_=None,
    )
    body["status"].pop("waves_")
    body["status"]["waves"] = [
        CANARY_DONE,
        wave("first", "Running", startedTime=NOW.isoformat()),
        wave("rest", "Waiting"),
    ]
    body["status"]["rows"] = [
        row("prod-de-1", "first", "Changing", "changing to v1.36.4"),
        row(
            "prod-fr-1",
            "first",
            "Preflight",
            "asking etcd how well it is",
            forecast={"hops": 1, "seconds": 95, "lowSeconds": 80, "highSeconds": 140},
        ),
        *(row(f"c{n}", "rest", "Pending") for n in range(1, 9)),
    ]
    operation = {
        "step": "start the new kube-apiserver",
        "stepsDone": 4,
        "stepsTotal": 10,
        "startedTime": "2026-11-23T21:51:48Z",
        "expectedSeconds": 20,
        "lowSeconds": 15,
        "highSeconds": 32,
    }
    return [body, cluster_set(), changed("dev-1", 21), changed("dev-2", 19), child("prod-de-1", operation=operation)]


def late():
    """The same, two minutes on: the change takes longer than anybody thought."""
    bodies = running()
    operation = bodies[-1]["status"]["operation"]
    operation["startedTime"] = "2026-11-23T21:50:00Z"
    return bodies


def held_by_window():
    message = "its window opens Mon 22:00 Europe/Berlin (in 8 min); a change takes about 15 min"
    body = rollout(message=f"prod-de-1 waits: {message} (and 1 more)", counts=counts(2, held=2))
    body["status"]["waves"] = [CANARY_DONE, wave("first", "Held")]
    body["status"]["rows"] = [row(name, "first", "Held", message) for name in ("prod-de-1", "prod-fr-1")]
    return [body, cluster_set()]


def gate_closed():
    body = rollout(message=SIGN_OFF["message"], counts=counts(2), forecast={"seconds": 90})
    body["status"]["waves"] = [
        wave("canary", "Held", soakUntil="2026-11-23T21:51:00Z", gates=[SIGN_OFF, SLO]),
        wave("first", "Waiting"),
    ]
    body["status"]["rows"] = [row(name, "first", "Pending") for name in ("prod-de-1", "prod-fr-1")]
    return [body, cluster_set(), changed("dev-1", 21), changed("dev-2", 19)]


def soaking():
    body = rollout(message="wave canary soaks until 21:55:00 (2 of 4 done)", counts=counts(2))
    body["status"]["waves"] = [
        wave("canary", "Soaking", soakUntil="2026-11-23T21:55:00Z", gates=[SIGN_OFF, {**SLO, "state": "Unknown"}]),
        wave("first", "Waiting"),
    ]
    return [body, cluster_set(), changed("dev-1", 21), changed("dev-2", 19)]


def paused():
    body = rollout(state="Paused", action="Pause", message="paused (look at the graphs), 1 of 4 done", counts=counts(1))
    body["status"]["waves"] = [wave("canary", "Held"), wave("first", "Waiting")]
    body["status"]["rows"] = [row("dev-2", "canary", "Pending")]
    return [body, cluster_set(), changed("dev-1", 21)]


def halted():
    told = f"halted, 1 failed with a failure budget of 0: dev-1: {CAUSE}. Mend it and raise spec.upgrade.retry of "
    body = rollout(state="Halted", message=f"{told}ClusterSet eu to 1, or change the target", counts=counts(failed=1))
    body["status"]["waves"] = [wave("canary", "Held"), wave("first", "Waiting")]
    body["status"]["rows"] = [row("dev-1", "canary", "Failed", CAUSE), row("dev-2", "canary", "Pending")]
    return [
        body,
        cluster_set(budget=0),
        child("dev-1", operation={"state": "Failed", "stepsDone": 4, "stepsTotal": 10}),
    ]


def reverted():
    lost = "lost: 2 writes since the snapshot of 21:44:02"
    body = rollout(
        state="Reverted",
        message=f"reverted, 1 failed with a failure budget of 0: dev-1: {CAUSE[:60]}…. Mend it and raise "
        "spec.upgrade.retry of ClusterSet eu to 1, or change the target",
        counts=counts(reverted=1),
        grade={"seconds": 120, "lowSeconds": 90, "highSeconds": 200},
    )
    body["status"]["waves"] = [wave("canary", "Held"), wave("first", "Waiting")]
    body["status"]["rows"] = [
        row("dev-1", "canary", "Reverted", f"{CAUSE}; is back at v1.35.8; {lost}"),
        row("dev-2", "canary", "Pending"),
    ]
    return [body, cluster_set(budget=0)]


def done():
    body = rollout(
        state="Done",
        message="4 of 4 done",
        counts=counts(4),
        completedTime="2026-11-23T21:52:00Z",
        grade={"seconds": 700, "lowSeconds": 660, "highSeconds": 800, "tookSeconds": 720, "changes": 4, "within": 3},
    )
    body["status"]["waves"] = [CANARY_DONE, wave("first", "Done", startedTime=NOW.isoformat())]
    times = {"dev-1": 21, "dev-2": 19, "prod-de-1": 33, "prod-fr-1": 24}
    return [body, cluster_set(), *(changed(name, seconds) for name, seconds in times.items())]


def learnt():
    bodies = running()
    bodies[0]["status"]["proposals"] = [
        {
            "label": "region=us",
            "matching": 2,
            "message": "every failed member (1) has region=us, and none of 3 that arrived; still to come with it: "
            "prod-us-1, prod-us-2. To hold them: kubectl annotate rollout.atoll.dev eu-7 -n fleet "
            "atoll.dev/hold=region=us",
        }
    ]
    return bodies


SCENES = {
    "running": running,
    "learnt": learnt,
    "late": late,
    "held-by-window": held_by_window,
    "gate-closed": gate_closed,
    "soaking": soaking,
    "paused": paused,
    "halted": halted,
    "reverted": reverted,
    "done": done,
}


def picture(scene):
    bodies = SCENES[scene]()
    return build_picture(bodies[0], bodies)


@pytest.mark.parametrize("scene", SCENES)
def test_the_picture_is_as_it_was(scene, update_golden):
    seen = picture(scene)
    text = draw(render_picture(seen, FRAME)) + "\n" + "".join(f"$ {command}\n" for command in list_commands(seen))
    path = GOLDEN / f"{scene}.txt"
    if update_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    assert text == path.read_text()
    assert max(map(len, text.splitlines())) <= 100


def test_where_nothing_runs_the_last_ones_are_told_of_with_what_they_came_to(update_golden):
    old, now = done()[0], halted()
    old["metadata"]["name"] = "eu-6"
    pictures = [build_picture(now[0], [*now, old]), build_picture(old, [*now, old])]
    text = draw(render_nothing("fleet", pictures, FRAME))
    path = GOLDEN / "nothing-running.txt"
    if update_golden:
        path.write_text(text)

    assert text == path.read_text()


def test_a_fleet_that_never_had_a_rollout_says_when_one_begins():
    (line,) = draw(render_nothing("lab", [], FRAME)).splitlines()

    assert line == "No rollout is running in fleet lab, and none was there. One begins when a ClusterSet changes."


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_no_word_is_lost_however_narrow_the_window_is(scene, width):
    def words(columns):
        frame = Frame(now=NOW, zone=UTC, width=columns)
        return sorted("".join(line.plain for line in render_picture(picture(scene), frame)).replace(" ", ""))

    assert words(width) == words(1000)


@pytest.mark.parametrize("scene", SCENES)
def test_a_picture_can_be_written_as_json(scene):
    document = json.loads(json.dumps(picture(scene).to_json()))

    assert document["name"] == "eu-7"
    assert [wave["name"] for wave in document["waves"]][:2] == ["canary", "first"]
    assert document["counts"]["total"] in {4, 12}


def test_a_rollout_that_nobody_has_looked_at_yet_has_a_picture():
    body = rollout()
    body["status"] = {"observedGeneration": -1}
    seen = build_picture(body, [body])

    assert (seen.state, seen.counts["total"], seen.wave, seen.is_over, seen.budget) == ("Starting", 4, 1, False, None)
    assert draw(render_picture(seen, FRAME)).splitlines() == [
        "rollout eu-7 → v1.36.4                        starting · wave 1 of 2 · 0 of 4 done",
        " canary ░░░░░░░░░░ waiting   dev-1, dev-2",
        " first  ░░░░░░░░░░ waiting   prod-de-1, prod-fr-1",
        "next: wave canary begins · then soak 10 min · then gate sign-off (unknown) · then gate slo (unknown)",
        "      · then wave first (2 clusters) · then done",
    ]


def test_in_a_pipe_only_what_changed_is_new():
    before, after = list_facts(picture("running"), FRAME), list_facts(picture("late"), FRAME)

    assert before == after, "a clock is no news"
    assert {key: told for key, told in list_facts(picture("done"), FRAME).items() if before.get(key) != told} == {
        "eu-7": "eu-7: Done → v1.36.4, 4 of 4 done",
        "eu-7/first": "eu-7: wave first done",
        "eu-7/first/prod-de-1": "eu-7: prod-de-1 done in 33 s",
        "eu-7/first/prod-fr-1": "eu-7: prod-fr-1 done in 24 s",
    }


def test_times_are_told_in_the_zone_of_the_reader():
    from zoneinfo import ZoneInfo

    lines = draw(render_picture(picture("running"), Frame(now=NOW, zone=ZoneInfo("Asia/Tokyo")))).splitlines()

    assert "ends about 08:18" in lines[0] + lines[1]
