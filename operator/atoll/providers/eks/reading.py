"""Reads of the EKS API: within the budget, through all pages, and with "not there" told apart from "cannot ask"."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from atoll.providers.managed.calling import Caller

from .errors import is_gone
from .permissions import to_api_name
from .seen import Offer, is_usable, parse_offer

CATALOGUE_SECONDS: Final = 3600.0
"""How long it is believed which versions of an add-on there are."""
VERSIONS_SECONDS: Final = 60.0
"""How long a version is believed to be on offer: many clusters move to the same one at the same time."""
PAGES_LIMIT: Final = 1000

Answer = TypeVar("Answer")


class Reader:
    """Reads with one open account. Used from threads."""

    def __init__(self, client: Callable[[], Any], caller: Caller) -> None:
        """`client` returns the EKS client, and opens it first where that is needed."""
        self._client = client
        self._caller = caller
        self._offered: dict[str, float] = {}
        """When a minor version was last seen on offer."""
        self._offers: dict[tuple[str, str], tuple[float, Offer]] = {}
        self._lock = threading.Lock()

    @property
    def changes(self) -> int:
        """How many calls that change something have been begun in this account."""
        return self._caller.changes

    def has_changed(self, name: str, since: int) -> bool:
        """Say whether such a call about a cluster has been begun after the first `since`."""
        return self._caller.has_changed(name, since)

    def read(self, method: str, subject: str, **arguments: Any) -> Any:
        """Make one reading call; None where EKS knows nothing by that name."""

        def ask() -> Any:
            try:
                return getattr(self._client(), method)(**arguments)
            except Exception as error:
                if is_gone(error):
                    return None
                raise

        return self._caller.read(to_api_name(method), subject, ask)

    def pages(self, method: str, subject: str, key: str, **arguments: Any) -> list[Any]:
        """Return the entries of all pages; none where EKS knows nothing by that name."""
        found: list[Any] = []
        token = ""
        for _ in range(PAGES_LIMIT):
            answer = self.read(method, subject, **arguments, **({"nextToken": token} if token else {}))
            if answer is None:
                return found
            found += answer.get(key, ())
            token = answer.get("nextToken") or ""
            if not token:
                break
        return found

    def is_offered(self, minor: str) -> bool:
        """Say whether clusters of a minor version may be made, or brought there, in this region."""
        with self._lock:
            seen = self._offered.get(minor)
        if seen is not None and time.monotonic() - seen < VERSIONS_SECONDS:
            return True
        answers = self.pages("describe_cluster_versions", minor, "clusterVersions", clusterVersions=[minor])
        if not any(is_usable(one, minor) for one in answers):
            return False
        with self._lock:
            self._offered[minor] = time.monotonic()
        return True

    def offer(self, addon: str, minor: str) -> Offer:
        """Return which versions of an add-on fit a minor version; none where EKS does not know it."""
        with self._lock:
            known = self._offers.get((addon, minor))
        if known is not None and time.monotonic() - known[0] < CATALOGUE_SECONDS:
            return known[1]
        addons = self.pages("describe_addon_versions", addon, "addons", addonName=addon, kubernetesVersion=minor)
        offer = parse_offer(tuple(addons), minor)
        with self._lock:
            self._offers[(addon, minor)] = (time.monotonic(), offer)
        return offer
