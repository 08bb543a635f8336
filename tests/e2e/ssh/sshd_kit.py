"""A real sshd as a process of the tests: own port on loopback, own keys, own log. The machine's own is not touched."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh

from atoll.hosts.access import HostAccess
from atoll.hosts.journal import Places

SSHD = "/usr/sbin/sshd"


def find_sshd() -> str:
    """Return why there is no sshd to be had; nothing when there is one. As root with apt it is installed."""
    if os.geteuid() != 0:
        return "sshd in these tests needs root"
    if not Path(SSHD).exists() and shutil.which("apt-get"):
        # Its service must not start here: no other server than ours, on loopback, belongs to a test.
        policy = Path("/usr/sbin/policy-rc.d")
        ours = not policy.exists()
        if ours:
            policy.write_text("#!/bin/sh\nexit 101\n")
            policy.chmod(0o755)
        try:
            for words in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", "openssh-server")):
                subprocess.run(
                    ["apt-get", "-o", "DPkg::Lock::Timeout=300", *words],
                    env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                    check=False,
                    capture_output=True,
                    timeout=600,
                )
        finally:
            if ours:
                policy.unlink(missing_ok=True)
    return "" if Path(SSHD).exists() else "there is no sshd here, and openssh-server could not be installed"


@dataclass
class Sshd:
    """One server in one folder. Several may share a machine, each is a host for the tests."""

    folder: Path
    port: int
    login_key: str
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """All that it has logged, at level DEBUG1."""
        return (self.folder / "sshd.log").read_text(errors="replace")

    @property
    def host_key(self) -> str:
        """Its public host key, as people pin it."""
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    @property
    def places(self) -> Places:
        """Where this host keeps what is otherwise below /var/lib and /run."""
        return Places(state=str(self.folder / "lib/atoll"), run=str(self.folder / "run/atoll"))

    @property
    def access(self) -> HostAccess:
        """How to reach it."""
        return HostAccess(
            name=f"pool--{self.folder.name}",
            address="127.0.0.1",
            port=self.port,
            host_key=self.host_key,
            private_key=self.login_key,
        )

    def with_host_key(self, key: str) -> HostAccess:
        """Return an access that pins another key."""
        return replace(self.access, host_key=key)

    def new_host_key(self, algorithm: str = "ed25519") -> None:
        """Give the server another host key; it counts from its next start."""
        for name in ("host_key", "host_key.pub"):
            (self.folder / name).unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", algorithm, "-N", "", "-f", str(self.folder / "host_key")], check=True)

    def start(self) -> None:
        """Start it and wait until it listens."""
        (self.folder / "config").write_text(
            "\n".join(
                (
                    f"Port {self.port}",
                    "ListenAddress 127.0.0.1",
                    f"HostKey {self.folder}/host_key",
                    f"AuthorizedKeysFile {self.folder}/authorized_keys",
                    "PidFile none",
                    "UsePAM no",
                    "StrictModes no",
                    "PasswordAuthentication no",
                    "KbdInteractiveAuthentication no",
                    "PermitRootLogin prohibit-password",
                    "MaxStartups 200",
                    "LogLevel DEBUG1",
                    *self.options,
                    "",
                )
            )
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.process = subprocess.Popen(
            [SSHD, "-D", "-f", str(self.folder / "config"), "-E", str(self.folder / "sshd.log")],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, self.log
            time.sleep(0.02)
        raise AssertionError(f"sshd did not listen: {self.log}")

    def sessions(self) -> list[int]:
        """Return the processes that serve a connection each: children of ours."""
        assert self.process is not None
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(word) for word in found.split()]

    def cut(self) -> int:
        """Cut all connections, as a broken network does once noticed; the programs on the host are not told."""
        sessions = self.sessions()
        for pid in sessions:
            for child in (*_children(pid), pid):
                with suppress(FileNotFoundError, ProcessLookupError):
                    if b"sshd" in Path(f"/proc/{child}/comm").read_bytes():
                        os.kill(child, signal.SIGKILL)
        return len(sessions)

    def stop(self) -> None:
        """End it and its connections."""
        if self.process is not None:
            if self.process.poll() is None:
                self.cut()
                self.process.terminate()
            self.process.wait(10)
            self.process = None


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def run_sshd(folder: Path, *options: str) -> Iterator[Sshd]:
    """Run a server in `folder` for as long as the block lasts."""
    folder.mkdir(parents=True)
    login = asyncssh.generate_private_key("ssh-ed25519")
    (folder / "authorized_keys").write_text(login.export_public_key().decode())
    server = Sshd(folder=folder, port=free_port(), login_key=login.export_private_key().decode(), options=options)
    server.new_host_key()
    server.start()
    try:
        yield server
    finally:
        server.stop()
