"""A stand-in for Google Kubernetes Engine: container.googleapis.com v1 over REST, and the token endpoint beside it.

The unmodified SDK works against it over plain HTTP: `ClusterManagerClient(transport="rest",
client_options={"api_endpoint": cloud.url})` keeps the scheme that it finds in the address. Only the synchronous client
has this transport. The key files of `key_file()` name this server's `/token`, and `GCE_METADATA_HOST` may name the
server itself, for workload identity.

What controllers inside a cluster left in Compute Engine (forwarding rules, disks, firewall rules) GKE's API does not
show, neither before nor after the cluster is deleted: `leave_behind` only remembers it for the tests. One thing does
show: what uses the node pools' instance groups makes the deletion end in an error that names it (`hold_up`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from . import gke_clusters, gke_operations, gke_pools, gke_updates
from .backing import Backing, Person
from .core import Answer, Ask, Faults, How, StandIn
from .gke_errors import (
    Refusal,
    busy,
    denied,
    invalid,
    over_quota,
    strange_project,
    throttled,
    unauthenticated,
    unimplemented,
)
from .gke_model import find_route, parse_request, render_message
from .gke_places import Place, parse_place
from .gke_pools import Order, Perform
from .gke_state import Book, Cluster
from .gke_tokens import CLOUD, EMAIL, METADATA, Account, Grant, Tokens, new_account, refuse_grant
from .gke_updates import upgrade_by_itself
from .gke_versions import VERSIONS, Catalogue

PROJECT: Final = "fleet-1"
TOKEN_PATH: Final = "/token"
CALLS: Final[Mapping[str, Perform]] = MappingProxyType(
    {**gke_clusters.CALLS, **gke_updates.CALLS, **gke_pools.CALLS, **gke_operations.CALLS}
)
PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "CreateCluster": "container.clusters.create",
        "GetCluster": "container.clusters.get",
        "ListClusters": "container.clusters.list",
        "DeleteCluster": "container.clusters.delete",
        "FetchClusterUpgradeInfo": "container.clusters.get",
        "GetNodePool": "container.clusters.get",
        "ListNodePools": "container.clusters.get",
        "GetOperation": "container.operations.get",
        "ListOperations": "container.operations.list",
        "GetServerConfig": "container.clusters.list",
        "ListUsableSubnetworks": "compute.subnetworks.list",
    }
)
"""What each call needs; all others need `container.clusters.update`."""
ON_PARENT: Final = frozenset({"CreateCluster", "ListClusters", "GetServerConfig", "ListOperations"})
"""Calls whose permission is asked about the project."""
READS: Final = frozenset({"Get", "Lis", "Fet", "Che"})


class Gke(StandIn):
    """One Google Cloud with some projects, all open to its one service account unless `deny` says otherwise."""

    def __init__(
        self,
        backing: Backing | None = None,
        faults: Faults | None = None,
        *,
        projects: tuple[str, ...] = (PROJECT,),
        versions: tuple[str, ...] = VERSIONS,
        channels_only: bool = False,
        itself_after: float = 30,
    ) -> None:
        super().__init__(backing, faults)
        self.projects = projects
        self.tokens = Tokens(clock=self.now, project=projects[0])
        self.book = Book(self, Catalogue(versions=versions, channels_only=channels_only))
        self.itself_after = itself_after
        """How long after the latest operation the cloud upgrades a cluster by itself, if it may."""
        self.denials: dict[str, set[str]] = {}
        """Email of an account → permissions that it lacks."""
        self._key_lock = threading.Lock()

    def key_file(self, name: str = "atoll") -> str:
        """Return the key file (JSON, secret) of a service account, which is made at the first call."""
        return self.account(name).key_file(f"{self.url}{TOKEN_PATH}", self.projects[0])

    def account(self, name: str = "atoll") -> Account:
        """Return a service account, which is made at the first call."""
        email = f"{name}@{self.projects[0]}.iam.gserviceaccount.com"
        with self._key_lock:
            if email not in self.tokens.accounts:
                self.tokens.accounts[email] = new_account(email)
            return self.tokens.accounts[email]

    def give_workload_identity(self, name: str = "atoll") -> None:
        """Let the metadata server speak for an account."""
        self.tokens.workload = self.account(name).email

    def expire_tokens(self) -> None:
        """Let all tokens that were handed out expire now."""
        with self.lock:
            self.tokens.expire()

    def deny(self, permission: str, name: str = "atoll") -> None:
        """Take a permission away from an account."""
        self.denials.setdefault(self.account(name).email, set()).add(permission)

    def allow(self, permission: str, name: str = "atoll") -> None:
        """Give it back."""
        self.denials.get(self.account(name).email, set()).discard(permission)

    def cluster(self, name: str) -> Cluster:
        """Return the one cluster of a name; for tests. KeyError: there is none."""
        with self.lock:
            self.book.settle()
            return next(known for place, known in self.book.clusters.items() if place.cluster == name)

    def clusters(self) -> tuple[str, ...]:
        """Return the names of all clusters that are there, hidden ones too."""
        with self.lock:
            self.book.settle()
            return tuple(sorted(place.cluster for place in self.book.clusters))

    def leave_behind(self, name: str, what: str) -> None:
        """Let controllers inside a cluster make something that stays when it is deleted, and that GKE never shows."""
        self.cluster(name).left.append(what)

    def left_behind(self) -> tuple[str, ...]:
        """Return what is still there of deleted clusters."""
        with self.lock:
            return tuple(what for things in self.book.left_behind.values() for what in things)

    def hold_up(self, name: str, what: str) -> None:
        """Let something, such as `projects/p/global/backendServices/b`, use the nodes of a cluster."""
        self.cluster(name).holders.append(what)

    def let_go(self, name: str) -> None:
        """Let nothing use the nodes of a cluster any more."""
        self.cluster(name).holders.clear()

    def degrade(self, name: str, why: str) -> None:
        """Let a cluster need its owner's help; an empty reason ends that."""
        self.cluster(name).degraded = why

    def cut_off(self, *locations: str) -> None:
        """Let these regions and zones, and no others, be out of reach."""
        with self.lock:
            self.book.unreachable = set(locations)

    def recognise(self, ask: Ask) -> Ask | None:
        if ask.method == "POST" and ask.path == TOKEN_PATH:
            return replace(ask, name="GetToken", subject=TOKEN_PATH)
        if ask.method == "GET" and (ask.path == "/" or ask.path.startswith(METADATA)):
            return replace(ask, name="GetMetadata", subject=ask.path)
        found = find_route(ask.method, ask.path)
        if found is None:
            return None
        route, parts = found
        subject = parts.get("name", parts.get("parent", ""))
        words = subject.split("/")
        named = dict(zip(words[::2], words[1::2], strict=True)).get("clusters", "")
        if route.name == "CreateCluster":
            named = _read_name(ask)
        return replace(ask, name=route.name, parts=parts, subject=named or ask.path)

    def admit(self, ask: Ask) -> Answer | None:
        if ask.name in ("GetToken", "GetMetadata"):
            return None
        grant = self._judge(ask)
        if isinstance(grant, Refusal):
            return grant.answer()
        project = ask.parts.get("name", ask.parts.get("parent", "")).split("/")[1]
        if project not in self.projects:
            return strange_project(project).answer()
        permission = _permission(ask)
        if permission in self.denials.get(grant.account.email, ()):
            return denied(permission, _resource(ask)).answer()
        return None

    def _judge(self, ask: Ask) -> Grant | Refusal:
        """Look at the bearer token."""
        scheme, _, token = ask.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return unauthenticated("CREDENTIALS_MISSING", ask.name)
        grant = self.tokens.judge(token.strip())
        if isinstance(grant, str):
            return unauthenticated(grant, ask.name)
        if CLOUD not in grant.scopes:
            message = "Request had insufficient authentication scopes."
            return Refusal(status="PERMISSION_DENIED", message=message)
        return grant

    def perform(self, ask: Ask) -> Answer:
        if ask.name == "GetToken":
            return self.tokens.answer_grant(ask, f"{self.url}{TOKEN_PATH}")
        if ask.name == "GetMetadata":
            return self.tokens.answer_metadata(ask)
        try:
            if ask.name not in CALLS:
                raise unimplemented(ask.name)
            place = parse_place(ask.parts.get("name", ask.parts.get("parent", "")))
            request = parse_request(ask)
            self._go_on()
            if place.location in self.book.unreachable and not ask.name.startswith("List"):
                raise _unavailable()
            found = CALLS[ask.name](self.book, Order(place=place, request=request, broken=ask.broken))
            return Answer(body=render_message(found, ask))
        except Refusal as refusal:
            if refusal.wrong:
                self.protest(f"{ask.name} {ask.subject}: {refusal.message}")
            return refusal.answer()

    def _go_on(self) -> None:
        """Bring everything to where it is by now, with what the cloud does by itself."""
        self.book.settle()
        for cluster in list(self.book.clusters.values()):
            if self.now() > cluster.quiet_since + self.itself_after:
                upgrade_by_itself(self.book, cluster)

    def explain(self, how: How, ask: Ask) -> Answer:
        if ask.name in ("GetToken", "GetMetadata"):
            return _explain_token(how, self.faults.retry_after_seconds)
        place = ask.parts.get("name", ask.parts.get("parent", "projects/-"))
        project = place.split("/")[1]
        kind = "Cluster read" if ask.name[:3] in READS else "Cluster write"
        match how:
            case "throttled":
                refusal = throttled(kind, project, self.faults.retry_after_seconds)
            case "denied":
                refusal = denied(_permission(ask), _resource(ask))
            case "quota":
                refusal = over_quota(project)
            case "conflict":
                refusal = busy("operation-1795000000000-4a5e1e4b-aab8-4c2d-9f01-d2a6c0b2b6b1")
            case "invalid":
                refusal = invalid("Request contains an invalid argument.")
            case "unavailable":
                refusal = _unavailable()
            case _:
                refusal = Refusal(status="INTERNAL", message="Internal error encountered.")
        return refusal.answer()

    def unknown(self, ask: Ask) -> Answer:
        message = f"Method not found: {ask.method} {ask.path}."
        return Refusal(status="NOT_FOUND", message=message).answer()

    def authenticate(self, key: str, token: str) -> Person | None:
        """Take opaque tokens only, as GKE's API servers do.

        GKE lets IAM allow what RBAC does not; here the group of masters stands for that, as real planes ask RBAC alone.
        Without the scope for the email the name is the account's number.
        """
        with self.lock:
            if not any(cluster.key == key for cluster in self.book.clusters.values()):
                return None
            grant = self.tokens.judge(token)
        if isinstance(grant, str) or not grant.opaque or CLOUD not in grant.scopes:
            return None
        account = grant.account
        name = account.email if EMAIL in grant.scopes else account.unique_id
        may = "container.clusters.connect" not in self.denials.get(account.email, ())
        groups = ("system:masters",) if may else ()
        return Person(name=name, groups=groups, uid=account.unique_id)


