"""Where an API server is and how to log in: from a kubeconfig, or from inside a pod.

A kubeconfig is a program: exec plugins run commands, file paths read our files, a server address makes us a proxy into
our own network. So what comes from a user must be self-contained, and every field that we do not know is refused, in
entries that no context uses too: others will read the same text.
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
from types import MappingProxyType
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
from .login_programs import check_program

KUBECONFIG_LIMIT: Final = 256 * 1024
NESTING_LIMIT: Final = 2000
ENTRIES_LIMIT: Final = 100
"""Of clusters, and of users."""
NAME_LIMIT: Final = 128
"""Characters of an entry's name that a message repeats."""
_CLUSTER_FIELDS: Final = frozenset(
    {"server", "certificate-authority-data", "tls-server-name", "disable-compression", "extensions"}
)
_USER_FIELDS: Final = frozenset({"client-certificate-data", "client-key-data", "token", "extensions"})
_TRUSTED_CLUSTER_FIELDS: Final = _CLUSTER_FIELDS | {"certificate-authority", "proxy-url"}
_TRUSTED_USER_FIELDS: Final = _USER_FIELDS | {"client-certificate", "client-key", "tokenFile", "exec"}
_NO_PROGRAM: Final = "it runs a program in the operator. Use token, or client-certificate-data with client-key-data"
_NO_FILE: Final = "it reads a file of the operator's. Put the file's content into"
_NO_OTHER: Final = "it acts in another's name. Use credentials of that identity itself"
_NO_PASSWORD: Final = "API servers take no passwords any more. Use token"  # noqa: S105 - a sentence, no password
_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "exec": _NO_PROGRAM,
        "auth-provider": _NO_PROGRAM,
        "tokenFile": f"{_NO_FILE} token",
        "client-certificate": f"{_NO_FILE} client-certificate-data, in base64",
        "client-key": f"{_NO_FILE} client-key-data, in base64",
        "certificate-authority": f"{_NO_FILE} certificate-authority-data, in base64",
        "as": _NO_OTHER,
        "as-uid": _NO_OTHER,
        "as-groups": _NO_OTHER,
        "as-user-extra": _NO_OTHER,
        "username": _NO_PASSWORD,
        "password": _NO_PASSWORD,
        "insecure-skip-tls-verify": (
            "anybody could pass for the server. Put its authority into certificate-authority-data, and take this out"
        ),
        "proxy-url": "requests and login would go where it says. Name an address that can be reached directly",
    }
)
"""Why a field of a user's kubeconfig is refused, and what to do instead."""
_SELF_CONTAINED: Final = (
    "the kubeconfig must be self-contained, with https server, certificate-authority-data, and client-certificate-data "
    "with client-key-data, or token"
)
_FIELD_NAME: Final = re.compile(r"[A-Za-z][A-Za-z-]{0,39}")
_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_METADATA_ADDRESSES: Final = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")
)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_NUMBER: Final = re.compile(r"^(0[xX][0-9a-fA-F]*|[0-9]+)$")
_IN_CLUSTER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """What one context of a kubeconfig uses. Secret."""

    cluster: Mapping[str, Any] = field(repr=False)
    user: Mapping[str, Any] = field(repr=False)
    cluster_path: str
    user_path: str
    """Where it stands in the kubeconfig, for messages."""


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
        people: bool = False,
        folder: Path | None = None,
        context: str = "",
        contexts: TlsContexts | None = None,
    ) -> Connection:
        """Read a kubeconfig; raises BadInput naming the field that cannot be used.

        `trusted` is for the operator's own management kubeconfig alone: it allows exec plugins, file paths (relative to
        `folder`), a proxy, and the system's authorities. `people` is for somebody at a terminal: the clouds' own
        programs for logging in may be run.
        """
        contexts = contexts or TlsContexts()
        entries = read_entries(text, trusted=trusted, people=people, context=context)
        cluster, cluster_path = entries.cluster, entries.cluster_path
        reader = _Reader(folder=folder or Path.cwd())
        ca = reader.pem(cluster, "certificate-authority", cluster_path)
        if not ca and not trusted:
            where = f"{cluster_path}.certificate-authority-data"
            raise BadInput(f"{where} is missing: without it the server's identity is not pinned", field=where)
        return cls(
            server=check_server(_text(cluster, "server", cluster_path), f"{cluster_path}.server"),
            ca=ca,
            credentials=_credentials(reader, contexts, ca, entries.user, entries.user_path),
            server_name=check_server_name(
                _text(cluster, "tls-server-name", cluster_path), f"{cluster_path}.tls-server-name"
            ),
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


def read_entries(text: str, *, trusted: bool = False, people: bool = False, context: str = "") -> Entries:
    """Return what a context uses (default: current-context); raises BadInput naming the field that cannot be used.

    Unless it is `trusted`, every entry is checked, used or not.
    """
    config = _load(text, trusted=trusted)
    if not trusted:
        _check_section(config, "clusters", "cluster", _CLUSTER_FIELDS)
        _check_section(config, "users", "user", _USER_FIELDS | {"exec"} if people else _USER_FIELDS)
    entries = _pick(config, context)
    if trusted:
        _check_fields(entries.cluster, _TRUSTED_CLUSTER_FIELDS, entries.cluster_path)
        _check_fields(entries.user, _TRUSTED_USER_FIELDS, entries.user_path)
    elif isinstance(plugin := entries.user.get("exec"), Mapping):
        check_program(plugin, f"{entries.user_path}.exec")
    return entries


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


def check_server_name(name: str, where: str) -> str:
    """Return the name to expect in a certificate, or nothing; raises BadInput for what TLS could not even ask for."""
    if not name or _HOST_NAME.fullmatch(name):
        return name
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        raise BadInput(f"{where} is no host name; write the name in the server's certificate", field=where) from None


class _PlainLoader(yaml.SafeLoader):
    """Reads YAML without merge keys: one that names the same mapping twice doubles the work with each line."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse what would be merged in."""
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise BadInput("kubeconfig is no plain YAML: it holds merge keys (<<); write them out", field="kubeconfig")


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


def _load(text: str, *, trusted: bool) -> Mapping[str, Any]:
    if len(text) > KUBECONFIG_LIMIT:
        raise BadInput(f"kubeconfig is larger than {KUBECONFIG_LIMIT} characters", field="kubeconfig")
    if text.count("[") + text.count("{") > NESTING_LIMIT:  # The parser takes seconds for thousands of them.
        raise BadInput("kubeconfig is no plain YAML: it holds too many braces", field="kubeconfig")
    try:
        document = yaml.load(text, Loader=yaml.SafeLoader if trusted else _PlainLoader)  # noqa: S506 - both are safe
    except (yaml.YAMLError, ValueError, RecursionError):
        # The parser's message would quote the text around the fault.
        raise BadInput("kubeconfig is not YAML", field="kubeconfig") from None
    if not isinstance(document, Mapping):
        raise BadInput("kubeconfig is not a mapping with clusters, users and contexts", field="kubeconfig")
    return document


def _pick(config: Mapping[str, Any], context: str) -> Entries:
    """Return cluster and user of a context (default: current-context)."""
    wanted = context or config.get("current-context")
    if not isinstance(wanted, str) or not wanted:
        raise BadInput("current-context is not set; name the context to use", field="current-context")
    chosen, path = _named(config, "contexts", "context", wanted)
    cluster, cluster_path = _named(config, "clusters", "cluster", _text(chosen, "cluster", path))
    user, user_path = _named(config, "users", "user", _text(chosen, "user", path))
    return Entries(cluster=cluster, user=user, cluster_path=cluster_path, user_path=user_path)


def _named(config: Mapping[str, Any], section: str, key: str, name: str) -> tuple[Mapping[str, Any], str]:
    entries = config.get(section)
    found = [
        entry.get(key)
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, Mapping) and entry.get("name") == name
    ]
    path = f"{section}[{_shorten(name)}].{key}"
    if len(found) != 1 or not isinstance(found[0], Mapping):
        problem = (
            f"names {len(found)} entries called `{_shorten(name)}`" if len(found) != 1 else f"has no mapping at {path}"
        )
        raise BadInput(f"{section} of the kubeconfig {problem}; there must be exactly one", field=section)
    return found[0], path


