"""The hands of a child's worker: each step on a child, carried out."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Final, assert_never

from atoll.errors import IdentityMismatch, Refused, Retryable, Unreachable
from atoll.fleet.borders import BorderRun
from atoll.fleet.cluster import ClusterRef, Finding, Operation, OperationType
from atoll.fleet.gates import GateKey, GateReading
from atoll.fleet.observed import CheckResult, Verification
from atoll.fleet.plan import (
    ApplyMemberObject,
    ChildStep,
    DeleteMemberObject,
    ForgetCluster,
    InspectMember,
    PublishKubeconfig,
    RunGateJob,
    StartOperation,
    TryBorders,
    VerifyMember,
)
from atoll.fleet.preflight import PreflightRun
from atoll.fleet.values import Version, thaw
from atoll.kube.borders import run_borders
from atoll.kube.gate_job import run_gate_job
from atoll.kube.kinds import CONFIG_MAP, KINDS, SECRET, Kind
from atoll.kube.kubeconfigs import build_public, build_secret, digest, read_secret, secret_name
from atoll.kube.member import MemberClient
from atoll.kube.preflight import run_preflight
from atoll.kube.verify import run_checks
from atoll.kube.verify_nodes import run_node_checks
from atoll.ports import Body

from .context import FIELD_MANAGER, Context

log: Final = logging.getLogger("atoll.child")

PROOF_SECONDS: Final = 1.0
"""How long it is believed who is there."""


class ChildHands:
    """Carries out steps on one child and remembers what the next look should tell."""

    def __init__(self, context: Context, fleet: str, name: str) -> None:
        self._context = context
        self._fleet = fleet
        self._name = name
        self.verification: Verification | None = None
        self.borders: BorderRun | None = None
        self.released = False
        self.findings: tuple[Finding, ...] = ()
        self.stranger: tuple[str, str] | None = None
        """Reason and message, while what its provider hands out leads to another cluster than the pinned one."""
        self.preflight: PreflightRun | None = None
        self.jobs: Mapping[GateKey, GateReading] = {}
        self._proof: tuple[MemberClient, str] | None = None
        """Which client was asked last who is there, and answered with which pinned UID."""
        self._proved = 0.0

    async def act(self, step: ChildStep, body: Body, member: MemberClient | None) -> None:
        """Carry out one step. `body`: the ChildCluster as it stands."""
        match step:
            case StartOperation():
                await self._start(step)
            case ForgetCluster():
                await self._forget(step)
            case PublishKubeconfig():
                await self._publish(body, member)
            case ApplyMemberObject():
                store = (await self._pinned(body, member)).store
                body = thaw(step.body)
                await (store.create(body) if step.must_be_new else store.apply(body, FIELD_MANAGER))
            case DeleteMemberObject():
                store = (await self._pinned(body, member)).store
                await store.delete(_kind(step.kind), step.namespace or None, step.name, uid=step.uid)
            case VerifyMember():
                await self._verify(step, body, await self._pinned(body, member))
            case TryBorders():
                client = await self._pinned(body, member)
                self.borders = await run_borders(
                    client, step.borders, now=self._context.clock.now(), before=self.borders
                )
            case InspectMember():
                self.preflight = await self._inspect(step, await self._pinned(body, member))
            case RunGateJob():
                question = step.question
                client = await self._pinned(body, member)
                manifests = await self._context.store.get(CONFIG_MAP, self._fleet, question.manifests)
                now = self._context.clock.now()
                reading = await run_gate_job(client, question.key, question.manifests, manifests, now)
                self.jobs = {**self.jobs, question.key: reading}
            case _:
                assert_never(step)

    async def _start(self, step: StartOperation) -> None:
        """Begin or resume an operation; one that has not begun yet only when nothing is in its way."""
        provider = self._context.providers[step.provider]
        begun = (await provider.observe(step.wanted.ref)).operation
        self.findings = ()
        if begun is None or begun.id != step.operation.id:
            self.findings = await provider.preflight(step.wanted, step.operation)
        if self.findings:
            raise Refused("; ".join(finding.message for finding in self.findings))
        await provider.start(step.wanted, step.operation)

    async def _inspect(self, step: InspectMember, client: MemberClient) -> PreflightRun:
        """Ask the provider, and the child itself, what would be in the way of a change."""
        target = step.wanted.version
        change = Operation(
            id=f"inspect-{step.wanted.ref.id[:8]}",
            type=OperationType.CHANGE,
            to_version=target,
            from_version=str(step.served),
        )
        return await run_preflight(
            client,
            served=step.served,
            target=Version.parse(target),
            rollout=step.rollout,
            certificates_expire_time=step.certificates_expire_time,
            now=self._context.clock.now(),
            provider_findings=await self._context.providers[step.provider].preflight(step.wanted, change),
        )

    async def _pinned(self, body: Body, member: MemberClient | None) -> MemberClient:
        """Return the client after asking once more who is there: nothing is written to a stranger.

        Of a row of writes each but the first believes the answer of a moment ago.
        """
        pinned = body["spec"].get("clusterUID", "")
        if member is None:
            raise Unreachable(f"{self._name} is not connected")
        if not pinned:
            raise IdentityMismatch(f"{self._name} is not pinned yet; nothing is written to it")
        proof, now = (member, pinned), time.monotonic()
        if self._proof != proof or now - self._proved > PROOF_SECONDS:
            self._proof = None
            await member.require_identity(pinned)
            self._proof, self._proved = proof, now
        return member

    def _ref(self, body: Body) -> ClusterRef:
        return ClusterRef(fleet=self._fleet, name=self._name, id=body["spec"]["id"])

    async def _publish(self, body: Body, member: MemberClient | None) -> None:
        provider = self._context.providers[body["spec"]["provider"]]
        kubeconfig = await provider.kubeconfig(self._ref(body))
        pinned = body["spec"].get("clusterUID", "")
        if pinned:
            # Whoever reads the Secret would follow it to a stranger.
            is_open = member is not None and member.digest == digest(kubeconfig)
            client = member if member is not None and is_open else self._context.connect(kubeconfig)
            try:
                await client.require_identity(pinned)
            except IdentityMismatch as error:
                self.stranger = (error.reason, str(error))
                raise
            finally:
                if client is not member:
                    await client.close()
        self.stranger = None
        shown = build_public(kubeconfig) if provider.info().short_logins else kubeconfig
        await self._context.store.apply(build_secret(self._name, self._fleet, shown, owner=body), FIELD_MANAGER)

    async def _forget(self, step: ForgetCluster) -> None:
        """Take owner references off the kubeconfig Secret first: it stays with the cluster that stays."""
        secret = await self._context.store.get(SECRET, self._fleet, secret_name(self._name))
        if secret is not None and secret["metadata"].get("ownerReferences"):
            kept = build_secret(self._name, self._fleet, read_secret(secret))
            kept["metadata"]["uid"] = secret["metadata"]["uid"]
            await self._context.store.apply(kept, FIELD_MANAGER)
        try:
            await self._context.providers[step.provider].forget(step.ref)
        except Retryable as error:
            if not step.abandoned:
                raise
            log.warning("%s/%s is abandoned without being told: %s", self._fleet, self._name, error)
        self.released = True

    async def _verify(self, step: VerifyMember, body: Body, member: MemberClient) -> None:
        now = self._context.clock.now()
        results = await run_checks(
            member,
            wanted_version=step.version,
            wanted_uid=body["spec"]["clusterUID"],
            endpoint=member.connection.server,
            ca=member.connection.ca,
            suffix=body["spec"]["id"],
            now=now,
        )
        if self._context.providers[body["spec"]["provider"]].info().has_nodes:
            results += await run_node_checks(
                member, wanted_version=step.version, suffix=body["spec"]["id"], sample=step.sample_application
            )
        after = self._context.clock.now()
        self.verification = Verification(
            revision=step.revision,
            version=step.version,
            attempt=step.attempt,
            checks=tuple(
                CheckResult(check=result.check, result=result.result, message=result.message, time=after)
                for result in results
            ),
            time=after,
        )


def _kind(name: str) -> Kind:
    """Return one of the kinds that stand in children."""
    return next(kind for kind in KINDS.values() if kind.kind == name)
