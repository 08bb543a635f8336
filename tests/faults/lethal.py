"""What stands between the operator and the world, and ends the operator there.

`before` dies instead of acting. `lost` acts and dies with the answer in hand that nobody has seen. `after` lets the
caller have the answer and dies at whatever comes first: the next write or effect, or the next turn of the loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from atoll.kube.transport import Request, Response, Transport
from atoll.planes.effects import RUN_TIMEOUT_SECONDS, Effects
from atoll.planes.values import RunningProcess

from .audit import is_review
from .sites import Plan, Side, Site, Where, name_effect, name_request, read_log, read_plans

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Reaper:
    """Numbers what the operator does and ends it where a plan says so. Each plan ends one process of a run."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds plans.json, the phase, and the log, which tells what earlier processes have done."""
        self._phase = folder / "phase"
        log = read_log(folder / "sites.log")
        done = {kill.plan for kill in log.kills}
        plans = read_plans(folder / "plans.json")
        self._plans = {plan.site: plan for plan in plans if plan not in done}
        self._seen = Counter((visit.site.phase, visit.site.signature) for visit in log.visits)
        self._number = len(log.visits)
        self._armed: Plan | None = None
        self._log = os.open(folder / "sites.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._write({"event": "start", "pid": os.getpid()})

    def begin(self, signature: str, key: str, facts: Mapping[str, Any] | None = None) -> Passage:
        """Come to a site; this may be the end."""
        if self._armed is not None:
            self._end(self._armed)
        phase = self._phase.read_text(encoding="utf-8")
        self._seen[phase, signature] += 1
        site = Site(phase, signature, self._seen[phase, signature])
        self._number += 1
        plan = self._plans.get(site)
        if plan is not None and plan.side is Side.BEFORE:
            self._end(plan)
        self._write(
            {
                "event": "begin",
                "number": self._number,
                "phase": phase,
                "signature": signature,
                "occurrence": site.occurrence,
                "key": key,
                "facts": dict(facts or {}),
            }
        )
        return Passage(self, self._number, plan)

    def finish(self, number: int, plan: Plan | None, status: int) -> None:
        """Tell that something was done; this may be the end."""
        self._write({"event": "done", "number": number, "status": status})
        if plan is None:
            return
        if plan.side is Side.LOST:
            self._end(plan)
        self._armed = plan
        asyncio.get_running_loop().call_soon(self._end, plan)

    def fail(self, number: int, error: BaseException) -> None:
        """Tell that something went wrong, so that nobody knows whether it was done."""
        self._write({"event": "failed", "number": number, "error": f"{type(error).__name__}: {error}"[:300]})

    def _end(self, plan: Plan) -> NoReturn:
        self._write({"event": "kill", "plan": plan.to_json(), "pid": os.getpid()})
        os.kill(os.getpid(), signal.SIGKILL)
        while True:  # The signal is on its way.
            time.sleep(1)

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._log, f"{json.dumps({**line, 'time': round(time.time(), 3)})}\n".encode())


class Passage:
    """One passage through a site."""

    def __init__(self, reaper: Reaper, number: int, plan: Plan | None) -> None:
        self._reaper = reaper
        self._number = number
        self._plan = plan

    def __enter__(self) -> Passage:
        return self

    def done(self, status: int = 0) -> None:
        """Tell that it was done."""
        self._reaper.finish(self._number, self._plan, status)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._reaper.fail(self._number, error)


class LethalTransport:
    """Carries requests to one API server, and ends the operator at writes."""

    def __init__(self, inner: Transport, reaper: Reaper, where: Where, fleet: str) -> None:
        self._inner = inner
        self._reaper = reaper
        self._where = where
        self._fleet = fleet

    async def send(self, request: Request) -> Response:
        """Send one request."""
        if request.method in READING or is_review(request.path):
            return await self._inner.send(request)
        content_type = request.headers.get("Content-Type", "")
        signature = name_request(self._where, self._fleet, request.method, request.path, content_type)
        with self._reaper.begin(signature, f"{self._where} {request.method} {request.path}") as passage:
            response = await self._inner.send(request)
            passage.done(response.status)
        return response


class LethalEffects(Effects):
    """Does to the machine what planes ask for, and ends the operator there."""

    def __init__(self, reaper: Reaper, home: Path) -> None:
        self._reaper = reaper
        self._home = home

    def make_folder(self, path: Path) -> None:
        """Create a folder."""
        with self._at(f"make_folder {path}") as passage:
            super().make_folder(path)
            passage.done()

    def write_file(self, path: Path, content: bytes) -> None:
        """Replace a file; the journal's progress is noted."""
        facts = json.loads(content) if path.name == "operation.json" else {}
        with self._at(f"write_file {path}", facts) as passage:
            super().write_file(path, content)
            passage.done()

    def rename(self, source: Path, target: Path) -> None:
        """Move a file or folder."""
        with self._at(f"rename {source} {target}") as passage:
            super().rename(source, target)
            passage.done()

    def remove_tree(self, path: Path) -> None:
        """Remove a file or folder."""
        with self._at(f"remove_tree {path}") as passage:
            super().remove_tree(path)
            passage.done()

    def spawn(self, argv: Sequence[str], *, log: Path, folder: Path, environment: Mapping[str, str]) -> int:
        """Start a process."""
        program = Path(argv[0])
        with self._at(f"spawn {program.parent.name}/{program.name}", {"argv": list(argv)}) as passage:
            pid = super().spawn(argv, log=log, folder=folder, environment=environment)
            passage.done()
        return pid

    def signal(self, process: RunningProcess, number: int) -> None:
        """Send a signal."""
        with self._at(f"signal {process.role} {process.version} {number}".replace("  ", " ")) as passage:
            super().signal(process, number)
            passage.done()

    def steer(self, process: RunningProcess, port: int, *, clients: int, probes: int) -> bool:
        """Lead connections to one of two processes."""
        with self._at(f"steer {process.role} {process.version} clients={clients} probes={probes}") as passage:
            steered = super().steer(process, port, clients=clients, probes=probes)
            passage.done()
        return steered

    async def run(self, argv: Sequence[str], *, timeout_seconds: float = RUN_TIMEOUT_SECONDS) -> bytes:
        """Run a program to its end."""
        with self._at(f"run {Path(argv[0]).name} {' '.join(argv[1:4])}") as passage:
            output = await super().run(argv, timeout_seconds=timeout_seconds)
            passage.done()
        return output

    def _at(self, what: str, facts: Mapping[str, Any] | None = None) -> Passage:
        return self._reaper.begin(name_effect(what, self._home), what, facts)
