"""One account of AWS in one region: looks, acts, inspects and logs in. Blocks; runs in threads."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from atoll.errors import AtollError, Terminal
from atoll.ports import ClusterRef, Finding, Operation, WantedCluster
from atoll.providers.managed.calling import Caller
from atoll.providers.managed.cloud import Token
from atoll.providers.managed.moves import Call

from .errors import is_gone, translate
from .inspecting import inspect
from .looking import Looker
from .permissions import CALLS, to_api_name
from .reading import Reader
from .seen import SeenCluster
from .session import Clients, open_clients
from .tokens import sign_token


class EksConnection:
    """Implements `managed.cloud.Connection`."""

    def __init__(self, region: str, credentials: Mapping[str, str], endpoint: str, caller: Caller) -> None:
        self._region = region
        self._credentials = dict(credentials)
        self._endpoint = endpoint
        self._caller = caller
        self._clients: Clients | None = None
        self._lock = threading.Lock()
        self._reader = Reader(lambda: self._open().eks, caller)
        self._looker = Looker(self._reader)

    def look(self, ref: ClusterRef) -> SeenCluster | None:
        """See what is there of a cluster; None: nothing."""
        return self._looker.look(ref)

    def act(self, call: Call) -> None:
        """Make one call that changes something; deleting what is gone already is success."""
        if call.name not in CALLS:
            raise Terminal(f"{call.name} is no call that Atoll makes of EKS; report it")
        method = getattr(self._open().eks, call.name)

        def make() -> None:
            try:
                method(**call.arguments)
            except Exception as error:
                if not (call.name.startswith("delete_") and is_gone(error)):
                    raise

        self._caller.write(to_api_name(call.name), _name_subject(call.arguments), make)

    def inspect(self, wanted: WantedCluster, operation: Operation, seen: SeenCluster | None) -> tuple[Finding, ...]:
        """Ask EKS what would be in the way of an operation."""
        return inspect(self._reader, wanted, operation, seen, datetime.now(UTC))

    def log_in(self, seen: SeenCluster) -> Token:
        """Get a token for the cluster's API server."""
        try:
            return sign_token(self._open(), seen.name, self._region, datetime.now(UTC))
        except AtollError:
            raise
        except Exception as error:  # noqa: BLE001 - what is none of botocore's is raised as it is
            raise translate(error, to_api_name("get_caller_identity"), seen.name) from None

    def close(self) -> None:
        """Give the account's connections back."""
        with self._lock:
            if self._clients is not None:
                self._clients.close()

    def _open(self) -> Clients:
        """Return the clients; the first who asks sets boto3 up, which takes a moment."""
        with self._lock:
            if self._clients is None:
                self._clients = open_clients(self._region, self._credentials, self._endpoint)
            return self._clients


def _name_subject(arguments: Mapping[str, Any]) -> str:
    cluster = str(arguments.get("clusterName") or arguments.get("name") or arguments.get("resourceArn") or "")
    part = str(arguments.get("nodegroupName") or arguments.get("addonName") or "")
    return f"{cluster}/{part}" if part else cluster
