"""Copies of files to a host: compared first, whole or not at all, and resumed after a cut.

Bytes go over a channel of their own on the host's one connection, into `cat`: SFTP would run as the login user, also
where everything of ours runs by sudo.
"""

from __future__ import annotations

import asyncio
import hashlib
import shlex
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from atoll.errors import BadInput, Refused, Unreachable

from .clean import decode_text
from .command import Result
from .session import Shell
from .ssh import Channel, Ended, Link

CHUNK_BYTES: Final = 1024 * 1024
STALL_SECONDS: Final = 60.0
"""Without a byte taken, or without the sum of what was sent, a copy is given up."""
SUM_SECONDS: Final = 300.0
"""For the host to read a file of some gigabytes."""
ATTEMPTS: Final = 4


class WithShell(Protocol):
    """Lends a shell of the host."""

    async def __call__(self, use: Callable[[Shell], Awaitable[Result]]) -> Result:
        """Call `use` with it."""
        ...


class Digests:
    """SHA-256 sums of local files, read once while a file stays as it is: many hosts get the same files."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int, int, int], asyncio.Task[str]] = {}

    async def of(self, path: Path) -> tuple[str, int]:
        """Return the sum and the size; BadInput when the file cannot be read."""
        try:
            stat = await asyncio.to_thread(path.stat)
            key = (str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if key not in self._sums or self._sums[key].cancelled():
                self._sums[key] = asyncio.create_task(asyncio.to_thread(_sum, path))
            return await asyncio.shield(self._sums[key]), stat.st_size
        except OSError as error:
            raise BadInput(f"{path} cannot be read to be copied to a host: {error.strerror}") from error


class Copier:
    """Copies files to hosts; one per host, with the sums shared by all."""

    def __init__(self, digests: Digests) -> None:
        self._digests = digests
        self._one = asyncio.Lock()

    async def put(self, link: Link, with_shell: WithShell, local: str, remote: str, mode: int) -> None:
        """Copy unless it is there. Unreachable for a host that is gone, Refused for one that does not store it."""
        async with self._one:
            digest, size = await self._digests.of(Path(local))
            words = _names(remote, mode, digest, size)
            async for attempt in AsyncRetrying(
                stop=stop_after_attempt(ATTEMPTS),
                wait=wait_random_exponential(multiplier=0.2, max=5.0),
                retry=retry_if_exception_type(Unreachable),
                reraise=True,
            ):
                with attempt:
                    found = await with_shell(lambda shell: shell.script(f"{words}\n{_FIND}", SUM_SECONDS))
                    word, _, offset = found.out.strip().partition(" ")
                    if word == "part":
                        await self._send(link, Path(local), f"{words} O={int(offset)}\n{_STORE}", int(offset))
                    elif word != "same":
                        raise Refused(f"host {link.name} cannot look at {remote}: {(found.err or found.out)[-300:]}")

    async def _send(self, link: Link, local: Path, script: str, offset: int) -> None:
        channel = await link.open(f"exec {link.shell} -c {shlex.quote(script)}")
        try:
            cut = await _pour(channel, local, offset)
            async with asyncio.timeout(SUM_SECONDS):
                answer = decode_text(await channel.read_out()).strip()
                said = decode_text(await channel.read_err()).strip()
        except TimeoutError as error:
            raise Unreachable(f"host {link.name} takes no more bytes of {local.name}") from error
        finally:
            channel.close()
        if cut is not None and not answer:
            raise cut
        match answer:
            case "stored":
                return
            case "" | "short" | "moved" | "busy" | "differs":
                raise Ended(
                    f"the copy of {local.name} to host {link.name} was cut off ({answer or said or 'no answer'})"
                )
            case _:
                raise Refused(f"host {link.name} does not store {local.name}: {said[-300:]}")


async def _pour(channel: Channel, local: Path, offset: int) -> Ended | None:
    """Send a file from an offset on; returned is how it was cut short, for the host may have said why."""
    try:
        with await asyncio.to_thread(local.open, "rb") as file:
            await asyncio.to_thread(file.seek, offset)
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                channel.send(chunk)
                async with asyncio.timeout(STALL_SECONDS):
                    await channel.sent()
    except Ended as error:
        return error
    channel.send_end()
    return None


def _names(remote: str, mode: int, digest: str, size: int) -> str:
    path = PurePosixPath(remote)
    if not path.is_absolute() or ".." in path.parts or not path.name or "\0" in remote:
        raise BadInput(f"{remote!r} is not a plain absolute path")
    folder, name = shlex.quote(str(path.parent)), shlex.quote(path.name)
    return f"F={folder} N={name} M={mode:04o} W={digest} Z={size}; P=$F/$N; Q=$F/.$N.{digest[:16]}.part"


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_FIND: Final = """\
if [ -f "$P" ] && [ "$(stat -c %s -- "$P")" = "$Z" ]; then
  sum=$(sha256sum < "$P")
  if [ "${sum%% *}" = "$W" ]; then chmod "$M" -- "$P" && echo same; exit; fi
fi
have=$(stat -c %s -- "$Q" 2>/dev/null || echo 0)
if [ "$have" -gt "$Z" ]; then rm -f -- "$Q"; have=0; fi
echo "part $have"
"""

_STORE: Final = """\
umask 022; mkdir -p -- "$F" || { echo no; exit 1; }
umask 077; exec 8>>"$Q" || { echo no; exit 1; }
flock -n 8 || { echo busy; exit 0; }
if [ "$(stat -c %s -- "$Q")" != "$O" ]; then echo moved; exit 0; fi
cat >&8 || { echo no; exit 1; }
if [ "$(stat -c %s -- "$Q")" -lt "$Z" ]; then echo short; exit 0; fi
sum=$(sha256sum < "$Q")
if [ "${sum%% *}" != "$W" ]; then rm -f -- "$Q"; echo differs; exit 0; fi
chmod "$M" -- "$Q" && mv -fT -- "$Q" "$P" || { echo no; exit 1; }
rm -f -- "$F/.$N".*.part
echo stored
"""
"""Under its own name a file appears only when its sum is right."""
