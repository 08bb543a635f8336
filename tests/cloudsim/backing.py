"""What stands behind a "managed cluster": nothing but an address, or a real control plane (`planes.PlaneBacking`).

A cloud tells its backing what to begin, change and end, each returning at once, and looks at `is_settled` and
`endpoint` when it is asked how far things are. A real plane asks the cloud about each bearer token by webhook:
`POST <webhook><key>` with a TokenReview, which the stand-in answers beside its API, without faults.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from atoll.planes import pki

WEBHOOK_PATH: Final = "/_token-review/"
FIRST_PORT: Final = 61000
"""Above the ports that systems give to connections, so that nobody answers by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who shows a token, as the cluster knows them."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


Authenticate = Callable[[str, str], Person | None]
"""Key of a cluster and a token: who is it?"""


class Backing(Protocol):
    """Runs what the cloud's clusters are made of. `key` names one for life; all methods return at once."""

    def open(self, webhook_url: str, ca_pem: str) -> None:
        """Learn where tokens are asked about: the URL ends where a key begins. The cloud is served from now on."""
        ...

    def begin(self, key: str, version: str) -> None:
        """Begin to make a cluster of a minor version (`1.36`); made already: nothing."""
        ...

    def endpoint(self, key: str) -> tuple[str, str] | None:
        """Return URL and authority (PEM) once it answers."""
        ...

    def change(self, key: str, version: str) -> None:
        """Begin to bring it to another minor version."""
        ...

    def end(self, key: str) -> None:
        """Begin to remove it; not there: nothing."""
        ...

    def is_settled(self, key: str) -> bool:
        """Say whether no work on it is under way, nor waits; true of what is not there."""
        ...

    def failure(self, key: str) -> str:
        """Say what stopped the latest work on it; empty when nothing did."""
        ...

    def close(self) -> None:
        """Remove everything, and wait for it."""
        ...


class LightBacking:
    """No process: an address where nobody listens, and a real authority that all clusters share.

    `endpoints` gives other addresses: key → URL and authority.
    """

    def __init__(self, endpoints: Callable[[str], tuple[str, str]] | None = None) -> None:
        authority = pki.issue_authority("light clusters", datetime.now(UTC))
        self._ca_pem = pki.certificate_pem(authority.certificate).decode()
        self._numbers = itertools.count(FIRST_PORT)
        self._endpoints = endpoints or self._make_up
        self._found: dict[str, tuple[str, str]] = {}
        self.versions: dict[str, str] = {}
        """What runs: key → minor version."""

    def open(self, webhook_url: str, ca_pem: str) -> None:
        """Do nothing: nobody asks about tokens."""

    def begin(self, key: str, version: str) -> None:
        """Give it an address."""
        if key not in self._found:
            self._found[key] = self._endpoints(key)
            self.versions[key] = version

    def endpoint(self, key: str) -> tuple[str, str] | None:
        """Return the address."""
        return self._found.get(key)

    def change(self, key: str, version: str) -> None:
        """Note the version."""
        self.versions[key] = version

    def end(self, key: str) -> None:
        """Forget it."""
        self._found.pop(key, None)
        self.versions.pop(key, None)

    def is_settled(self, key: str) -> bool:
        """Nothing takes time."""
        return True

    def failure(self, key: str) -> str:
        """Nothing fails."""
        return ""

    def close(self) -> None:
        """Nothing is left."""

    def _make_up(self, _: str) -> tuple[str, str]:
        return f"https://127.0.0.1:{next(self._numbers)}", self._ca_pem


def review_token(key: str, body: bytes, authenticate: Authenticate) -> bytes:
    """Answer a TokenReview (JSON) of the cluster `key`."""
    asked = json.loads(body)
    person = authenticate(key, str((asked.get("spec") or {}).get("token") or ""))
    status: dict[str, object] = {"authenticated": False, "error": "the cloud does not know this token"}
    if person is not None:
        user: dict[str, object] = {"username": person.name, "uid": person.uid, "groups": list(person.groups)}
        if person.extra:
            user["extra"] = {name: list(values) for name, values in person.extra.items()}
        status = {"authenticated": True, "user": user}
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
    return json.dumps(review).encode()
