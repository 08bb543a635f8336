"""A real TLS server on loopback that serves releases well or badly, as told."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Manner(Enum):
    """How an answer is given."""

    WHOLE = auto()
    TRUNCATED = auto()
    """Says how much will come, sends half of it, closes politely."""
    CUT = auto()
    """Sends half and resets the connection."""
    GARBLED = auto()
    """Sends half and then bytes that are not TLS."""
    SILENT = auto()
    """Sends half and then nothing more."""
    TRICKLE = auto()
    """Never silent for long, and never done."""
    MUTE = auto()
    """Accepts the request and never answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    body: bytes = b""
    status: int = 200
    location: str = ""
    manner: Manner = Manner.WHOLE


@dataclass(slots=True, kw_only=True)
class ReleaseServer:
    url: str
    trust: ssl.SSLContext
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def serve(self, path: str, *answers: Answer) -> None:
        """Give these answers at `path` one after the other, then the last again and again."""
        self.answers[path] = list(answers)

    def next_answer(self, path: str) -> Answer:
        self.requests.append(path)
        waiting = self.answers.get(path, [Answer(status=404)])
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


@contextmanager
def running_server(folder: Path) -> Iterator[ReleaseServer]:
    certificate, key = _make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = _Listener(("127.0.0.1", 0), _Handler)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    served = ReleaseServer(
        url=f"https://127.0.0.1:{listener.server_address[1]}", trust=ssl.create_default_context(cafile=str(certificate))
    )
    listener.served = served
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        served.closing.set()
        listener.shutdown()
        thread.join()
        listener.server_close()


class _Listener(ThreadingHTTPServer):
    served: ReleaseServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: clients that go away in the middle are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_GET(self) -> None:
        answer = self.server.served.next_answer(self.path)
        if answer.manner is Manner.MUTE:
            self.server.served.closing.wait(10)
            return
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.location:
            self.send_header("Location", answer.location)
        self.end_headers()
        if answer.manner is Manner.WHOLE:
            self.wfile.write(answer.body)
            return
        self.wfile.write(answer.body[: len(answer.body) // 2])
        self.wfile.flush()
        match answer.manner:
            case Manner.CUT:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                socket.socket(fileno=self.connection.detach()).close()
            case Manner.GARBLED:
                with socket.socket(fileno=self.connection.detach()) as raw:
                    raw.sendall(b"this is not TLS" * 99)
                    raw.shutdown(socket.SHUT_WR)
                    self.server.served.closing.wait(10)
            case Manner.SILENT:
                self.server.served.closing.wait(10)
            case Manner.TRICKLE:
                while not self.server.served.closing.wait(0.02):
                    self.wfile.write(b"#")
                    self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def _make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "releases.test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "server.crt", folder / "server.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
