"""One run: a fresh fleet is created, upgraded and deleted while its operator dies by plan and is started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from atoll.api.identity import build_service_account_username
from atoll.embedded.management import OPERATOR_ACCOUNT
from atoll.errors import AtollError
from atoll.fleet.conditions import find, parse_time
from atoll.fleet.names import SYSTEM_NAMESPACE
from atoll.kube.kinds import (
    ATOLL_KINDS,
    CHILD_CLUSTER,
    CLUSTER_SET,
    CONFIG_MAP,
    ENVIRONMENT,
    NAMESPACE,
    ROLLOUT,
    SECRET,
    TENANT,
    Kind,
)
from atoll.kube.kubeconfigs import read_secret, secret_name
from atoll.kube.member import MemberClient
from atoll.kube.store import Store
from atoll.rollout.audit import read as read_record
from atoll.rollout.audit import verify_chain
from atoll.rollout.audit_pages import join, read_pages

from . import workload
from .audit import AuditCount, compare, read_audit
from .digest import Json, digest_objects, list_differences, normalise
from .sites import PHASES, Plan, RunLog, Where, read_log, write_plans
from .watch import Watcher, sample

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PHASE_SECONDS: Final = 240.0
"""How long a phase may take with its kills; the machine may be busy."""
QUIET_SECONDS: Final = 2.5
"""No write and no effect for this long, with looks every second, is the end of a phase."""
SETTLE_TRIES: Final = 4
POLL_SECONDS: Final = 0.3
REPEATS_LIMIT: Final = 2
"""How often one object of the child may be written in a phase without faults."""
SPAWNS: Final = "effect spawn "


class RunFailed(Exception):
    """A run did not end as it must."""


@dataclass(slots=True)
class RunResult:
    """What a run has shown."""

    log: RunLog
    digests: dict[str, Json]
    seconds: float
    violations: list[str] = field(default_factory=list)
    audit: AuditCount | None = None
    samples: int = 0

    @property
    def fired(self) -> tuple[Plan, ...]:
        """List the plans that have ended an operator."""
        return tuple(kill.plan for kill in self.log.kills)


class FleetRun:
    """One fleet, its operator and its harness."""

    def __init__(
        self,
        hub: Store,
        approver: Store,
        hub_home: Path,
        source: Path,
        folder: Path,
        fleet: str,
        plans: Sequence[Plan],
        plant: str,
        phase_seconds: float,
    ) -> None:
        """`folder` is made for this run alone; what is left in it tells what happened. `source`: the code to run.

        `approver` is the same management plane as `hub`, and another person.
        """
        self._hub = hub
        self._approver = approver
        self._hub_home = hub_home
        self._folder = folder.resolve()
        self._fleet = fleet
        self._source = source
        self._plant = plant
        self._phase_seconds = phase_seconds
        self._trouble = ""
        self._stopping = False
        self._process: asyncio.subprocess.Process | None = None
        self._identity = ""
        for name in ("home", "audit"):
            (self._folder / name).mkdir(parents=True, mode=0o700)
        write_plans(self._folder / "plans.json", plans)
        self._set_phase(PHASES[0])

    async def run(self, wanted: Mapping[str, Json] | None) -> RunResult:
        """Run all three phases; with `wanted` digests, compare. What went wrong is told in the result."""
        started = time.monotonic()
        result = RunResult(RunLog((), (), ()), {}, 0.0)
        with Watcher(self._folder / "home", self._read_phase) as watcher:
            try:
                async with self._operator():
                    for phase, work in zip(PHASES, (self._create, self._upgrade, self._delete), strict=True):
                        self._set_phase(phase)
                        await self._within(self._phase_seconds, phase, work())
                        result.digests[phase] = await self._settle(phase, (wanted or {}).get(phase))
                        if wanted is not None:
                            differences = list_differences(wanted[phase], result.digests[phase])
                            result.violations += [f"{phase}: {line}" for line in differences]
                await self._remove_namespace()
            except RunFailed as error:
                result.violations.append(str(error))
        result.seconds = time.monotonic() - started
        result.samples = watcher.samples
        result.log = read_log(self._folder / "sites.log")
        result.audit = self._compare_audit(result.log)
        result.violations += [*watcher.violations, *result.audit.differences, *check_operations(result.log)]
        result.violations += self._scan_log()
        return result

    async def _create(self) -> None:
        await self._apply([workload.build_namespace(self._fleet)])
        await self._apply(workload.build_fleet(self._fleet))
        await self._until(lambda: self._all_ready(workload.OLD), "the fleet to be Ready")

    async def _upgrade(self) -> None:
        freeze = workload.build_freeze(datetime.now(UTC))
        await self._hub.patch_merge(ENVIRONMENT, self._fleet, workload.ENVIRONMENT, freeze, "harness")
        patch = {"spec": {"version": workload.NEW}}
        await self._hub.patch_merge(CLUSTER_SET, self._fleet, workload.SET, patch, "harness")
        await self._until(self._waits_for_approval, "the Rollout to wait for its approval")
        (rollout,) = await self._hub.list(ROLLOUT, self._fleet)
        await self._approver.create(workload.build_approval(rollout))
        await self._until(self._is_upgraded, "the Rollout to be Done and the fleet Ready")
        await self._check_freeze(parse_time(freeze["spec"]["freezes"][0]["to"]))
        await self._check_records()

    async def _waits_for_approval(self) -> bool:
        rollouts = await self._hub.list(ROLLOUT, self._fleet)
        child = await self._hub.get(CHILD_CLUSTER, self._fleet, workload.CHILD)
        served = (child or {}).get("status", {}).get("version")
        return served == workload.NEW and [workload.waits_for_approval(body) for body in rollouts] == [True]

    async def _is_upgraded(self) -> bool:
        rollouts = await self._hub.list(ROLLOUT, self._fleet)
        done = [body for body in rollouts if (body.get("status") or {}).get("state") == "Done"]
        return bool(done) and len(done) == len(rollouts) and await self._all_ready(workload.NEW)

    async def _check_freeze(self, ends: datetime) -> None:
        child = await self._hub.get(CHILD_CLUSTER, self._fleet, workload.CHILD)
        history = (child or {}).get("status", {}).get("history") or ()
        begun = [parse_time(entry["startedTime"]) for entry in history if entry["type"] == "Change"]
        if len(begun) != 1 or begun[0] < ends:
            raise RunFailed(f"upgrade: the environment is frozen until {ends}, and changes began at {begun}")

    async def _check_records(self) -> None:
        """See that the record of the rollout is whole, and tells the order and the approval."""
        (rollout,) = await self._hub.list(ROLLOUT, self._fleet)
        name, uid = rollout["metadata"]["name"], rollout["metadata"]["uid"]
        lines = join(read_pages(name, uid, await self._hub.list(CONFIG_MAP, self._fleet)))
        verdict = verify_chain(uid, lines, rollout["status"].get("auditHead", ""))
        found = [record.entry for record in map(read_record, lines) if record is not None]
        told = Counter(entry.event for entry in found)
        if verdict.findings or verdict.unacknowledged:
            raise RunFailed(f"upgrade: the record of {name} is broken: {verdict}")
        if (told["Began"], told["MemberTold"], told["WaveDone"], told["Done"]) != (1, 1, 1, 1):
            raise RunFailed(f"upgrade: the record of {name} tells something twice or not at all: {lines}")
        if not any(entry.event == "GateOpened" and workload.APPROVER in entry.message for entry in found):
            raise RunFailed(f"upgrade: the record of {name} does not tell who opened its gate: {lines}")

    async def _delete(self) -> None:
        for kind, name in (
            (TENANT, workload.TENANT),
            (CLUSTER_SET, workload.SET),
            (ENVIRONMENT, workload.ENVIRONMENT),
        ):
            await self._delete_object(kind, name)
        await self._until(self._nothing_left, "every process and every folder to be gone")

    async def _delete_object(self, kind: Kind, name: str) -> None:
        body = await self._hub.get(kind, self._fleet, name)
        if body is None:
            raise RunFailed(f"delete: {kind.kind}/{name} was gone before anybody deleted it")
        await self._hub.delete(kind, self._fleet, name, uid=body["metadata"]["uid"])

        async def is_gone() -> bool:
            return await self._hub.get(kind, self._fleet, name) is None

        await self._until(is_gone, f"{kind.kind}/{name} to be gone")

    async def _nothing_left(self) -> bool:
        children = await self._hub.list(CHILD_CLUSTER, self._fleet)
        return not children and not sample(self._folder / "home") and not self._list_planes()

    def _list_planes(self) -> list[str]:
        return sorted(path.name for path in (self._folder / "home" / "planes").glob("[!.]*"))

    async def _all_ready(self, version: str) -> bool:
        bodies = [
            await self._hub.get(kind, self._fleet, name)
            for kind, name in (
                (CLUSTER_SET, workload.SET),
                (CHILD_CLUSTER, workload.CHILD),
                (ENVIRONMENT, workload.ENVIRONMENT),
                (TENANT, workload.TENANT),
            )
        ]
        child = bodies[1]
        return all(workload.is_ready(body) for body in bodies) and bool(child and child["status"]["version"] == version)

    async def _apply(self, bodies: Iterable[Mapping[str, Any]]) -> None:
        for body in bodies:
            await self._hub.apply(body, "harness")

    async def _settle(self, phase: str, wanted: Json | None) -> Json:
        """Wait until nothing is written any more, and return the end state; a state that differs gets more time."""
        tries = 0
        while True:
            await self._within(self._phase_seconds, f"quiet after {phase}", self._quiet())
            digest = await self._digest(phase)
            tries += 1
            if wanted is None or digest == wanted or tries == SETTLE_TRIES:
                return digest

    async def _quiet(self) -> None:
        log = self._folder / "sites.log"
        size, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            await asyncio.sleep(POLL_SECONDS)
            self._raise_trouble()
            found = log.stat().st_size if log.exists() else 0
            running = self._process is not None and self._process.returncode is None
            if found != size or not running:
                size, since = found, time.monotonic()

    async def _digest(self, phase: str) -> Json:
        fleet = [body for kind in ATOLL_KINDS for body in await self._hub.list(kind, self._fleet)]
        fleet += [body for kind in (SECRET, CONFIG_MAP) for body in await self._hub.list(kind, self._fleet)]
        hidden = {self._fleet: "<fleet>"}
        home = self._folder / "home"
        digest: Json = {
            "fleet": digest_objects((body for body in fleet if body["metadata"]["name"] != "kube-root-ca.crt"), hidden),
            "processes": normalise(sample(home), hidden),
            "planes": normalise(self._list_planes(), hidden),
        }
        if phase != "delete":
            digest["child"] = await self._digest_child(hidden)
            digest["files"] = normalise(
                sorted(
                    str(path.relative_to(home))
                    for path in home.glob("planes/*/*")
                    if path.name == "snapshots" or path.name.startswith("etcd")
                )
                + sorted(str(path.relative_to(home)) for path in home.glob("planes/*/snapshots/*")),
                hidden,
            )
        return digest

    async def _digest_child(self, hidden: Mapping[str, str]) -> Json:
        secret = await self._hub.get(SECRET, self._fleet, secret_name(workload.CHILD))
        child = await self._hub.get(CHILD_CLUSTER, self._fleet, workload.CHILD)
        if secret is None or child is None:
            return {"missing": True}
        try:
            async with MemberClient(read_secret(secret)) as member:
                seen = await member.observe(seconds=20)
        except AtollError as error:
            return {"unreachable": str(error)}
        self._identity = self._identity or seen.cluster_uid
        return {
            "version": str(seen.version),
            "ready": seen.ready,
            "sameCluster": seen.cluster_uid == self._identity == child["spec"]["clusterUID"],
            "namespaces": sorted(normalise(list(seen.namespaces), hidden)),
            "objects": digest_objects(seen.objects.values(), hidden),
        }

    async def _until(self, look: Callable[[], Any], what: str) -> None:
        while True:
            self._raise_trouble()
            try:
                if await look():
                    return
            except AtollError as error:
                raise RunFailed(f"the management plane: {error}") from error
            self._waiting_for = what
            await asyncio.sleep(POLL_SECONDS)

    async def _within(self, seconds: float, phase: str, work: Any) -> None:
        self._waiting_for = phase
        try:
            async with asyncio.timeout(seconds):
                await work
        except TimeoutError as error:
            state = await self._describe()
            raise RunFailed(f"{phase}: waited {seconds:g} s for {self._waiting_for}; {state}") from error

    async def _describe(self) -> str:
        """Say how all objects stand."""
        lines = []
        for kind in ATOLL_KINDS:
            for body in await self._hub.list(kind, self._fleet):
                status = body.get("status") or {}
                ready = find(status, "Ready")
                text = f"{ready.get('status')} {ready.get('reason')} {ready.get('message')} {status.get('state', '')}"
                lines.append(f"{kind.kind}/{body['metadata']['name']}: {text} {status.get('operation', '')}")
        return "; ".join(lines) or "nothing there"

    def _raise_trouble(self) -> None:
        if self._trouble:
            raise RunFailed(self._trouble)

    @asynccontextmanager
    async def _operator(self) -> AsyncIterator[None]:
        """Keep an operator running: one that died by plan is started again at once."""
        keeper = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            self._stopping = True
            if self._process is not None and self._process.returncode is None:
                self._process.terminate()
                try:
                    async with asyncio.timeout(20):
                        await self._process.wait()
                except TimeoutError:
                    self._process.kill()
                    await self._process.wait()
                    self._trouble = self._trouble or "the operator did not end within 20 s of SIGTERM"
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _keep(self) -> None:
        kills = 0
        while True:
            self._process = await self._start()
            code = await self._process.wait()
            if self._stopping:
                return
            found = len(read_log(self._folder / "sites.log").kills)
            if code != -signal.SIGKILL or found != kills + 1:
                self._trouble = f"the operator ended by itself with {code}: {self._tail()}"
                return
            kills = found

    async def _start(self) -> asyncio.subprocess.Process:
        with (self._folder / "operator.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.faults.operator_under_test",
                f"--folder={self._folder}",
                f"--kubeconfig={self._hub_home / 'operator.kubeconfig'}",
                f"--fleet={self._fleet}",
                *([f"--plant={self._plant}"] if self._plant else []),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._source,
                env={**os.environ, "PYTHONPATH": str(self._source / "operator")},
            )

    async def _remove_namespace(self) -> None:
        body = await self._hub.get(NAMESPACE, None, self._fleet)
        if body is not None:
            await self._hub.delete(NAMESPACE, None, self._fleet, uid=body["metadata"]["uid"])

    def _compare_audit(self, log: RunLog) -> AuditCount:
        username = build_service_account_username(SYSTEM_NAMESPACE, OPERATOR_ACCOUNT)
        prefix = f"/namespaces/{self._fleet}/"
        hub = read_audit(
            sorted((self._hub_home / "planes" / "management" / "log").glob("audit*.log")),
            lambda event: event["user"]["username"] == username and prefix in event["requestURI"],
            Where.HUB,
        )
        child = read_audit(
            sorted((self._folder / "audit").glob("*.log")),
            lambda event: event["user"]["username"] == "atoll",
            Where.CHILD,
        )
        return compare(log.visits, hub + child)

    def _scan_log(self) -> list[str]:
        path = self._folder / "operator.log"
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        place = text.find("Traceback (most recent call last)")
        return [f"the operator's log holds a traceback: {text[place : place + 1500]}"] if place >= 0 else []

    def _tail(self) -> str:
        path = self._folder / "operator.log"
        return path.read_text(encoding="utf-8", errors="replace")[-1500:] if path.exists() else ""

    def _set_phase(self, phase: str) -> None:
        part = self._folder / ".phase"
        part.write_text(phase, encoding="utf-8")
        part.replace(self._folder / "phase")

    def _read_phase(self) -> str:
        return (self._folder / "phase").read_text(encoding="utf-8")


def check_storms(log: RunLog) -> list[str]:
    """Say which object of the child was written again and again although nothing went wrong."""
    writes = Counter(
        (visit.site.phase, visit.key)
        for visit in log.visits
        if visit.site.where is Where.CHILD and " POST " not in visit.key
    )
    return [f"{phase}: {key} {times} times" for (phase, key), times in writes.items() if times > REPEATS_LIMIT]


def check_operations(log: RunLog) -> list[str]:
    """Say what was done twice: operations, steps, processes, snapshots."""
    violations = []
    ids: dict[str, dict[str, int]] = {}
    for visit in log.visits:
        facts = visit.facts
        if "type" not in facts or visit.outcome != "done":
            continue
        steps = ids.setdefault(facts["type"], {})
        done = int(facts.get("steps_done", 0))
        if done < steps.get(facts["id"], 0):
            violations.append(f"{facts['id']} went back from step {steps[facts['id']]} to {done}")
        steps[facts["id"]] = max(done, steps.get(facts["id"], 0))
    violations += [
        f"{kind} was begun {len(steps)} times: {sorted(steps)}" for kind, steps in ids.items() if len(steps) > 1
    ]
    for phase in PHASES:
        once: Counter[str] = Counter(
            {
                signature: times
                for signature, times in log.count(phase).items()
                if signature.startswith(SPAWNS) or (" rename " in signature and ".log" not in signature)
            }
        )
        violations += [f"{phase}: {signature} was done {times} times" for signature, times in once.items() if times > 1]
    return violations
