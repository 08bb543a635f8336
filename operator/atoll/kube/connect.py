"""Where an API server is and how to log in: from a kubeconfig, or from inside a pod.

A kubeconfig is a program: exec plugins run commands, file paths read our files, a server address makes us a proxy into
our own network. So what comes from a user must be self-contained, and every field that we do not know is refused.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from yarl import URL

from atoll.errors import BadInput, Refused

from .credentials import (
    Credentials,
    Login,
    PluginCredentials,
    StaticCredentials,
    TlsContexts,
    TokenFileCredentials,
    check_token,
)

KUBECONFIG_LIMIT: Final = 256 * 1024
NESTING_LIMIT: Final = 2000
_CLUSTER_FIELDS: Final = frozenset(
    {"server", "certificate-authority-data", "tls-server-name", "disable-compression", "extensions"}
)
_USER_FIELDS: Final = frozenset({"client-certificate-data", "client-key-data", "token", "extensions"})
_TRUSTED_CLUSTER_FIELDS: Final = _CLUSTER_FIELDS | {"certificate-authority", "proxy-url"}
_TRUSTED_USER_FIELDS: Final = _USER_FIELDS | {"client-certificate", "client-key", "tokenFile", "exec"}
_METADATA_ADDRESSES: Final = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")
)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_NUMBER: Final = re.compile(r"^(0[xX][0-9a-fA-F]*|[0-9]+)$")
_IN_CLUSTER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One API server, and our login there."""

    server: str
    """https URL without a trailing slash."""
    ca: str
    """PEM; empty: the authorities of the system (trusted kubeconfigs only)."""
    credentials: Credentials = field(repr=False)
    server_name: str = ""
    """Name to expect in the server's certificate, when it is not the host of `server`."""
    proxy: str = ""

    @classmethod
    def from_kubeconfig(
        cls,
        text: str,
        *,
        trusted: bool = False,
        folder: Path | None = None,
        context: str = "",
        contexts: TlsContexts | None = None,
    ) -> Connection:
        """Read a kubeconfig; raises BadInput naming the field that cannot be used.

        `trusted` is for the operator's own management kubeconfig alone: it allows exec plugins, file paths (relative to
        `folder`), a proxy, and the system's authorities.
        """
        contexts = contexts or TlsContexts()
        cluster, user, cluster_path, user_path = _pick(_load(text), context)
        _check_fields(cluster, _TRUSTED_CLUSTER_FIELDS if trusted else _CLUSTER_FIELDS, cluster_path)
        _check_fields(user, _TRUSTED_USER_FIELDS if trusted else _USER_FIELDS, user_path)
        reader = _Reader(folder=folder or Path.cwd())
        ca = reader.pem(cluster, "certificate-authority", cluster_path)
        if not ca and not trusted:
            where = f"{cluster_path}.certificate-authority-data"
            raise BadInput(f"{where} is missing: without it the server's identity is not pinned", field=where)
        return cls(
            server=check_server(_text(cluster, "server", cluster_path), f"{cluster_path}.server"),
            ca=ca,
            credentials=_credentials(reader, contexts, ca, user, user_path),
            server_name=_text(cluster, "tls-server-name", cluster_path),
            proxy=_text(cluster, "proxy-url", cluster_path),
        )

    @classmethod
    def in_cluster(cls, environ: Mapping[str, str] | None = None, folder: Path = _IN_CLUSTER) -> Connection:
        """Use the ServiceAccount of the pod that we run in; raises Refused outside of one."""
        environ = os.environ if environ is None else environ
        host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "")
        token_file = folder / "token"
        if not host or not port or not token_file.is_file():
            raise Refused("not inside a pod with a ServiceAccount token; name a kubeconfig with --kubeconfig")
        ca = (folder / "ca.crt").read_text(encoding="utf-8")
        return cls(
            server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
            ca=ca,
            credentials=TokenFileCredentials(TlsContexts().get(ca=ca), token_file),
        )


def is_forbidden_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Say whether no API server may be there: link-local and metadata services, however they are written."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_forbidden_address(inner)
    return address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA_ADDRESSES


