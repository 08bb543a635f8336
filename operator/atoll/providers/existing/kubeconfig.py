"""From a kubeconfig that somebody wrote to the one that Atoll uses and publishes: checked, and nothing else in it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from atoll.kube.connect import Connection, Entries, read_entries
from atoll.kube.credentials import TlsContexts
from atoll.planes.kubeconfig import render_kubeconfig

_CLUSTER_FIELDS: Final = ("certificate-authority-data", "tls-server-name")
_USER_FIELDS: Final = ("client-certificate-data", "client-key-data", "token")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedKubeconfig:
    """A kubeconfig that may be used."""

    text: str = field(repr=False)
    """Secret. One cluster, one user, one context."""
    server: str
    certificates_expire_time: datetime | None
    """Of the client certificate; None: it logs in with a token."""


def check_kubeconfig(text: str, name: str, *, contexts: TlsContexts | None = None) -> CheckedKubeconfig:
    """Check a kubeconfig, and keep of it what its current context uses; raises BadInput naming the field.

    `name`: what the context of the result is called.
    """
    connection = Connection.from_kubeconfig(text, contexts=contexts)
    entries = read_entries(text)
    return CheckedKubeconfig(
        text=render_kubeconfig(
            name, {"server": connection.server, **_keep(entries.cluster, _CLUSTER_FIELDS)}, _keep_login(entries)
        ),
        server=connection.server,
        certificates_expire_time=_read_expiry(str(entries.user.get("client-certificate-data") or "")),
    )


def _keep_login(entries: Entries) -> dict[str, Any]:
    return _keep(entries.user, _USER_FIELDS)


def _keep(entry: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: entry[name] for name in names if entry.get(name)}


def _read_expiry(encoded: str) -> datetime | None:
    """Return when the first certificate in a PEM text in base64 expires; what is none was refused before."""
    if not encoded:
        return None
    return x509.load_pem_x509_certificate(base64.b64decode(encoded)).not_valid_after_utc
