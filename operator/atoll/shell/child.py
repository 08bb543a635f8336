"""One child's worker: looks at it, carries out its steps, and tells its fleet what it saw.

Everything that can be slow about a child happens here, so that it is slow for this child alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from atoll.errors import AtollError, IdentityMismatch, Refused, Terminal, Unreachable
from atoll.fleet.cluster import ClusterRef, ObservedCluster, OperationState, Presence
from atoll.fleet.observed import ChildView, MemberView
from atoll.fleet.plan import ChildStep, StartOperation, VerifyMember
from atoll.kube.kinds import SECRET
from atoll.kube.kubeconfigs import build_public, digest, read_secret, secret_name
from atoll.kube.member import MemberClient
from atoll.ports import Body, Provider

from .child_act import ChildHands
from .context import Context
from .worker import Worker

log: Final = logging.getLogger("atoll.child")

SILENCES: Final = 2
"""Looks in a row that must fail before a child counts as silent: one lost packet is no verdict."""


FIRST_PAUSE_SECONDS: Final = 0.25
FAILURES_LIMIT: Final = 10
"""Pauses after steps that failed double from there."""

SECOND_LOOK_SECONDS: Final = 1.0
"""How soon a silent child is looked at again."""


class ChildWorker(Worker[ChildView]):
    """Looks at one child, carries out its steps, and tells what it saw."""

    what = "child"

    def __init__(
        self,
        context: Context,
        fleet: str,
        name: str,
        *,
        body: Callable[[], Body | None],
        publish: Callable[[str, ChildView], None],
    ) -> None:
        super().__init__(context, fleet, name, body=body, publish=publish)
        self._steps: tuple[ChildStep, ...] = ()
        self._seen: ChildView | None = None
        self._member: MemberClient | None = None
        self._failures = 0
        self._silent = 0
        self._silent_since: datetime | None = None
        self._last: MemberView | None = None
        self._inside: tuple[float, ChildView] | None = None
        """When its own API server was asked last, and what was told."""
        self._hands = ChildHands(context, fleet, name)

    def assign(self, steps: tuple[ChildStep, ...], seen: ChildView | None) -> None:
        """Take the steps that were decided on what was `seen`.

        Steps that were decided on an older look are dropped: something was done since, so the child is looked at
        again, and decided about anew.
        """
        if seen is not None and seen is self._seen:
            self._steps = steps
            self._poke.set()

    async def stop(self) -> None:
        """Stop looking after the child, and let go of it."""
        await super().stop()
        await self._disconnect()

    async def _run(self) -> None:
        while True:
            started = asyncio.get_running_loop().time()
            view = await self._look()
            self._context.metrics.observe_seconds.observe(asyncio.get_running_loop().time() - started)
            self._seen = view
            if view is not None:
                self._publish(self._name, view)
            await self._wait(view)
            self._seen = None
            if self._steps and not await self._carry_out():
                # What failed is decided about again after the next look: soon at first, then less often.
                self._failures = min(self._failures + 1, FAILURES_LIMIT)
                await asyncio.sleep(min(FIRST_PAUSE_SECONDS * 2**self._failures, self._context.settings.resync_seconds))
            else:
                self._failures = 0

    async def _wait(self, view: ChildView | None) -> None:
        settings = self._context.settings
        seconds = settings.resync_seconds
        if view is not None and _is_moving(view.cluster):
            seconds = settings.operation_seconds
        elif self._silent or (view is not None and (_is_unseen(view) or _is_losing(view))):
            seconds = min(settings.resync_seconds, SECOND_LOOK_SECONDS)
        await self._poked_within(seconds)
        self._poke.clear()

    async def _carry_out(self) -> bool:
        """Carry out the steps in order; say whether all went well."""
        steps, self._steps = self._steps, ()
        body = self._body()
        if body is None:
            return True
        well = True
        for step in steps:
            name = type(step).__name__
            if isinstance(step, (StartOperation, VerifyMember)):
                log.info("%s/%s: %s begins: %s", self._fleet, self._name, name, step.reason)
            try:
                await self._hands.act(step, body, self._member)
            except AtollError as error:
                well = False
                self._context.metrics.steps.labels(name, "failed").inc()
                log.warning("%s/%s: %s failed: %s", self._fleet, self._name, name, error)
                if not isinstance(error, Refused):
                    # The child is not as it was seen: the rest of the steps may be wrong by now.
                    break
            else:
                self._context.metrics.steps.labels(name, "done").inc()
                log.info("%s/%s: %s: %s", self._fleet, self._name, name, step.reason)
        return well

    async def _look(self) -> ChildView | None:
        """See what is there now; None: the ChildCluster is gone."""
        body = self._body()
        if body is None:
            return None
        now = self._context.clock.now()
        spec = body["spec"]
        ref = ClusterRef(fleet=self._fleet, name=self._name, id=spec["id"])
        provider = self._context.providers.get(spec.get("provider", ""))
        if provider is None:
            return ChildView(time=now, cluster=ObservedCluster(presence=Presence.UNKNOWN, message="no such provider"))
        cluster = await provider.observe(ref)
        view = ChildView(
            time=now,
            cluster=cluster,
            verification=self._hands.verification,
            borders=self._hands.borders,
            released=self._hands.released,
            findings=self._hands.findings,
            preflight=self._hands.preflight,
            jobs=self._hands.jobs,
        )
        if not _has_server(cluster):
            await self._disconnect()
            return view
        if (inside := self._recall_inside(cluster, provider)) is not None:
            return replace(
                view,
                member=inside.member,
                kubeconfig_digest=inside.kubeconfig_digest,
                published_digest=inside.published_digest,
            )
        view = await self._look_at_secret(view, provider, ref)
        view = await self._look_inside(view, spec.get("clusterUID", ""))
        self._inside = (asyncio.get_running_loop().time(), view)
        return view

    def _recall_inside(self, cluster: ObservedCluster, provider: Provider) -> ChildView | None:
        """Return what its own API server told, while a cloud works for minutes: it is asked as often as at rest."""
        if self._inside is None or not (provider.info().short_logins and _is_moving(cluster)):
            return None
        asked, inside = self._inside
        is_old = asyncio.get_running_loop().time() - asked > self._context.settings.resync_seconds
        return None if is_old or inside.member is None or inside.refused is not None else inside

    async def _look_at_secret(self, view: ChildView, provider: Provider, ref: ClusterRef) -> ChildView:
        """Compare the published kubeconfig with what the provider hands out; connect by the published one."""
        published = ""
        handed, shown = "", ""
        try:
            handed = await provider.kubeconfig(ref)
            shown = build_public(handed) if provider.info().short_logins else handed
            secret = await self._context.store.get(SECRET, self._fleet, secret_name(self._name))
            published = read_secret(secret) if secret is not None else ""
        except AtollError as error:
            log.warning("%s/%s: its kubeconfig: %s", self._fleet, self._name, error)
        view = replace(
            view,
            kubeconfig_digest=digest(shown) if shown else "",
            published_digest=digest(published) if published else "",
        )
        if self._hands.stranger is not None and view.kubeconfig_digest != view.published_digest:
            return replace(view, refused=self._hands.stranger)
        try:
            await self._connect(handed if provider.info().short_logins else published or handed)
        except Terminal as error:
            return replace(view, refused=("CredentialsInvalid", str(error)))
        return view

    async def _connect(self, kubeconfig: str) -> None:
        if not kubeconfig:
            return
        if self._member is None or digest(kubeconfig) != self._member.digest:
            await self._disconnect()
            self._member = self._context.connect(kubeconfig)

    async def _disconnect(self) -> None:
        if self._member is not None:
            await self._member.close()
        self._member, self._last, self._inside = None, None, None

    async def _look_inside(self, view: ChildView, pinned: str) -> ChildView:
        """Ask the child's own API server; a wrong identity is told, and nothing of that server is believed."""
        if self._member is None or view.refused is not None:
            return view
        try:
            member = await self._ask(self._member, pinned)
        except IdentityMismatch as error:
            return replace(view, refused=(error.reason, str(error)))
        except Refused as error:
            self._silent, self._silent_since = 0, None
            return replace(view, refused=("CredentialsInvalid", str(error)))
        except AtollError as error:
            self._silent += 1
            self._silent_since = self._silent_since or view.time
            if self._silent < SILENCES and self._last is not None:
                return replace(view, member=self._last)
            # Who was away may be another when it comes back: its borders are tried anew.
            self._hands.borders = None
            return replace(view, borders=None, unreachable_since=self._silent_since, unreachable_message=str(error))
        self._silent, self._silent_since = 0, None
        self._last = member
        return replace(view, member=member)

    async def _ask(self, client: MemberClient, pinned: str) -> MemberView:
        """Ask who is there, and then for everything, within one time-out: a silent child must show soon."""
        seconds = self._context.settings.observe_seconds
        try:
            async with asyncio.timeout(seconds):
                if pinned:
                    await client.require_identity(pinned)
                return await client.observe(seconds=seconds)
        except TimeoutError:
            raise Unreachable(f"{client.connection.server} did not answer within {seconds:g} s") from None


def _is_moving(cluster: ObservedCluster) -> bool:
    return cluster.operation is not None and cluster.operation.state is OperationState.RUNNING


def _is_unseen(view: ChildView) -> bool:
    return view.member is None and _has_server(view.cluster)


def _is_losing(view: ChildView) -> bool:
    """Say whether something of ours is being deleted there: somebody waits for its end."""
    objects = view.member.objects.values() if view.member is not None else ()
    return any(body["metadata"].get("deletionTimestamp") for body in objects)


def _has_server(cluster: ObservedCluster) -> bool:
    return cluster.presence is Presence.PRESENT and bool(cluster.endpoint)
