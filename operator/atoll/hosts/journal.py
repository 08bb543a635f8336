"""The scripts that begin, run, look at and wait for a job. Pure: text in, text out; `reading.py` reads the answers.

A job is one POSIX shell script, sent in one go and run by systemd, so that it lives on when the connection dies. What
is known of it on its host:

* `<state>/jobs/<id>/journal`, appended to by single writes: `job 1 <steps> <mark> <boot> <uptime>` when it is begun,
  `started`, then `+<n> <uptime> <seconds> <why>` before and `-<n> <code> <uptime>` after each action, and
  `done succeeded`, `done failed` or `done late`. Whoever finds no `done` line and no process holding the lock has found
  a partial job. Appending is used and not a renamed file: a rename would cost a process per line, and a torn last line
  is no line.
* `<state>/jobs/<id>/out` and `err`: the end of what its actions printed, written when it ends.
* `<run>/jobs/<id>/lock`: held by the script and every program that it started, for as long as any of them lives.
* `<run>/jobs/<id>/script`: the script, with its secrets, on a file system that a reboot empties. The script removes it
  before its first action.
* `<run>/lock`: beginning is one at a time per host.
* `<run>/left-<id>`: a job that gave the host back has removed `<state>`, its own journal with it, and this is what it
  leaves until the next reboot. After that reboot nobody knows the job; begun again, it finds a host that nobody owns,
  which is what it was to bring about, and counts as done.

An action may be done a second time: a job that failed or was cut off is begun again under its id with all its actions,
so all of them must be idempotent.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from .clean import clean_text
from .jobs import Job
from .render import FUNCTIONS, SETTINGS, action_seconds, allowed_codes, render_action

JOB_OUTPUT_BYTES: Final = 64 * 1024
"""Kept of each stream of a job: its end."""
HANDOVER_SECONDS: Final = 15
"""A job that was begun and has not started yet counts as running for so long."""
WHY_LIMIT: Final = 300

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

Launcher: TypeAlias = Callable[[Job], tuple[str, ...]]
"""Returns the program that runs what stands behind it detached from us, and comes back as soon as that runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Folders of a host. Other ones only in tests."""

    state: str = "/var/lib/atoll"
    """Kept over reboots."""
    run: str = "/run/atoll"
    """Lost when the machine reboots."""


def systemd_launcher(job: Job) -> tuple[str, ...]:
    """Run a job as a transient unit of systemd, named after it."""
    return (
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit=atoll-job-{job.id}",
        f"--description=Atoll: job {job.id}",
        "--service-type=exec",
        "--property=KillMode=control-group",
        f"--property=RuntimeMaxSec={job.seconds:g}",
        "--property=TimeoutStopSec=10",
    )


def check_job_id(job_id: str) -> str:
    """Return `job_id`; ValueError when it cannot name a folder and a unit."""
    if not _ID.fullmatch(job_id):
        raise ValueError(f"{job_id!r} cannot be the id of a job: letters, digits, '.', '-' and '_', at most 128")
    return job_id


def render_owner(job: Job) -> str:
    """Return the line of `owner.json`."""
    owner = {"clusterID": job.cluster_id, "role": job.role, "fleet": job.fleet, "cluster": job.cluster}
    return json.dumps(owner)


def render_job(job: Job, places: Places, mark: str) -> str:
    """Return the script of a job; `mark` is unguessable and stands before each action's output."""
    steps: list[str] = []
    for number, action in enumerate(job.actions, start=1):
        why = clean_text(action.why).replace("\n", " ")[:WHY_LIMIT]
        codes = " ".join(str(code) for code in sorted(allowed_codes(action)))
        steps += [
            f"s {number} {action_seconds(action):g} {shlex.quote(why)}",
            render_action(action),
            f"e {shlex.quote(codes)}",
        ]
    return "\n".join(
        [
            _names(job.id, places),
            'rm -f -- "$T/script"',
            SETTINGS + FUNCTIONS + f"mark={shlex.quote(mark)}",
            _RUN,
            "main() {",
            f"trap 'late {int(job.seconds)}; exit 1' TERM",
            *steps,
            _LEAVE.format(steps=len(job.actions)) if job.leaves_host else ":",
            "echo 'done succeeded' >&7",
            "}",
            _PLUMBING,
        ]
    )


def render_begin(job: Job, places: Places, mark: str, launcher: Launcher) -> str:
    """Return what begins a job, or finds that it may not be begun; prints a verdict (see `reading.read_begin`)."""
    if job.takes_host and job.leaves_host:
        raise ValueError(f"job {job.id} cannot take its host and leave it")
    if not _ID.fullmatch(job.cluster_id):
        raise ValueError(f"{job.cluster_id!r} cannot be the id of a cluster")
    free = _TAKE if job.takes_host else _LEFT_ALREADY if job.leaves_host else "echo free; exit 0"
    owned = shlex.quote(json.dumps({"clusterID": job.cluster_id})[1:-1])
    return "\n".join(
        [
            _names(job.id, places),
            f"owner={shlex.quote(render_owner(job))} owned={owned} mark={shlex.quote(mark)} steps={len(job.actions)}",
            f"script={shlex.quote(render_job(job, places, mark))}",
            f'launch() {{ {shlex.join(launcher(job))} /bin/sh "$T/script"; }}',
            _STATUS,
            _BEGIN.replace("@FREE@", free),
        ]
    )


def render_look(job_id: str, places: Places) -> str:
    """Return what prints how far a job has come (see `reading.read_status`)."""
    return "\n".join([_names(job_id, places), _STATUS, "state; report"])


def render_wait(job_id: str, places: Places, seconds: float) -> str:
    """Return what waits for the end of a job, without polling, and prints how far it has come."""
    return "\n".join([_names(job_id, places), _STATUS, f"seconds={max(1, int(seconds))}", _WAIT])


