"""Persistent shells on a host, over which facts, commands and short scripts go: one round trip each.

A shell reads its own standard input; what it runs never does. Each answer ends on both streams with a random word that
what runs cannot know. A command's output is bounded by `tail` on the host: whatever a program prints, no more than the
limit is kept there or sent, the end of it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final

from atoll.errors import LoginRefused, Unreachable

from .clean import decode_text
from .command import OUTPUT_LIMIT_BYTES, Command, Result
from .render import CODE_KILLED, CODE_TIMED_OUT, KILL_AFTER_SECONDS, SETTINGS, render_command
from .ssh import READ_BYTES, Channel, Ended

SLACK_SECONDS: Final = 10.0
"""Beyond a command's own budget before its shell is given up."""
SCRIPT_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""More than any answer of a script of ours."""


class Hung(Unreachable):
    """A shell gave no answer in time. Whether its host is gone, a new shell will tell."""


class Shell:
    """One shell; one command at a time. Broken for ever after anything but an answer."""

    def __init__(self, channel: Channel, host: str) -> None:
        self._channel = channel
        self._host = host
        self._clean = True
        self._out = bytearray()
        self._err = bytearray()

    @property
    def usable(self) -> bool:
        """Whether the next command may be sent."""
        return self._clean and not self._channel.closed

    def close(self) -> None:
        """End the shell."""
        self._clean = False
        self._channel.close()

    async def greet(self, seconds: float) -> None:
        """Set the shell up; whatever the login printed before is dropped. LoginRefused when no shell comes."""
        try:
            await self._frame(f"exec 3>&1 4>&2; {SETTINGS}:", seconds, SCRIPT_LIMIT_BYTES)
        except Ended as error:
            code = await self._channel.code()
            if code is None or code < 0:
                raise
            said = decode_text(bytes(self._err))[-300:].strip()
            raise LoginRefused(f"host {self._host} starts no shell for us: {said or 'it ends at once'}") from error

    async def run(self, command: Command) -> Result:
        """Run a command within its time budget. Raises Unreachable for a cut connection."""
        limit = OUTPUT_LIMIT_BYTES
        keep = f"tail -c {limit + 1}"
        closed = "3>&- 4>&- 5>&- 6>&-"
        measured = f"{{ {{ {render_command(command)}\n}} {closed}; echo $? >&5; }}"
        text = f"code=$(exec 5>&1\n{{ {measured} 2>&1 >&6 6>&- | {keep} >&4; }} 6>&1 | {keep} >&3\n)"
        began = time.monotonic()
        code, out, err = await self._frame(text, command.seconds + KILL_AFTER_SECONDS + SLACK_SECONDS, 2 * limit)
        took = time.monotonic() - began
        return Result(
            code=code,
            out=decode_text(out[-limit:]),
            err=decode_text(err[-limit:]),
            truncated=len(out) > limit or len(err) > limit,
            timed_out=code in (CODE_TIMED_OUT, CODE_KILLED) and took >= command.seconds,
        )

    async def script(self, text: str, seconds: float) -> Result:
        """Run a script of ours, which keeps its own time and prints little, in a shell of its own."""
        code, out, err = await self._frame(f"(\n{text}\n) </dev/null; code=$?", seconds, SCRIPT_LIMIT_BYTES)
        return Result(code=code, out=decode_text(out), err=decode_text(err))

    async def _frame(self, text: str, seconds: float, limit: int) -> tuple[int, bytes, bytes]:
        """Send shell text that leaves `code`, and return that and both streams."""
        nonce = secrets.token_hex(16)
        self._clean = False
        self._out.clear()
        self._err.clear()
        ending = f"\nprintf '\\n%s %s\\n' {nonce} \"${{code:-0}}\"; printf '\\n%s\\n' {nonce} >&2\n"
        try:
            async with asyncio.timeout(seconds):
                self._channel.send(text.encode() + ending.encode())
                out, rest = await self._until(self._out, self._channel.read_out, f"\n{nonce} ".encode(), limit)
                ended, _ = await self._until(rest, self._channel.read_out, b"\n", limit)
                err, _ = await self._until(self._err, self._channel.read_err, f"\n{nonce}\n".encode(), limit)
        except TimeoutError:
            self.close()
            raise Hung(f"host {self._host}: nothing came back within {seconds:g} s") from None
        except BaseException:
            self.close()
            raise
        self._clean = True
        return int(ended), out, err

    async def _until(
        self, kept: bytearray, read: Callable[[], Awaitable[bytes]], mark: bytes, limit: int
    ) -> tuple[bytes, bytearray]:
        """Read until `mark`; return what stands before it and what has come behind it."""
        searched = 0
        while True:
            at = kept.find(mark, searched)
            if at >= 0:
                return bytes(kept[:at]), kept[at + len(mark) :]
            searched = max(0, len(kept) - len(mark))
            if len(kept) > limit + len(mark) + READ_BYTES:
                raise Unreachable(f"host {self._host} sends more than it was asked for; its shell is given up")
            data = await read()
            if not data:
                raise Ended(f"the shell on host {self._host} ended")
            kept += data
