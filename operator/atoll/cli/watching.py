"""Looking at rollouts again and again: a picture in a window, a line for each change in a pipe."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group
from rich.live import Live
from rich.text import Text

from atoll.errors import Retryable
from atoll.fleet.names import SET_LABEL
from atoll.kube.kinds import CHILD_CLUSTER, CLUSTER_SET, ROLLOUT
from atoll.kube.store import Store
from atoll.rollout.stored import OVER

from .live import open_store, read_bodies
from .options import Target
from .output import WIDTH, open_console, print_data, print_next
from .rollout_choice import choose_rollout, find_current, find_last, is_rollout_name, read_set_name, read_state
from .watch_model import build_picture, describe_unseen
from .watch_values import Picture
from .watch_view import GREY, Frame, list_commands, list_facts, render_nothing, render_picture
from .why_model import find_body

Body = Mapping[str, Any]

INTERVAL: Final = 1.0
"""Seconds between two looks: an operator writes a rollout's status once a second at most."""
LAST: Final = 5
"""How many rollouts are told of where none is running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was there at one moment."""

    pictures: tuple[Picture, ...]
    """Of rollouts that are watched."""
    last: tuple[Picture, ...] = ()
    """Where none is watched: the newest of the fleet, the last of each set among them."""
    waits_for: str = ""
    """A ClusterSet whose latest change the operator has not looked at yet."""


