"""Revisions: short names for everything that a cluster must be changed for.

A revision may never change by an upgrade of Atoll, or every fleet would roll when its operator does. So the document
that is hashed names its keys here, by hand, and leaves out what is empty: a field that a later Atoll learns changes no
hash until somebody uses it. Whoever builds a ProviderBlock must not fill in defaults, for the same reason.
Left out on purpose: labels, waves, soak, windows and the rules of a regime about *how* to change (`upgrade`,
`versions`) and its title. A member without anything of its own has its set's revision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from atoll.fleet.decisions import RETURN_MARK
from atoll.fleet.spec import ClusterSet, Isolation, Member, Regime
from atoll.fleet.values import Version, thaw

LENGTH: Final = 10
"""Hex digits of a revision."""

HOP_MARK: Final = "~"
"""Between a member's revision and the version of a hop on the way to it."""


def set_revision(cluster_set: ClusterSet, regimes: Iterable[Regime]) -> str:
    """Return the revision that the set asks of members that have nothing of their own."""
    return _digest(_set_document(cluster_set, tuple(regimes)))


def member_revision(cluster_set: ClusterSet, member: Member, regimes: Iterable[Regime]) -> str:
    """Return the revision that one member shall have: its set's, and what it says for itself."""
    return Revisions(cluster_set, regimes).of(member)


class Revisions:
    """The revisions of one set's members; what they have in common is worked out once."""

    __slots__ = ("_common", "_document", "_own_regimes", "_regimes")

    def __init__(self, cluster_set: ClusterSet, regimes: Iterable[Regime]) -> None:
        self._regimes = tuple(regimes)
        self._own_regimes = frozenset(cluster_set.regimes)
        self._document = _set_document(cluster_set, self._regimes)
        self._common = _digest(self._document)

    def of(self, member: Member) -> str:
        """Return the revision that a member shall have."""
        regimes = set(member.regimes) - self._own_regimes
        if not (member.settings or member.capabilities or regimes):
            return self._common
        own = _drop_empty(
            {
                "settings": thaw(member.settings),
                "capabilities": sorted(set(member.capabilities)),
                "regimes": _regime_documents(regimes, self._regimes),
            }
        )
        return _digest({**self._document, "member": own}) if own else self._common


def hop_revision(revision: str, version: Version) -> str:
    """Return the revision of a stop on the way to `revision`."""
    return f"{revision}{HOP_MARK}{version}"


def final_revision(revision: str) -> str:
    """Return the revision that a stop on the way leads to; a final one is its own."""
    return revision.partition(HOP_MARK)[0]


def return_revision(done: str, rollout: str) -> str:
    """Return the revision of a child that `rollout` sends back to `done`.

    It differs from `done`, so that the child is verified again; and it names the rollout, so that nobody has to guess
    whether a child has gone back or has never left.
    """
    return f"{settled_revision(done)}{RETURN_MARK}{rollout}"


def settled_revision(revision: str) -> str:
    """Return what a child that went back has gone back to; any other revision is its own."""
    return revision.partition(RETURN_MARK)[0]


def is_return(revision: str, rollout: str) -> bool:
    """Say whether `rollout` has sent the child back that has this revision."""
    return revision.endswith(f"{RETURN_MARK}{rollout}")


def _set_document(cluster_set: ClusterSet, regimes: tuple[Regime, ...]) -> dict[str, Any]:
    return _drop_empty(
        {
            "version": str(cluster_set.version),
            "provider": cluster_set.provider.kind,
            "settings": thaw(cluster_set.provider.settings),
            "authentication": thaw(cluster_set.authentication),
            "capabilities": sorted(set(cluster_set.capabilities)),
            "regimes": _regime_documents(set(cluster_set.regimes), regimes),
        }
    )


def _regime_documents(names: set[str], regimes: tuple[Regime, ...]) -> dict[str, Any]:
    """Describe regimes by name; one that is missing is null, which no regime that is there can be."""
    by_name = {regime.meta.name: regime for regime in regimes}
    return {name: _regime_document(by_name.get(name)) for name in sorted(names)}


def _regime_document(regime: Regime | None) -> dict[str, Any] | None:
    if regime is None:
        return None
    isolation = "" if regime.isolation is Isolation.NAMESPACE else str(regime.isolation)
    return _drop_empty(
        {
            "countries": sorted(set(regime.countries)),
            "exclusive": regime.exclusive,
            "incompatibleWith": sorted(set(regime.incompatible_with)),
            "isolation": isolation,
            "podSecurity": regime.pod_security,
            "labels": dict(regime.labels),
        }
    )


def _drop_empty(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value not in ("", [], {}, False)}


def _digest(document: Mapping[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:LENGTH]
