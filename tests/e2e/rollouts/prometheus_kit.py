"""A real Prometheus as a process of the tests, on loopback, and a page that it scrapes and the test writes.

The program is the one in the PATH, or what lies in the project's cache, or else is got into that cache: out of Debian's
or Ubuntu's package (downloaded and unpacked, not installed; needs no root), or built from its Go module, whose sums lie
in `tests/e2e/hosts/rig/modules`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from tests.e2e.hosts.rig.failure import RigFailure
from tests.e2e.hosts.rig.local import run_local
from tests.e2e.hosts.rig.places import find_cache, locked
from tests.e2e.hosts.rig.programs import get_prometheus
from tests.e2e.ssh.sshd_kit import free_port

VERSION: Final = "v3.5.1"
"""Of the Go module, where no package is to be had."""
SCRAPE_SECONDS: Final = 0.5
_READY_SECONDS: Final = 60
_SCRAPED_SECONDS: Final = 30
_UNVERIFIED: Final = ssl._create_unverified_context()
_GENERATION: Final = "page_generation"


def find_prometheus() -> Path:
    """Return the program, got once where it is not there. Raises RigFailure with the remedies where that fails."""
    if found := shutil.which("prometheus"):
        return Path(found)
    cache = find_cache(os.environ)
    packaged, built = (
        cache / "programs" / what / "prometheus" for what in ("prometheus-debian", f"prometheus-{VERSION}")
    )
    if there := next((program for program in (packaged, built) if program.is_file()), None):
        return there
    try:
        return _unpack_package("prometheus", "usr/bin/prometheus", packaged)
    except RigFailure as unpacked:
        try:
            return get_prometheus(cache, VERSION, print)
        except RigFailure as failed:
            raise RigFailure(
                f"there is no Prometheus here. Put one into the PATH, or let apt-get reach its mirror ({unpacked}), "
                f"or install Go and let it reach a module proxy ({failed})"
            ) from failed


@dataclass
class Page:
    """What a program to be measured shows. The test sets it; Prometheus scrapes it."""

    port: int
    series: dict[str, str] = field(default_factory=dict)
    """Name with labels → value; a time in milliseconds since 1970 may follow after a space."""
    status: int = 200
    generation: int = 0

    def render(self) -> bytes:
        """Return the page in the text format of expositions."""
        lines = {**self.series, _GENERATION: str(self.generation)}
        return "".join(f"{name} {value}\n" for name, value in lines.items()).encode()


@contextmanager
def run_page() -> Iterator[Page]:
    """Serve a page from a thread for as long as the block lasts, so that a busy event loop does not silence it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.render() if page.status == 200 else b""
            self.send_response(page.status)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    page = Page(port=server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield page
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@dataclass
class RealPrometheus:
    """One server and the page that it scrapes."""

    url: str
    page: Page
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """The end of what it has said."""
        return (self.folder / "prometheus.log").read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """End the process, if it runs."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)

    def start_again(self) -> None:
        """Start a stopped server: at the same address, with the data that it had."""
        assert self.process.poll() is not None, "it runs still"
        self.process = _start(self.process.args, self.folder)
        _wait_until_ready(self)

    async def show(self, **series: float | str) -> None:
        """Put series on the page and wait until they can be queried."""
        self.page.series.update({name: str(value) for name, value in series.items()})
        await self.scraped()

    async def scraped(self) -> None:
        """Wait until Prometheus has what the page shows now."""
        self.page.generation += 1
        await self.until(_GENERATION, str(self.page.generation))

    async def until(self, query: str, value: str | None) -> None:
        """Wait until a query yields one series with this value, or with None: no series."""
        wanted = [] if value is None else [value]
        end = time.monotonic() + _SCRAPED_SECONDS
        found: list[str] = []
        while time.monotonic() < end:
            found = [series["value"][1] for series in await asyncio.to_thread(self.query, query)]
            if found == wanted:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"{query} yields {found} instead of {wanted} after {_SCRAPED_SECONDS} s: {self.log}")

    def query(self, query: str) -> list[dict[str, Any]]:
        """Return the series that a query yields."""
        form = urllib.parse.urlencode({"query": query}).encode()
        with urllib.request.urlopen(f"{self.url}/api/v1/query", form, timeout=10) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return result


@contextmanager
def run_prometheus(folder: Path, *, web: dict[str, Any] | None = None) -> Iterator[RealPrometheus]:
    """Run a server, and the page that it scrapes, for as long as the block lasts.

    `web` is its web configuration; with `tls_server_config` in it the server speaks https.
    """
    program = find_prometheus()
    folder.mkdir(parents=True, exist_ok=True)
    with run_page() as page:
        port = free_port()
        _write(folder / "prometheus.yml", _build_configuration(page.port))
        argv = [
            str(program),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        if web is not None:
            _write(folder / "web.yml", web)
            argv.append(f"--web.config.file={folder}/web.yml")
        process = _start(argv, folder)
        scheme = "https" if web is not None and "tls_server_config" in web else "http"
        server = RealPrometheus(url=f"{scheme}://127.0.0.1:{port}", page=page, folder=folder, process=process)
        try:
            _wait_until_ready(server)
            yield server
        finally:
            server.stop()


def _start(argv: Any, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "prometheus.log").open("ab") as log:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "GOMAXPROCS": "1"},
        )


def _wait_until_ready(server: RealPrometheus) -> None:
    end = time.monotonic() + _READY_SECONDS
    while time.monotonic() < end:
        assert server.process.poll() is None, f"Prometheus ended at once: {server.log}"
        try:
            # Only whether it is ready; who it is, the tests look at.
            with urllib.request.urlopen(f"{server.url}/-/ready", timeout=5, context=_UNVERIFIED):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"Prometheus is not ready after {_READY_SECONDS} s: {server.log}")


def _build_configuration(port: int) -> dict[str, Any]:
    every = f"{SCRAPE_SECONDS * 1000:.0f}ms"
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "scrape_configs": [{"job_name": "page", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content))


def _unpack_package(package: str, member: str, destination: Path) -> Path:
    """Take a program out of a package of this machine's distribution, without installing anything."""
    with locked(destination.parents[2] / ".locks" / "programs"):
        if not destination.is_file():
            destination.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=".new-", dir=destination.parent) as name:
                scratch = Path(name)
                run_local("dpkg-deb", "-x", _download_package(package, scratch), scratch / "root", seconds=120)
                (scratch / "root" / member).replace(destination)
    return destination


def _download_package(package: str, scratch: Path) -> Path:
    done = run_local("apt-get", "-q", "download", package, seconds=300, cwd=scratch, check=False)
    if done.returncode != 0:
        # The machine has no lists of packages, or old ones. Get some of our own: nothing of the machine is changed.
        (scratch / "lists/partial").mkdir(parents=True)
        own = ("-q", "-o", f"Dir::State::Lists={scratch}/lists", "-o", f"Dir::Cache={scratch}/cache")
        run_local("apt-get", *own, "update", seconds=300, check=False)
        run_local("apt-get", *own, "download", package, seconds=300, cwd=scratch)
    found = next(scratch.glob("*.deb"), None)
    if found is None:
        raise RigFailure(f"apt-get says that it downloaded {package}, and there is no package")
    return found
