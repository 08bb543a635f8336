"""One account of Azure: looks, calls and logins through the SDK.

Long operations are begun and not followed: what Azure is at shows in the next look, whoever began it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from atoll.errors import Conflict, PermissionDenied, Refused
from atoll.ports import ClusterRef, Finding, Operation, WantedCluster
from atoll.providers.managed.calling import Caller
from atoll.providers.managed.cloud import Token
from atoll.providers.managed.marks import build_name
from atoll.providers.managed.moves import Call

from .address import NO_ADDRESS, Address, read_address
from .client import Client
from .errors import GROUP_ABSENT, is_absent, read_code
from .login import SCOPE
from .offers import check_offered, check_upgrade
from .permissions import PERMISSIONS
from .seen import CREATING, DELETING, SeenCluster, parse_cluster
from .settings import PATH, Place

AUTHORITY_SECONDS: Final = 600.0
"""How long the address of an API server is believed; it changes where somebody rotates its certificates."""

Answer = TypeVar("Answer")


class AksConnection:
    """One login to one resource group. Its methods block; used from threads."""

    def __init__(self, place: Place, client: Client, caller: Caller) -> None:
        self._place = place
        self._client = client
        self._caller = caller
        self._addresses: dict[str, tuple[float, Address]] = {}
        """What users are told of an API server, and when, by the cluster's UID."""

    def look(self, ref: ClusterRef) -> SeenCluster | None:
        """See what is there of a cluster."""
        body = self._get(build_name(ref))
        if isinstance(body, str):
            return None
        seen = parse_cluster(body)
        address = self._find_address(seen)
        return replace(seen, server=address.server, authority=address.authority)

    def act(self, call: Call) -> None:
        """Begin one change; what is gone already counts as deleted."""
        group, _, method = call.name.partition(".")
        function = getattr(getattr(self._client.azure, group), method)
        arguments = dict(call.arguments)
        condition = arguments.pop("match", None)
        if condition is not None:
            from azure.core import MatchConditions

            arguments["match_condition"] = MatchConditions[condition]
        name = arguments["resource_name"]

        def begin() -> None:
            try:
                function(**arguments, polling=False)
            except Exception as error:
                if method != "begin_delete" or not is_absent(error):
                    raise

        self._make(self._caller.write, call.name, name, begin)

    def inspect(self, wanted: WantedCluster, _operation: Operation, seen: SeenCluster | None) -> tuple[Finding, ...]:
        """Ask Azure whether it offers what is wanted, and whether the resource group is there."""
        if seen is not None:
            return check_upgrade(wanted, seen, lambda: self._read_upgrades(seen.name))
        name = build_name(wanted.ref)
        if self._get(name) == GROUP_ABSENT:
            group = self._place.group
            message = (
                f"subscription {self._place.subscription} has no resource group {group}: create it (az group create "
                f"-n {group} -l {self._place.location}), or correct {PATH}.resourceGroup"
            )
            return (Finding(reason="ResourceGroupMissing", message=message, field=f"{PATH}.resourceGroup"),)
        return check_offered(wanted, self._place.location, self._read_versions())

    def log_in(self, seen: SeenCluster) -> Token:
        """Get a token of Entra for AKS clusters."""
        token = self._make(
            self._caller.read, "credential.get_token", seen.name, lambda: self._client.credential.get_token(SCOPE)
        )
        return Token(text=token.token, expires=datetime.fromtimestamp(token.expires_on, UTC))

    def close(self) -> None:
        """Give the account's connections back."""
        self._client.close()

    def _get(self, name: str) -> Mapping[str, Any] | str:
        """Return a cluster as Azure wrote it, or the code that says that it is not there."""

        def get() -> Mapping[str, Any] | str:
            try:
                body: Mapping[str, Any] = self._client.azure.managed_clusters.get(
                    self._place.group, name, cls=_take_body
                )
                return body
            except Exception as error:
                if not is_absent(error):
                    raise
                return read_code(error)

        return self._make(self._caller.read, "managed_clusters.get", name, get)

    def _read_upgrades(self, name: str) -> Mapping[str, Any]:
        return self._make(
            self._caller.read,
            "managed_clusters.get_upgrade_profile",
            name,
            lambda: self._client.azure.managed_clusters.get_upgrade_profile(self._place.group, name, cls=_take_body),
        )

    def _read_versions(self) -> Mapping[str, Any]:
        location = self._place.location
        return self._make(
            self._caller.read,
            "managed_clusters.list_kubernetes_versions",
            location,
            lambda: self._client.azure.managed_clusters.list_kubernetes_versions(location, cls=_take_body),
        )

    def _find_address(self, seen: SeenCluster) -> Address:
        """Return address and authority of the API server, which a cluster itself does not tell."""
        key = str(seen.properties.get("resourceUID") or seen.name)
        since, known = self._addresses.get(key, (0.0, NO_ADDRESS))
        if seen.state in {CREATING, DELETING} or not seen.version:
            return known
        if known.server and time.monotonic() - since < AUTHORITY_SECONDS:
            return known
        try:
            told = self._make(
                self._caller.read,
                "managed_clusters.list_cluster_user_credentials",
                seen.name,
                lambda: self._client.azure.managed_clusters.list_cluster_user_credentials(
                    self._place.group, seen.name, format="exec", cls=_take_body
                ),
            )
        except PermissionDenied:
            raise
        except (Refused, Conflict):
            # One that is stopped or broken has no API server to tell of.
            return known
        found = read_address(told)
        self._addresses[key] = (time.monotonic(), found)
        return found

    def _make(
        self,
        way: Callable[[str, str, Callable[[], Answer]], Answer],
        name: str,
        subject: str,
        function: Callable[[], Answer],
    ) -> Answer:
        """Make one call, which has to stand in the table of permissions."""
        if name not in PERMISSIONS:
            raise LookupError(f"{name} is missing in the table of permissions")
        return way(name, f"{subject} (resource group {self._place.group})", function)


def _take_body(response: Any, _deserialised: Any, _headers: Any) -> Any:
    """Return a body as it came, with fields that the SDK does not know."""
    return response.http_response.json()