def _read_name(ask: Ask) -> str:
    """Return the name of the cluster that a create is about, however ill-formed the rest."""
    try:
        sent = ask.json()
        return str(sent["cluster"]["name"])
    except (ValueError, KeyError, TypeError):
        return ""


def _permission(ask: Ask) -> str:
    return PERMISSIONS.get(ask.name, "container.clusters.update")


def _resource(ask: Ask) -> str:
    """Return what a permission is asked about, as the refusal names it."""
    words = ask.parts.get("name", ask.parts.get("parent", "")).split("/")
    if ask.name in ON_PARENT or len(words) < 6:
        return "/".join(words[:2])
    return Place(project=words[1], location=words[3], cluster=words[5]).path


def _unavailable() -> Refusal:
    return Refusal(status="UNAVAILABLE", message="The service is currently unavailable.")


def _explain_token(how: How, delay: float) -> Answer:
    """Fail as the token endpoint and the metadata server do."""
    if how == "throttled":
        return replace(
            refuse_grant("rate_limit_exceeded", "Too many requests.", 429), headers={"Retry-After": f"{delay:g}"}
        )
    if how == "unavailable":
        return refuse_grant("temporarily_unavailable", "The service is currently unavailable.", 503)
    if how == "error":
        return refuse_grant("internal_failure", "Internal error.", 500)
    return refuse_grant("unauthorized_client", "The client is not allowed to ask for tokens.", 401)