def _names(job_id: str, places: Places) -> str:
    state, run = shlex.quote(places.state), shlex.quote(places.run)
    return f"S={state} R={run} J={shlex.quote(check_job_id(job_id))}; D=$S/jobs/$J T=$R/jobs/$J"


_STATUS: Final = f"""\
state() {{
  running=0 known=0 fresh=0 job= boot= up=
  read -r boot < /proc/sys/kernel/random/boot_id; read -r up _ < /proc/uptime
  if [ -e "$D/journal" ]; then known=1; {{ read -r _ _ _ _ boot0 up0; read -r second; }} < "$D/journal"; fi
  if [ -e "$T/lock" ] && ! flock -n -s "$T/lock" true; then running=1; return; fi
  if [ $known = 0 ]; then return; fi
  if [ "$boot0" = "$boot" ] && [ -z "$second" ] && [ $((${{up%.*}} - ${{up0%.*}})) -lt {HANDOVER_SECONDS} ]; then
    fresh=1
  fi
}}
report() {{
  left=; if [ -e "$R/left-$J" ]; then read -r left < "$R/left-$J"; fi
  echo "known=$known running=$running fresh=$fresh left=$left"
  if [ $known = 1 ]; then
    cat "$D/journal"
    if [ $running = 0 ] && [ -e "$D/out" ]; then echo; cat "$D/out"; cat "$D/err" >&2; fi
  fi
}}"""
"""`started` is written when the lock is held. So it is read before the lock is looked at, and the rest after: a job
that has started and whose lock is free has ended, and its journal is final.
"""

_WAIT: Final = """\
limit=$seconds
while :; do
  state
  if [ $running = 1 ]; then
    flock -s -w "$limit" "$T/lock" true || break
  elif [ $fresh = 1 ]; then
    sleep 0.02
  else
    break
  fi
done
report"""

_BEGIN: Final = """\
umask 077
mkdir -p "$R/jobs" || exit 70
exec 9>>"$R/lock"
flock -w 20 9 || { echo busy; exit 0; }
if [ -e "$R/left-$J" ]; then echo known; state; report; exit 0; fi
have=
if [ -e "$S/owner.json" ]; then
  read -r have < "$S/owner.json"
  if [ -z "$have" ]; then have='somebody who cannot be read from owner.json'; fi
fi
case $have in
  '') @FREE@ ;;
  *"$owned"*) ;;
  *) printf 'taken %s\\n' "$have"; exit 0 ;;
esac
state
if [ $running = 1 ] || [ $fresh = 1 ]; then echo known; report; exit 0; fi
if [ $known = 1 ] && grep -q -x 'done succeeded' "$D/journal"; then echo known; report; exit 0; fi
rm -rf "$D" && mkdir -p "$D" "$T" && : >> "$T/lock" || exit 71
printf '%s\\n' "$script" > "$T/script" || exit 72
printf 'job 1 %s %s %s %s\\n' "$steps" "$mark" "$boot" "$up" > "$D/journal" || exit 73
if launch </dev/null >"$T/launch" 2>&1 9>&-; then
  echo begun
else
  printf 'not-launched %s\\n' "$?"
  cat "$T/launch" >&2
  rm -rf "$D" "$T"
fi"""

_TAKE: Final = """\
mkdir -p "$S" && printf '%s\\n' "$owner" > "$S/.owner" && sync "$S/.owner" || exit 74
    ln -T "$S/.owner" "$S/owner.json" || exit 75
    rm -f "$S/.owner\""""

_LEFT_ALREADY: Final = """\
rm -rf "$S" "$S.leaving"; echo left; exit 0"""

_RUN: Final = """\
exec 8>>"$T/lock"
flock -w 10 8 || exit 0
exec 7>>"$D/journal"
read -r up0 _ < /proc/uptime
echo started >&7
late() {
  read -r up _ < /proc/uptime
  if [ $((${up%.*} - ${up0%.*})) -ge "$1" ]; then echo 'done late' >&7; fi
}
s() {
  n=$1; read -r up _ < /proc/uptime
  echo "+$n $up $2 $3" >&7
  printf '\\n%s %s\\n' "$mark" "$n"; printf '\\n%s %s\\n' "$mark" "$n" >&2
}
e() {
  c=$?; read -r up _ < /proc/uptime
  echo "-$n $c $up" >&7
  case " $1 " in *" $c "*) ;; *) echo 'done failed' >&7; exit 1 ;; esac
}"""
"""Descriptor 8 is not closed for the actions: as long as a program of this job lives, nobody else begins it.

A job that is told to end before its time is up says nothing: the machine goes down, or somebody stops it, and it is
partial.
"""

_LEAVE: Final = """\
exec 9>>"$R/lock"; flock 9
rm -rf "$S.leaving"; mv -T "$S" "$S.leaving" && rm -rf "$S.leaving" || {{ echo 'done failed' >&7; exit 1; }}
(umask 077; echo {steps} > "$R/left-$J.part"; mv -T "$R/left-$J.part" "$R/left-$J")
rm -rf "$R/jobs\""""
"""Owner and journal go in one step, by the rename; the mark comes when nothing is left. Nobody begins meanwhile."""

_PLUMBING: Final = f"""\
{{ {{ main 2>&1 >&3 3>&- | (trap '' TERM; umask 077; exec tail -c {JOB_OUTPUT_BYTES} >"$D/err"); }} 3>&1 |
  (trap '' TERM; umask 077; exec tail -c {JOB_OUTPUT_BYTES} >"$D/out"); }}"""
"""One process per stream and job keeps the end of what is printed, however much that is, and drops the rest."""
