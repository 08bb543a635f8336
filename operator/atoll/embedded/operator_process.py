"""The operator as a process beside its management plane: started, found again, stopped; never two of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from .home import Home
from .private import write_private

STOP_SECONDS: Final = 10.0
TIME_TOLERANCE_SECONDS: Final = 2.0
MARK: Final = "--embedded-home"
"""Argument that names the home in the command line: by it the process is known, whatever the record says."""


def find_operator(home: Home) -> psutil.Process | None:
    """Find the operator of this home: by its record, else by its command line."""
    recorded = _read_record(home)
    if recorded is not None:
        return recorded
    for process in psutil.process_iter():
        if _is_operator(process, home):
            return process
    return None


def start_operator(home: Home, arguments: Sequence[str], environment: Mapping[str, str]) -> psutil.Process:
    """Start the operator in a session of its own, unless it runs already."""
    running = find_operator(home)
    if running is not None:
        return running
    argv = [sys.executable, "-P", "-m", "atoll.cli.main", "run", MARK, str(home.root), *arguments]
    descriptor = os.open(home.operator_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        started = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            cwd=home.root,
            env=dict(environment),
        )
    finally:
        os.close(descriptor)
    process = psutil.Process(started.pid)
    write_private(home.operator_record, json.dumps({"pid": process.pid, "createTime": process.create_time()}))
    return process


def stop_operator(home: Home) -> bool:
    """End the operator, gently first; say whether there was one."""
    process = find_operator(home)
    if process is None:
        home.operator_record.unlink(missing_ok=True)
        return False
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
    home.operator_record.unlink(missing_ok=True)
    return True


def read_log_tail(home: Home, lines: int = 15) -> str:
    """Return the last lines that the operator said."""
    try:
        text = home.operator_log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _read_record(home: Home) -> psutil.Process | None:
    try:
        record = json.loads(home.operator_record.read_text(encoding="utf-8"))
        process = psutil.Process(int(record["pid"]))
        same = abs(process.create_time() - float(record["createTime"])) < TIME_TOLERANCE_SECONDS
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return process if same and _is_operator(process, home) else None


def _is_operator(process: psutil.Process, home: Home) -> bool:
    try:
        argv = process.cmdline()
        alive = process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
    return alive and MARK in argv and _following(argv, MARK) == str(home.root)


def _following(argv: Sequence[str], mark: str) -> str:
    place = list(argv).index(mark)
    return argv[place + 1] if place + 1 < len(argv) else ""


def home_of(path: Path) -> Home:
    """Return the home at a path, made if it is not there."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Home(path)