def _check_section(config: Mapping[str, Any], section: str, key: str, allowed: frozenset[str]) -> None:
    entries = config.get(section)
    if not isinstance(entries, list):
        return
    if len(entries) > ENTRIES_LIMIT:
        raise BadInput(f"{section} has more than {ENTRIES_LIMIT} entries; keep the one that is used", field=section)
    for entry in entries:
        value = entry.get(key) if isinstance(entry, Mapping) else None
        if isinstance(value, Mapping):
            _check_fields(value, allowed, f"{section}[{_shorten(entry.get('name'))}].{key}")


def _check_fields(entry: Mapping[str, Any], allowed: frozenset[str], path: str) -> None:
    for name, value in entry.items():
        if name in allowed or value in (None, "", False, [], {}):
            continue
        # What is no name of a field may be a secret that slipped out of its place.
        named = _FIELD_NAME.fullmatch(str(name)) is not None
        where = f"{path}.{name}" if named else f"{path}: a field of an odd name"
        why = _REMEDIES.get(name, _SELF_CONTAINED) if named else _SELF_CONTAINED
        raise BadInput(f"{where} cannot be used here: {why}", field=f"{path}.{name}" if named else path)


def _shorten(name: object) -> str:
    """Return the name of an entry as a message may repeat it."""
    text = name if isinstance(name, str) else ""
    return text if len(text) <= NAME_LIMIT and text.isprintable() else f"{text[:20]!r}…"


def _text(entry: Mapping[str, Any], name: str, path: str) -> str:
    value = entry.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{path}.{name} must be a string", field=f"{path}.{name}")
    return value