def check_server(server: str, where: str) -> str:
    """Return the URL of an API server without a trailing slash; raises BadInput naming `where`."""
    try:
        url = URL(server)
        host, port = url.host or "", url.port
    except ValueError:
        raise BadInput(f"{where} is no URL; write it like https://api.example.com:6443", field=where) from None
    if url.scheme != "https" or not host or not port:
        raise BadInput(f"{where} must be an https URL such as https://api.example.com:6443", field=where)
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        raise BadInput(f"{where} must hold no user, password, query or fragment", field=where)
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        if _NUMBER.match(host.rstrip(".").rpartition(".")[2]):
            raise BadInput(f"{where} is {host}, an odd way to write an address; write 4 parts", field=where) from None
        return str(url).rstrip("/")  # A name: looked at again each time it is resolved.
    if is_forbidden_address(address):
        raise BadInput(f"{where} is {host}, an address that no API server may have; name another", field=where)
    return str(url).rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Reads `<field>-data`, or the file that `<field>` names where that was let through."""

    folder: Path

    def pem(self, entry: Mapping[str, Any], name: str, path: str) -> str:
        encoded = _text(entry, f"{name}-data", path)
        if encoded:
            try:
                return base64.b64decode("".join(encoded.split()), validate=True).decode("ascii")
            except (binascii.Error, ValueError):
                where = f"{path}.{name}-data"
                raise BadInput(f"{where} is not PEM encoded in base64", field=where) from None
        file = _text(entry, name, path)
        return self.file(file, f"{path}.{name}") if file else ""

    def file(self, name: str, where: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{where}: {name} cannot be read ({type(error).__name__})", field=where) from error


def _credentials(reader: _Reader, contexts: TlsContexts, ca: str, user: Mapping[str, Any], path: str) -> Credentials:
    plugin = user.get("exec")
    if plugin:
        if not isinstance(plugin, Mapping) or not plugin.get("command") or not plugin.get("apiVersion"):
            raise BadInput(f"{path}.exec needs apiVersion and command", field=f"{path}.exec")
        return PluginCredentials(contexts, ca, plugin)
    certificate = reader.pem(user, "client-certificate", path)
    key = reader.pem(user, "client-key", path)
    if bool(certificate) != bool(key):
        missing = "client-key-data" if certificate else "client-certificate-data"
        raise BadInput(f"{path}.{missing} is missing: certificate and key go together", field=f"{path}.{missing}")
    tls = contexts.get(ca=ca, certificate=certificate, key=key)
    token = _text(user, "token", path)
    token_file = _text(user, "tokenFile", path)
    if token_file and not token:
        return TokenFileCredentials(tls, reader.folder / token_file)
    if not token and not certificate:
        raise BadInput(
            f"{path} holds no credentials: give client-certificate-data with client-key-data, or token", field=path
        )
    return StaticCredentials(login=Login(tls=tls, token=check_token(token, f"{path}.token") if token else ""))


def _load(text: str) -> Mapping[str, Any]:
    if len(text) > KUBECONFIG_LIMIT:
        raise BadInput(f"kubeconfig is larger than {KUBECONFIG_LIMIT} characters", field="kubeconfig")
    if text.count("[") + text.count("{") > NESTING_LIMIT:  # The parser takes seconds for thousands of them.
        raise BadInput("kubeconfig is no plain YAML: it holds too many braces", field="kubeconfig")
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        # The parser's message would quote the text around the fault.
        raise BadInput("kubeconfig is not YAML", field="kubeconfig") from None
    if not isinstance(document, Mapping):
        raise BadInput("kubeconfig is not a mapping with clusters, users and contexts", field="kubeconfig")
    return document


def _pick(config: Mapping[str, Any], context: str) -> tuple[Mapping[str, Any], Mapping[str, Any], str, str]:
    """Return cluster and user of a context (default: current-context), each with its path for messages."""
    wanted = context or config.get("current-context")
    if not isinstance(wanted, str) or not wanted:
        raise BadInput("current-context is not set; name the context to use", field="current-context")
    chosen, path = _named(config, "contexts", "context", wanted)
    cluster, cluster_path = _named(config, "clusters", "cluster", _text(chosen, "cluster", path))
    user, user_path = _named(config, "users", "user", _text(chosen, "user", path))
    return cluster, user, cluster_path, user_path


def _named(config: Mapping[str, Any], section: str, key: str, name: str) -> tuple[Mapping[str, Any], str]:
    entries = config.get(section)
    found = [
        entry.get(key)
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, Mapping) and entry.get("name") == name
    ]
    path = f"{section}[{name}].{key}"
    if len(found) != 1 or not isinstance(found[0], Mapping):
        problem = f"names {len(found)} entries called `{name}`" if len(found) != 1 else f"has no mapping at {path}"
        raise BadInput(f"{section} of the kubeconfig {problem}; there must be exactly one", field=section)
    return found[0], path


def _check_fields(entry: Mapping[str, Any], allowed: frozenset[str], path: str) -> None:
    for name, value in entry.items():
        if name not in allowed and value not in (None, "", False, [], {}):
            raise BadInput(
                f"{path}.{name} cannot be used here: the kubeconfig must be self-contained, with https server, "
                "certificate-authority-data, and client-certificate-data with client-key-data, or token",
                field=f"{path}.{name}",
            )


def _text(entry: Mapping[str, Any], name: str, path: str) -> str:
    value = entry.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{path}.{name} must be a string", field=f"{path}.{name}")
    return value