@dataclass(kw_only=True)
class Watch:
    """One run of `atoll watch`."""

    target: Target
    name: str
    """Empty: all rollouts that run."""
    once: bool
    until_done: bool
    seconds: float | None
    form: str
    options: str
    followed: dict[str, None] = field(default_factory=dict)
    """Names of rollouts that have been seen running: they are shown to their end."""
    look: Look | None = None

    async def run(self) -> int:
        """Watch to the end, or look once; return the exit code."""
        deadline = time.monotonic() + self.seconds if self.seconds is not None else None
        async with open_store(self.target) as store:
            if self.once:
                self.look = await self._read(store)
                self._print_once(self.look)
            elif self.form != "table":
                await self._wait(store, deadline)
            elif open_console().is_terminal:
                await self._show(store, deadline)
            else:
                await self._tell(store, deadline)
        self.say_next()
        return self._exit_code()

    def say_next(self) -> None:
        """Tell which commands to copy next."""
        shown = self.look.pictures or self.look.last[:1] if self.look is not None else ()
        commands = [command for picture in shown[:1] for command in list_commands(picture, self.options)]
        print_next(commands or [f"atoll tree{self.options}"], self.form)

    async def _wait(self, store: Store, deadline: float | None) -> None:
        """Say nothing until the end, and then all."""
        while True:
            _ = await self._try(store)
            if self._is_over(self._known()) or _is_past(deadline):
                self._print_once(self._known())
                return
            await asyncio.sleep(INTERVAL)

    async def _show(self, store: Store, deadline: float | None) -> None:
        """Draw a picture until the end; the last one stays."""
        console = open_console()
        with Live(console=console, auto_refresh=False) as live:
            while True:
                trouble = await self._try(store)
                lines = self._draw(self._known(), self._frame(console.width))
                lines += [Text(trouble, style="red")] if trouble else []
                ends = self._is_over(self._known()) or _is_past(deadline)
                lines += [] if ends else [Text("Ctrl-C leaves; the rollout goes on without you", style=GREY)]
                live.update(Group(*lines), refresh=True)
                if ends:
                    return
                await asyncio.sleep(INTERVAL)

    async def _tell(self, store: Store, deadline: float | None) -> None:
        """Print what changes, a line each, and a picture at the end."""
        said: dict[str, str] = {}
        while True:
            trouble = await self._try(store)
            look, frame = self._known(), self._frame(WIDTH)
            facts = {key: text for key, text in (("trouble", trouble), ("waits", look.waits_for)) if text}
            for picture in look.pictures:
                facts |= list_facts(picture, frame)
            for key, told in facts.items():
                if said.get(key) != told:
                    print(f"{frame.now.astimezone():%H:%M:%S} {told}", flush=True)
            said |= facts
            if self._is_over(look) or _is_past(deadline):
                if said:
                    print()
                self._print_once(look)
                return
            await asyncio.sleep(INTERVAL)

    async def _read(self, store: Store) -> Look:
        bodies = await read_bodies(store, self.target.namespace, (ROLLOUT, CLUSTER_SET))
        chosen = self._choose(bodies)
        names = sorted({read_set_name(body) for body in chosen})
        if names:
            labels = f"{SET_LABEL} in ({','.join(names)})"
            bodies += await store.list(CHILD_CLUSTER, self.target.namespace, labels)
        pictures = tuple(build_picture(body, bodies) for body in chosen)
        self.followed |= {item.name: None for item in pictures}
        last = () if pictures else _list_last(bodies)
        self.look = Look(pictures=pictures, last=last, waits_for=self._find_unseen(bodies))
        return self.look

    async def _try(self, store: Store) -> str:
        """Look again; where that fails keep what was seen before and return what to say. The first look must not."""
        try:
            await self._read(store)
        except Retryable as error:
            if self.look is None:
                raise
            return f"the management cluster does not answer, so this may be old: {error}"
        return ""

    def _known(self) -> Look:
        assert self.look is not None, "the first look either came or raised"
        return self.look

    def _choose(self, bodies: Sequence[Body]) -> list[Body]:
        """Choose the rollouts to show: the one that is meant, or all that run or were seen running."""
        if self.name:
            named = self.name.rpartition("/")[2]
            cluster_set = find_body(bodies, "ClusterSet", named) if not is_rollout_name(self.name, bodies) else None
            if cluster_set is not None and find_current(cluster_set, bodies) is None:
                return []
            return [choose_rollout(self.name, bodies, self.target.namespace)]
        running = [
            body
            for body in bodies
            if body["kind"] == "Rollout" and (read_state(body) not in OVER or body["metadata"]["name"] in self.followed)
        ]
        return sorted(running, key=lambda body: (read_state(body) in OVER, str(body["metadata"]["name"])))

    def _find_unseen(self, bodies: Sequence[Body]) -> str:
        """Say which set's rollout may still be about to begin; empty when none is, or one rollout was named."""
        if self.name and is_rollout_name(self.name, bodies):
            return ""
        wanted = {self.name.rpartition("/")[2]} if self.name else None
        for body in bodies:
            name = body["metadata"]["name"]
            if body["kind"] != "ClusterSet" or (wanted is not None and name not in wanted):
                continue
            if told := describe_unseen(body, find_last(name, bodies)):
                return told
        return ""

    def _is_over(self, look: Look) -> bool:
        return not look.waits_for and all(item.is_over for item in look.pictures)

    def _exit_code(self) -> int:
        look = self._known()
        if not self._is_over(look) and not self.once:
            print(f"error: not done within {self.seconds:g} s", file=sys.stderr)
            return 1
        if not self.until_done:
            return 0
        ends = look.pictures or tuple(item for item in look.last if item.is_last)
        return 0 if all(item.state == "Done" for item in ends) else 1

    def _frame(self, width: int) -> Frame:
        now = datetime.now(UTC)
        zone = now.astimezone().tzinfo
        return Frame(now=now, zone=zone or UTC, width=width, options=self.options)

    def _draw(self, look: Look, frame: Frame) -> list[Text]:
        lines: list[Text] = []
        for picture in look.pictures:
            lines += [Text()] if lines else []
            lines += render_picture(picture, frame)
        if not look.pictures:
            lines += render_nothing(self.target.namespace, look.last, frame)
        return [*lines, *([Text(look.waits_for)] if look.waits_for else [])]

    def _print_once(self, look: Look) -> None:
        if self.form != "table":
            now = datetime.now(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
            document = {
                "namespace": self.target.namespace,
                "time": now,
                "rollouts": [item.to_json() for item in look.pictures],
                "last": [item.to_json() for item in look.last],
            }
            print_data(document, self.form)
            return
        console = open_console()
        for line in self._draw(look, self._frame(console.width)):
            console.print(line)


def _list_last(bodies: Sequence[Body]) -> tuple[Picture, ...]:
    """List the newest rollouts; the last of each set is among them, however old it is."""
    found = [body for body in bodies if body["kind"] == "Rollout"]
    found.sort(key=lambda body: str(body["metadata"].get("creationTimestamp", "")), reverse=True)
    lasts = {body["metadata"]["name"] for name in {read_set_name(b) for b in found} if (body := find_last(name, found))}
    shown = [body for index, body in enumerate(found) if index < LAST or body["metadata"]["name"] in lasts]
    return tuple(build_picture(body, bodies) for body in shown)


def _is_past(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline
