"""The calls to GKE's API by Google's SDK, over REST. Its methods block."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from atoll.errors import AtollError, Conflict, VersionUnavailable
from atoll.fleet.values import Version
from atoll.ports import ClusterRef, Finding, Operation, WantedCluster
from atoll.providers.managed.calling import Caller
from atoll.providers.managed.cloud import Token
from atoll.providers.managed.marks import build_name
from atoll.providers.managed.moves import Call
from atoll.providers.managed.surroundings import Declared

from .login import Login
from .operations import TYPES, check_operations, find_target
from .seen import SeenCluster, parse_cluster
from .settings import Channel, parse_place, parse_settings
from .versions import FIELD, choose_version, spell_version

READ_SECONDS: Final = 30.0
WRITE_SECONDS: Final = 60.0
OFFERED_SECONDS: Final = 60.0
"""How long the list of versions is believed: all clusters of a place share it."""
OPERATIONS_SECONDS: Final = 0.5
"""How long the list of operations is believed: it is one for all clusters of a place, and grows with them."""


class GkeConnection:
    """One project and location, with one login. Used from threads."""

    def __init__(self, declared: Declared, caller: Caller) -> None:
        """Make no call; BadInput names what is missing in block or Secret."""
        self._place = parse_place(declared.settings)
        self._login = Login(declared)
        self._caller = caller
        self._offered: tuple[float, Mapping[str, Any]] | None = None
        self._operations: tuple[float, tuple[Mapping[str, Any], ...]] | None = None
        self._acted: dict[str, float] = {}
        """When a call was last made for a cluster, by its name."""

    def look(self, ref: ClusterRef) -> SeenCluster | None:
        """See what is there of a cluster."""
        from google.api_core.exceptions import NotFound

        name = self._place.build_path(build_name(ref))

        def ask() -> Mapping[str, Any] | None:
            try:
                return self._send("get_cluster", {"name": name}, READ_SECONDS)
            except NotFound:
                return None

        said = self._caller.read("get_cluster", name, ask)
        return parse_cluster(said) if said is not None else None

    def act(self, call: Call) -> None:
        """Make one call, unless GKE is at work on the cluster, or has failed at the same too often."""
        from google.api_core.exceptions import NotFound

        if call.name in TYPES and (refusal := self._find_refusal(call)):
            raise refusal
        arguments = self._choose_builds(call)
        subject = str(arguments.get("name") or arguments.get("parent"))

        def ask() -> None:
            try:
                self._send(call.name, arguments, WRITE_SECONDS)
            except NotFound:
                if not call.name.startswith("delete_"):
                    raise Conflict(f"GKE, {call.name} of {subject}: it is not there any more") from None

        self._caller.write(call.name, subject, ask)

    def inspect(self, wanted: WantedCluster, operation: Operation, seen: SeenCluster | None) -> tuple[Finding, ...]:
        """Ask whether the version can be had."""
        version = Version.parse(wanted.version)
        if seen is not None and version.is_satisfied_by(seen.served):
            return ()
        channel = parse_settings(wanted.settings).channel
        try:
            choose_version(spell_version(wanted.version), self._get_offered(), channel, nodes=True)
        except VersionUnavailable as error:
            return (Finding(reason=error.reason, message=str(error), field=FIELD),)
        return ()

    def close(self) -> None:
        """Give the account's connections back."""
        self._login.close()

    def log_in(self, seen: SeenCluster) -> Token:
        """Get a token: API servers of GKE take the access tokens of Google's accounts."""
        return self._caller.read("get_token", seen.name, self._login.token)

    def _choose_builds(self, call: Call) -> Mapping[str, Any]:
        """Return a call's arguments with the newest build in place of a version."""
        arguments = call.arguments
        if call.name == "create_cluster":
            cluster = arguments["cluster"]
            channel = Channel(cluster["releaseChannel"]["channel"])
            build = choose_version(cluster["initialClusterVersion"], self._get_offered(), channel, nodes=True)
            return {**arguments, "cluster": {**cluster, "initialClusterVersion": build}}
        if call.name == "update_master":
            # The channel is ours to know, not an argument of GKE.
            channel = Channel(arguments["channel"])
            build = choose_version(arguments["masterVersion"], self._get_offered(), channel, nodes=True)
            return {"name": arguments["name"], "masterVersion": build}
        return arguments

    def _get_offered(self) -> Mapping[str, Any]:
        known = self._offered
        if known is None or time.monotonic() - known[0] > OFFERED_SECONDS:
            name = self._place.parent
            said = self._caller.read(
                "get_server_config", name, lambda: self._send("get_server_config", {"name": name}, READ_SECONDS)
            )
            known = (time.monotonic(), said)
            self._offered = known
        return known[1]

    def _find_refusal(self, call: Call) -> AtollError | None:
        """Ask GKE's list of operations about a call.

        A list of a moment ago may let a call pass, where nothing was called for the cluster since; it never refuses.
        """
        cluster, known = find_target(call).cluster, self._operations
        oldest = max(time.monotonic() - OPERATIONS_SECONDS, self._acted.get(cluster, 0.0))
        if known is None or known[0] <= oldest or check_operations(call, known[1], datetime.now(UTC)):
            asked = time.monotonic()
            known = (asked, self._list_operations())
            self._operations = known
        self._acted[cluster] = time.monotonic()
        return check_operations(call, known[1], datetime.now(UTC))

    def _list_operations(self) -> tuple[Mapping[str, Any], ...]:
        parent = self._place.parent
        said = self._caller.read(
            "list_operations", parent, lambda: self._send("list_operations", {"parent": parent}, READ_SECONDS)
        )
        return tuple(said.get("operations") or ())

    def _send(self, name: str, arguments: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
        """Make one call with the REST API's own field names, and return its answer in them."""
        from google.cloud.container_v1 import types
        from google.protobuf import json_format

        kind = getattr(types, "".join(word.capitalize() for word in name.split("_")) + "Request")
        request = kind()
        json_format.ParseDict(dict(arguments), kind.pb(request))
        # The SDK's own retries know nothing of the account's budget.
        answer = getattr(self._login.client(), name)(request=request, retry=None, timeout=seconds)
        said: Mapping[str, Any] = json_format.MessageToDict(type(answer).pb(answer))
        return said
