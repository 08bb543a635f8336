"""What every `Host` keeps: the one in memory and the one behind SSH pass the same tests."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atoll.errors import NotTaken, Taken
from atoll.hosts.command import Action, Command, Fact, RemovePath, Result, Secret, WriteFile
from atoll.hosts.jobs import Job, JobState, JobStatus

from .conftest import Case

pytestmark = pytest.mark.e2e

TRUE = Command(argv=("true",), why="Do nothing.")
FAIL = Command(argv=("sh", "-c", "echo so; echo no >&2; exit 3"), why="Fail.")
SLOW = Command(argv=("sleep", "0.4"), why="Take a while.")


def job(*actions: Action, name: str = "op-1.1", cluster: str = "c1", **more: Any) -> Job:
    return Job(
        id=name, cluster_id=cluster, actions=actions, takes_host=True, fleet="f", cluster=f"set--{cluster}", **more
    )


async def finish(case: Case, wanted: Job) -> JobStatus:
    await case.host.begin(wanted)
    return await case.host.wait(wanted.id, 20)


async def test_a_fact_is_a_command_and_what_its_answer_means(case: Case) -> None:
    fact = Fact(command=Command(argv=("echo", "4", "cores"), why="Count."), parse=lambda got: int(got.out.split()[0]))
    assert await case.host.ask(fact) == 4


async def test_any_exit_code_of_a_command_is_an_answer_with_both_streams(case: Case) -> None:
    assert await case.host.run(FAIL) == Result(code=3, out="so\n", err="no\n")


async def test_secrets_reach_a_command_by_its_standard_input(case: Case) -> None:
    text = "it's $HOME `id` \\n \"\n"
    assert (await case.host.run(Command(argv=("cat",), why="Echo.", stdin=Secret(text)))).out == text


async def test_a_job_does_its_actions_in_order_and_says_so(case: Case) -> None:
    path = f"{case.folder}/a b/file"
    writes = [WriteFile(path=path, content=f"{number}\n", why="Write.") for number in range(3)]
    begun = await case.host.begin(job(*writes, FAIL.__class__(argv=("echo", "end"), why="Tell.")))
    assert begun.state is JobState.RUNNING
    assert await case.host.wait("op-1.1", 20) == JobStatus(
        id="op-1.1", state=JobState.SUCCEEDED, steps_done=4, steps_total=4, result=Result(code=0, out="end\n")
    )
    assert case.read(path) == "2\n"


async def test_a_job_stops_at_the_first_failure_and_tells_it(case: Case) -> None:
    path = f"{case.folder}/never"
    status = await finish(case, job(TRUE, FAIL, WriteFile(path=path, content="x", why="Write.")))
    assert status == JobStatus(
        id="op-1.1",
        state=JobState.FAILED,
        steps_done=1,
        steps_total=3,
        why="Fail.",
        result=Result(code=3, out="so\n", err="no\n"),
    )
    assert case.read(path) is None
    assert await case.host.look("op-1.1") == status


async def test_codes_that_an_action_allows_are_no_failures(case: Case) -> None:
    status = await finish(case, job(replace(FAIL, ok=frozenset({0, 3})), TRUE))
    assert (status.state, status.steps_done) == (JobState.SUCCEEDED, 2)


async def test_a_job_that_nobody_began_is_unknown(case: Case) -> None:
    assert await case.host.look("op-9.9") == JobStatus(id="op-9.9", state=JobState.UNKNOWN)
    assert (await case.host.wait("op-9.9", 1)).state is JobState.UNKNOWN


async def test_a_job_under_way_tells_its_action_and_waiting_has_an_end(case: Case) -> None:
    await case.host.begin(job(TRUE, Command(argv=("sleep", "3"), why="Take long.")))
    status = await case.host.wait("op-1.1", 1.2)
    assert status == JobStatus(id="op-1.1", state=JobState.RUNNING, steps_done=1, steps_total=2, why="Take long.")
    assert (await case.host.wait("op-1.1", 20)).state is JobState.SUCCEEDED


async def test_a_job_that_has_succeeded_is_never_done_again(case: Case) -> None:
    path = f"{case.folder}/once"
    wanted = job(WriteFile(path=path, content="first", why="Write."))
    done = await finish(case, wanted)
    other = replace(wanted, actions=(WriteFile(path=path, content="second", why="Write."),))
    assert await case.host.begin(other) == done
    assert case.read(path) == "first"


async def test_a_job_that_has_failed_is_done_again_whole(case: Case) -> None:
    path = f"{case.folder}/again"
    await finish(case, job(WriteFile(path=path, content="first", why="Write."), FAIL))
    status = await finish(case, job(WriteFile(path=path, content="second", why="Write."), TRUE))
    assert (status.state, status.steps_done, case.read(path)) == (JobState.SUCCEEDED, 2, "second")


async def test_begun_many_times_at_once_a_job_runs_once(case: Case) -> None:
    path = f"{case.folder}/count"
    # `new` fails on a second, different content; each rival brings its own.
    rivals = [
        job(WriteFile(path=path, content=f"rival {number}", why="Write.", new=True), SLOW, TRUE) for number in range(6)
    ]
    begun = await asyncio.gather(*(case.host.begin(rival) for rival in rivals))
    assert {status.state for status in begun} <= {JobState.RUNNING, JobState.SUCCEEDED}
    waited = await asyncio.gather(*(case.host.wait("op-1.1", 20) for _ in range(6)))
    assert {(status.state, status.steps_done) for status in waited} == {(JobState.SUCCEEDED, 3)}
    assert (case.read(path) or "").startswith("rival ")


async def test_different_jobs_run_beside_each_other(case: Case) -> None:
    await asyncio.gather(*(case.host.begin(job(SLOW, name=f"op-1.{number}")) for number in range(3)))
    states = await asyncio.gather(*(case.host.wait(f"op-1.{number}", 20) for number in range(3)))
    assert [status.state for status in states] == [JobState.SUCCEEDED] * 3


async def test_a_file_that_exists_with_other_content_is_not_overwritten_when_it_must_be_new(case: Case) -> None:
    path = f"{case.folder}/new"
    wanted = job(WriteFile(path=path, content="mine", why="Write.", new=True), FAIL)
    assert (await finish(case, wanted)).steps_done == 1
    assert (await finish(case, wanted)).steps_done == 1, "its own content is no obstacle when it is repeated"
    status = await finish(case, job(WriteFile(path=path, content="other", why="Write.", new=True)))
    assert status.result is not None
    assert (status.state, status.result.code, case.read(path)) == (JobState.FAILED, 17, "mine")


async def test_removed_files_are_gone_and_absent_ones_no_failure(case: Case) -> None:
    path = f"{case.folder}/sub/file"
    status = await finish(
        case,
        job(
            WriteFile(path=path, content=Secret("x"), why="Write.", mode=0o600),
            RemovePath(path=f"{case.folder}/sub", why="Remove."),
            RemovePath(path=f"{case.folder}/sub", why="Remove again."),
        ),
    )
    assert (status.state, case.read(path)) == (JobState.SUCCEEDED, None)


async def test_a_host_belongs_to_the_first_that_takes_it(case: Case) -> None:
    await finish(case, job(TRUE))
    with pytest.raises(Taken) as refused:
        await case.host.begin(job(TRUE, name="op-2.1", cluster="c2"))
    assert refused.value.owner == "f/set--c1"
    assert refused.value.reason == "Taken"
    assert (await case.host.look("op-2.1")).state is JobState.UNKNOWN


async def test_of_two_that_take_a_host_at_once_one_gets_it(case: Case) -> None:
    rivals = [job(TRUE, name=f"op-{number}", cluster=f"c{number}") for number in range(4)]
    answers = await asyncio.gather(*(case.host.begin(rival) for rival in rivals), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["JobStatus", "Taken", "Taken", "Taken"]


async def test_work_for_an_owner_is_refused_on_a_host_that_nobody_owns(case: Case) -> None:
    with pytest.raises(NotTaken):
        await case.host.begin(replace(job(TRUE), takes_host=False))


async def test_a_host_that_was_left_belongs_to_nobody_and_its_last_job_is_still_known(case: Case) -> None:
    await finish(case, job(TRUE))
    leave = replace(job(TRUE, TRUE, name="op-2.1"), takes_host=False, leaves_host=True)
    left = await finish(case, leave)
    assert left == JobStatus(id="op-2.1", state=JobState.SUCCEEDED, steps_done=2, steps_total=2)
    assert await case.host.begin(leave) == left
    assert (await case.host.look("op-1.1")).state is JobState.UNKNOWN
    assert (await finish(case, job(TRUE, name="op-3.1", cluster="c2"))).state is JobState.SUCCEEDED
    assert await case.host.look("op-2.1") == left


async def test_a_job_that_fails_does_not_leave_the_host(case: Case) -> None:
    await finish(case, job(TRUE))
    leave = replace(job(FAIL, name="op-2.1"), takes_host=False, leaves_host=True)
    assert (await finish(case, leave)).state is JobState.FAILED
    with pytest.raises(Taken):
        await case.host.begin(job(TRUE, name="op-3.1", cluster="c2"))


async def test_leaving_a_host_that_nobody_owns_is_done_already(case: Case) -> None:
    leave = replace(job(TRUE), takes_host=False, leaves_host=True)
    assert (await case.host.begin(leave)).state is JobState.SUCCEEDED


async def test_a_job_that_takes_too_long_has_failed(case: Case) -> None:
    # The time is up for the whole job, not for its action. (Without systemd the action is not ended early.)
    status = await finish(case, job(Command(argv=("sleep", "2"), why="Sleep."), seconds=0.5))
    assert status.state is JobState.FAILED
    assert status.why.startswith("took longer than the job may")


async def test_a_copied_file_is_there_with_its_mode_and_can_be_copied_again(case: Case, tmp_path: Path) -> None:
    local = tmp_path / "local"
    remote = f"{case.folder}/bin/program"
    for content in ("one\n", "two\n", "two\n"):
        local.write_text(content)
        await case.host.put(str(local), remote, mode=0o755)
        assert case.read(remote) == content


@pytest.mark.parametrize("bad", ["", "a/b", "../x", "a b", "-x", "x" * 129, "a\nb", "ä"])
async def test_an_id_that_could_be_anything_but_a_name_is_refused(case: Case, bad: str) -> None:
    with pytest.raises(ValueError):
        await case.host.begin(job(TRUE, name=bad))
    with pytest.raises(ValueError):
        await case.host.look(bad)
