"""Connections by SSH: one per host, to the pinned key or to nobody. The only module that knows asyncssh.

Nothing of the machine that the operator runs on is used: no configuration files, no known hosts, no agent, no keys of
the user, no host certificates. The server may only show a key of the pinned key's algorithm, and must prove that it is
that one, before the login begins.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import asyncssh
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from atoll.errors import BadInput, HostKeyMismatch, LoginRefused, Unreachable

from .access import HostAccess, Jump
from .clean import clean_text

READ_BYTES: Final = 64 * 1024


class Ended(Unreachable):
    """What we talked to on a host was there and is not any more: the connection was cut, or somebody ended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a connection may take, and when a silent one is given up."""

    connect_seconds: float = 10.0
    """For TCP, keys and login together, per try."""
    attempts: int = 3
    keepalive_seconds: float = 5.0
    keepalive_count: int = 3
    """A host that is silent for the product of both is cut off."""


class Keyring:
    """Login keys by their text: parsing an RSA key costs more than a whole login with it."""

    def __init__(self) -> None:
        self._keys: dict[str, asyncssh.SSHKey] = {}

    def load(self, text: str) -> asyncssh.SSHKey:
        """Return the key; BadInput when it cannot be read."""
        key = self._keys.get(text)
        if key is None:
            try:
                key = asyncssh.import_private_key(text)
            except (ValueError, asyncssh.Error) as error:
                # The library's words are left out: they could quote the key.
                raise BadInput(
                    f"the login key cannot be read ({type(error).__name__}): give an OpenSSH or PEM private key "
                    "without a passphrase",
                    field="spec.ssh.keySecretRef",
                ) from None
            self._keys[text] = key
        return key


def fingerprint(public_key: str) -> str:
    """Return the SHA-256 fingerprint of a public key in OpenSSH's form; BadInput when it is none."""
    return _import_host_key(public_key, "it").get_fingerprint()


class Channel:
    """Standard streams of one program on the far side."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes], host: str) -> None:
        self._process = process
        self._host = host

    def send(self, data: bytes) -> None:
        """Queue bytes for standard input."""
        try:
            self._process.stdin.write(data)
        except OSError as error:
            raise _cut(self._host, error) from error

    async def sent(self) -> None:
        """Wait until the queue is short again."""
        try:
            await self._process.stdin.drain()
        except (OSError, asyncssh.Error) as error:
            raise _cut(self._host, error) from error

    def send_end(self) -> None:
        """Say that no more will be sent."""
        with suppress(OSError):
            self._process.stdin.write_eof()

    async def read_out(self) -> bytes:
        """Return what has come on standard output; nothing at its end."""
        return await self._read(self._process.stdout)

    async def read_err(self) -> bytes:
        """Return what has come on standard error; nothing at its end."""
        return await self._read(self._process.stderr)

    async def _read(self, reader: asyncssh.SSHReader[bytes]) -> bytes:
        try:
            return await reader.read(READ_BYTES)
        except (OSError, asyncssh.Error) as error:
            raise _cut(self._host, error) from error

    async def code(self) -> int | None:
        """Return the exit code of the program; None when it has none because the connection was cut."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._process.wait_closed()
        return self._process.exit_status

    @property
    def closed(self) -> bool:
        """Whether the program has ended or the connection is gone."""
        return self._process.is_closing() or self._process.stdout.at_eof()

    def close(self) -> None:
        """Let go of the program; it finds its input ended."""
        self._process.close()


