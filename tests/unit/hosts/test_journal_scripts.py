"""The scripts of jobs: what they carry and what they refuse. That they work is shown on real shells in tests/e2e."""

from __future__ import annotations

from dataclasses import replace

import pytest

from atoll.hosts.command import Command, Secret, WriteFile
from atoll.hosts.jobs import Job
from atoll.hosts.journal import (
    Places,
    check_job_id,
    render_begin,
    render_job,
    render_look,
    render_owner,
    render_wait,
    systemd_launcher,
)

JOB = Job(
    id="op-7.2",
    cluster_id="c-1",
    actions=(
        WriteFile(path="/etc/x", content=Secret("CANARY"), why="Write\nit."),
        Command(argv=("grep", "x", "/etc/x"), why="Look.", ok=frozenset({1, 0}), seconds=5),
    ),
    seconds=90,
    role="Worker",
    fleet="prod",
    cluster="base--eu",
)
TAKING = replace(JOB, takes_host=True)


def test_systemd_runs_a_job_under_its_name_and_ends_all_of_it_in_time() -> None:
    assert systemd_launcher(JOB) == (
        "systemd-run",
        "--quiet",
        "--collect",
        "--unit=atoll-job-op-7.2",
        "--description=Atoll: job op-7.2",
        "--service-type=exec",
        "--property=KillMode=control-group",
        "--property=RuntimeMaxSec=90",
        "--property=TimeoutStopSec=10",
    )


def test_no_argument_of_the_launcher_holds_a_secret() -> None:
    assert "CANARY" not in " ".join(systemd_launcher(JOB))


def test_each_action_stands_between_its_number_and_the_codes_that_it_may_end_with() -> None:
    lines = render_job(JOB, Places(), "mark").splitlines()
    start = lines.index("s 1 0 'Write it.'")
    assert lines[start : start + 6] == [
        "s 1 0 'Write it.'",
        "atoll_write /etc/x /etc 0644 over CANARY",
        "e 0",
        "s 2 5 Look.",
        "timeout -k 5 5 grep x /etc/x </dev/null",
        "e '0 1'",
    ]


def test_a_script_removes_itself_before_its_first_action() -> None:
    text = render_job(JOB, Places(), "mark")
    assert text.index('rm -f -- "$T/script"') < text.index("s 1 0")


def test_the_owner_is_told_in_one_line() -> None:
    owner = '{"clusterID": "c-1", "role": "Worker", "fleet": "prod", "cluster": "base--eu"}'
    assert render_owner(JOB) == owner


def test_only_a_job_that_takes_the_host_can_make_an_owner() -> None:
    for job, makes in ((TAKING, True), (JOB, False), (replace(JOB, leaves_host=True), False)):
        text = render_begin(job, Places(), "mark", systemd_launcher)
        assert ('ln -T "$S/.owner" "$S/owner.json"' in text) is makes


def test_a_job_does_not_take_its_host_and_leave_it() -> None:
    with pytest.raises(ValueError, match="take its host and leave it"):
        render_begin(replace(TAKING, leaves_host=True), Places(), "mark", systemd_launcher)


@pytest.mark.parametrize("bad", ["", "x/y", "..", ".x", "-x", "x y", "x\n", "x" * 129, "é", "x;y", "$x"])
def test_ids_are_names_or_refused(bad: str) -> None:
    with pytest.raises(ValueError):
        check_job_id(bad)
    with pytest.raises(ValueError):
        render_look(bad, Places())
    with pytest.raises(ValueError):
        render_wait(bad, Places(), 5)
    with pytest.raises(ValueError):
        render_begin(replace(JOB, cluster_id=bad), Places(), "mark", systemd_launcher)


def test_a_usual_id_is_fine() -> None:
    assert check_job_id("Op_7-a.12") == "Op_7-a.12"
