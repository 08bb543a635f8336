"""What journals say: recorded answers of hosts, and the states that they mean."""

from __future__ import annotations

import pytest

from atoll.hosts.command import Result
from atoll.hosts.jobs import JobState, JobStatus
from atoll.hosts.reading import Begun, Verdict, read_begin, read_status

HEAD = "job 1 3 5eed 11111111-2222-3333-4444-555555555555 100.10\n"
FREE = "known=1 running=0 fresh=0 left=\n"
HELD = "known=1 running=1 fresh=0 left=\n"
NEW = "known=1 running=0 fresh=1 left=\n"
TWO_DONE = "started\n+1 100.20 30 First.\n-1 0 100.30\n+2 100.30 30 Second.\n-2 0 100.40\n"


def status(state: JobState, done: int = 0, why: str = "", result: Result | None = None) -> JobStatus:
    return JobStatus(id="j", state=state, steps_done=done, steps_total=3, why=why, result=result)


@pytest.mark.parametrize(
    ("story", "answer", "expected"),
    [
        ("handed over, not started", NEW + HEAD, status(JobState.RUNNING)),
        ("handed over long ago, never started", FREE + HEAD, status(JobState.PARTIAL)),
        ("has just taken its lock", HELD + HEAD, status(JobState.RUNNING)),
        ("under way", HELD + HEAD + TWO_DONE + "+3 100.40 5 Third.\n", status(JobState.RUNNING, 2, "Third.")),
        (
            "cut off in an action",
            FREE + HEAD + TWO_DONE + "+3 100.40 5 Third.\n",
            status(JobState.PARTIAL, 2, "Third."),
        ),
        ("cut off between two", FREE + HEAD + TWO_DONE, status(JobState.PARTIAL, 2, "Second.")),
        ("cut off in a line", FREE + HEAD + TWO_DONE + "+3 100.4", status(JobState.PARTIAL, 2, "Second.")),
        ("cut off in a code", FREE + HEAD + TWO_DONE + "+3 1.0 5 Third.\n-3 ", status(JobState.PARTIAL, 2, "Third.")),
        (
            "all done",
            FREE
            + HEAD
            + TWO_DONE
            + "+3 100.40 5 Third.\n-3 1 100.50\ndone succeeded\n\n\n5eed 2\nold\n\n5eed 3\nnew\n",
            status(JobState.SUCCEEDED, 3, result=Result(code=1, out="new\n", err="warned\n")),
        ),
        (
            "failed",
            FREE + HEAD + TWO_DONE + "+3 100.40 5 Third.\n-3 7 100.50\ndone failed\n\n\n5eed 3\nso\n",
            status(JobState.FAILED, 2, "Third.", Result(code=7, out="so\n", err="warned\n")),
        ),
        (
            "failed, and its output began before what was kept",
            FREE + HEAD + TWO_DONE + "+3 100.40 5 Third.\n-3 7 100.50\ndone failed\n\n...the end\n",
            status(JobState.FAILED, 2, "Third.", Result(code=7, out="...the end\n", err="warned\n", truncated=True)),
        ),
        (
            "its last action took too long",
            FREE + HEAD + TWO_DONE + "+3 100.40 5 Third.\n-3 124 105.41\ndone failed\n\n\n5eed 3\n",
            status(JobState.FAILED, 2, "Third.", Result(code=124, err="warned\n", timed_out=True)),
        ),
        (
            "its last action had to be killed for taking too long",
            FREE + HEAD + TWO_DONE + "+3 100.40 5 Third.\n-3 137 110.41\ndone failed\n\n\n5eed 3\n",
            status(JobState.FAILED, 2, "Third.", Result(code=137, err="warned\n", timed_out=True)),
        ),
        (
            "its last action was killed early, by somebody else",
            FREE + HEAD + TWO_DONE + "+3 100.40 5 Third.\n-3 137 100.41\ndone failed\n\n\n5eed 3\n",
            status(JobState.FAILED, 2, "Third.", Result(code=137, err="warned\n")),
        ),
        (
            "the whole job took too long",
            FREE + HEAD + TWO_DONE + "+3 100.40 5 Third.\ndone late\n\n\n5eed 3\n",
            status(
                JobState.FAILED,
                2,
                "took longer than the job may; then under way: Third.",
                Result(code=124, err="warned\n", timed_out=True),
            ),
        ),
        (
            "done, and its last programs still end",
            HELD + HEAD + TWO_DONE + "done succeeded\n",
            status(JobState.RUNNING, 2, "Second."),
        ),
    ],
)
def test_a_journal_means_one_state(story: str, answer: str, expected: JobStatus) -> None:
    assert read_status("j", Result(code=0, out=answer, err="\n5eed 3\nwarned\n")) == expected, story


def test_an_unknown_job_a_job_that_left_and_one_that_is_leaving() -> None:
    unknown = read_status("j", Result(code=0, out="known=0 running=0 fresh=0 left=\n"))
    assert unknown == JobStatus(id="j", state=JobState.UNKNOWN)
    left = read_status("j", Result(code=0, out="known=0 running=0 fresh=0 left=4\n"))
    assert left == JobStatus(id="j", state=JobState.SUCCEEDED, steps_done=4, steps_total=4)
    for known in "01":
        leaving = read_status("j", Result(code=0, out=f"known={known} running=1 fresh=0 left=\n"))
        assert leaving == JobStatus(id="j", state=JobState.RUNNING)


@pytest.mark.parametrize("nonsense", ["", "hello\n", FREE, FREE + "job 2 what\n", "known=1 running=0 fresh=0\n"])
def test_an_answer_that_is_none_is_not_taken_for_one(nonsense: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        read_status("j", Result(code=0, out=nonsense))


@pytest.mark.parametrize(
    ("line", "owner"),
    [
        ('{"clusterID": "c-1", "role": "Worker", "fleet": "prod", "cluster": "base--eu"}', "prod/base--eu"),
        ('{"clusterID": "c-1", "role": "", "fleet": "", "cluster": ""}', "c-1"),
        ("somebody who cannot be read from owner.json", "somebody who cannot be read from owner.json"),
        ('["c-1"]', '["c-1"]'),
        ("{}", "{}"),
    ],
)
def test_the_owner_of_a_taken_host_is_named(line: str, owner: str) -> None:
    assert read_begin("j", Result(code=0, out=f"taken {line}\n")) == Begun(verdict=Verdict.TAKEN, owner=owner)


@pytest.mark.parametrize("word", ["begun", "left", "free", "busy", "not-launched"])
def test_verdicts_without_more_to_say(word: str) -> None:
    assert read_begin("j", Result(code=0, out=f"{word}\n")) == Begun(verdict=Verdict(word))


def test_a_job_that_is_known_comes_with_its_status() -> None:
    answer = Result(code=0, out="known\n" + HELD + HEAD + TWO_DONE)
    assert read_begin("j", answer).status == status(JobState.RUNNING, 2, "Second.")


def test_a_host_that_says_something_else_has_not_begun_the_job() -> None:
    with pytest.raises(ValueError):
        read_begin("j", Result(code=1, out="", err="sh: not found"))