class Link:
    """The one connection to a host: made when needed, made again after a cut."""

    def __init__(
        self, access: HostAccess, keyring: Keyring, gate: asyncio.Semaphore, patience: Patience | None = None
    ) -> None:
        self._access = access
        self._keyring = keyring
        self._gate = gate
        self._patience = patience or Patience()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._jump: asyncssh.SSHClientConnection | None = None
        self._connecting: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self.handshakes = 0
        """How many connections were made; for tests and measurements."""

    @property
    def name(self) -> str:
        """Name of the host."""
        return self._access.name

    @property
    def shell(self) -> str:
        """The program that reads our scripts as root."""
        return "sudo -n /bin/sh" if self._access.sudo else "/bin/sh"

    @property
    def connected(self) -> bool:
        """Whether there is a connection that is not known to be cut."""
        return self._connection is not None and not self._connection.is_closed()

    async def open(self, command: str) -> Channel:
        """Start a program on the host; Unreachable, HostKeyMismatch, LoginRefused or BadInput when that fails."""
        connection = await self._connect()
        try:
            async with asyncio.timeout(self._patience.connect_seconds):
                process = await connection.create_process(command, encoding=None, request_pty=False)
        except TimeoutError as error:
            await self.close()
            raise Unreachable(
                f"host {self.name} did not start a program in time; the connection is made anew"
            ) from error
        except asyncssh.ChannelOpenError as error:
            raise Unreachable(f"host {self.name} opens no further session: {_words(error)}") from error
        except (OSError, asyncssh.Error) as error:
            raise _cut(self.name, error) from error
        return Channel(process, self.name)

    async def close(self) -> None:
        """Cut the connection, and the one to the jump host."""
        if self._connecting is not None:
            self._connecting.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._connecting
            self._connecting = None
        for connection in (self._connection, self._jump):
            if connection is not None:
                connection.abort()
                with suppress(OSError, asyncssh.Error, TimeoutError):
                    await asyncio.wait_for(connection.wait_closed(), 1.0)
        self._connection = self._jump = None

    async def _connect(self) -> asyncssh.SSHClientConnection:
        """Return the connection; who comes while it is being made shares the attempt and its outcome."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._retry(), name=f"connect to {self.name}")
            self._connecting.add_done_callback(self._connected)
        return await asyncio.shield(self._connecting)

    def _connected(self, task: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
        if self._connecting is task:
            self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._connection = task.result()

    async def _retry(self) -> asyncssh.SSHClientConnection:
        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(self._patience.attempts),
            wait=wait_random_exponential(multiplier=0.2, max=2.0),
            retry=retry_if_exception_type(Unreachable),
            reraise=True,
        ):
            with attempt:
                async with self._gate:
                    return await self._reach()
        raise AssertionError("tenacity always ends with a result or an error")

    async def _reach(self) -> asyncssh.SSHClientConnection:
        access, jump = self._access, self._access.jump
        key = self._keyring.load(access.private_key)
        if jump is not None and (self._jump is None or self._jump.is_closed()):
            self._jump = await self._login(_Target.of_jump(access, jump), key, None)
        connection = await self._login(_Target.of_host(access), key, self._jump)
        self.handshakes += 1
        return connection

    async def _login(
        self, target: _Target, key: asyncssh.SSHKey, tunnel: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        pinned = _import_host_key(target.host_key, target.what)
        witness = _Witness()
        try:
            async with asyncio.timeout(self._patience.connect_seconds):
                return await asyncssh.connect(
                    target.address,
                    target.port,
                    tunnel=tunnel,
                    config=None,
                    client_factory=lambda: witness,
                    username=target.user,
                    client_keys=[key],
                    known_hosts=([pinned], [], []),
                    x509_trusted_certs=None,
                    agent_path=None,
                    pkcs11_provider=None,
                    gss_host=None,
                    preferred_auth="publickey",
                    password_auth=False,
                    kbdint_auth=False,
                    host_based_auth=False,
                    disable_trivial_auth=True,
                    compression_algs=None,
                    server_host_keys_handler=None,
                    login_timeout=self._patience.connect_seconds,
                    keepalive_interval=self._patience.keepalive_seconds,
                    keepalive_count_max=self._patience.keepalive_count,
                )
        except asyncssh.HostKeyNotVerifiable as error:
            raise _mismatch(target, pinned, witness.answered) from error
        except (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionResetError) as error:
            # A server without a key of the pinned algorithm says so, or hangs up; its word may be lost in a reset.
            answered = await self._ask_key(target, tunnel)
            if answered is not None and answered != pinned:
                raise _mismatch(target, pinned, answered) from error
            raise Unreachable(f"{target.where} cannot be reached: {_words(error)}") from error
        except asyncssh.PermissionDenied as error:
            raise LoginRefused(
                f"{target.what} does not let user {target.user} in with the pool's login key: "
                f"add its public key to that user's authorized_keys, or correct spec.ssh.user or spec.ssh.keySecretRef"
            ) from error
        except TimeoutError as error:
            seconds = f"{self._patience.connect_seconds:g} s"
            raise Unreachable(f"{target.where} did not complete a login within {seconds}") from error
        except (OSError, asyncssh.Error) as error:
            raise Unreachable(f"{target.where} cannot be reached: {_words(error)}") from error

    async def _ask_key(self, target: _Target, tunnel: asyncssh.SSHClientConnection | None) -> asyncssh.SSHKey | None:
        """Return the host key that a server shows when it may choose; no login is tried."""
        try:
            async with asyncio.timeout(self._patience.connect_seconds):
                return await asyncssh.get_server_host_key(target.address, target.port, tunnel=tunnel, config=None)
        except (OSError, asyncssh.Error):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    what: str
    address: str
    port: int
    user: str
    host_key: str

    @property
    def where(self) -> str:
        return f"{self.what} ({self.address}:{self.port})"

    @staticmethod
    def of_host(access: HostAccess) -> _Target:
        what = f"host {access.name}"
        return _Target(what=what, address=access.address, port=access.port, user=access.user, host_key=access.host_key)

    @staticmethod
    def of_jump(access: HostAccess, jump: Jump) -> _Target:
        what = f"jump host of {access.name}"
        return _Target(what=what, address=jump.address, port=jump.port, user=jump.user, host_key=jump.host_key)


class _Witness(asyncssh.SSHClient):
    """Remembers which key was shown, and trusts none but the pinned one."""

    answered: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.answered = key
        return False


def _import_host_key(text: str, what: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_public_key(text)
    except (ValueError, asyncssh.Error):
        raise BadInput(
            f"the pinned host key of {what} is no public key: write it like `ssh-ed25519 AAAA…`, as in "
            "/etc/ssh/ssh_host_ed25519_key.pub on the host",
            field="spec.hosts[].hostKey",
        ) from None


def _mismatch(target: _Target, pinned: asyncssh.SSHKey, answered: asyncssh.SSHKey | None) -> HostKeyMismatch:
    if answered is None:
        shown, answer = "", "answered with a host key that cannot be read"
    else:
        shown = answered.get_fingerprint()
        answer = f"answered with {answered.get_algorithm()} host key {shown}"
    return HostKeyMismatch(
        f"{target.where} {answer}; pinned is {pinned.get_algorithm()} {pinned.get_fingerprint()}. No login was tried. "
        "If the machine was set up anew, check its key on its console and pin it",
        answered=shown,
        pinned=pinned.get_fingerprint(),
    )


def _cut(host: str, error: Exception) -> Ended:
    return Ended(f"the connection to host {host} was cut: {_words(error)}")


def _words(error: Exception) -> str:
    return clean_text(str(error))[:300] or type(error).__name__
