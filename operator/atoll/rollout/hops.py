"""Hops: the way from one version to another, computed from versions alone. No minor is ever skipped."""

from __future__ import annotations

from dataclasses import dataclass

from atoll.fleet import reasons
from atoll.fleet.values import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class HopRefusal:
    """Why there is no way."""

    reason: str
    """From the closed list in `fleet.reasons`."""
    message: str
    """What is wrong, and the remedy."""


def plan_hops(served: Version, target: Version, available: tuple[Version, ...]) -> tuple[Version, ...] | HopRefusal:
    """List the versions to go through, the target last; empty when it is served already.

    `available` empty: anything may be asked for, and stops in between are minors alone.
    """
    if target.is_satisfied_by(served):
        return ()
    if target < served:
        return HopRefusal(
            reason=reasons.DOWNGRADE_REFUSED,
            message=f"{target} is older than the {served} that is served, and Kubernetes cannot go back. "
            f"Ask for {served} or newer.",
        )
    if target.major != served.major:
        return HopRefusal(
            reason=reasons.VERSION_UNAVAILABLE,
            message=f"there is no way from {served} to another major version. Ask for a v{served.major} version.",
        )
    last = _choose_last(target, available)
    if isinstance(last, HopRefusal):
        return last
    between: list[Version] = []
    for minor in range(served.minor + 1, target.minor):
        wanted = Version(target.major, minor)
        stop = _newest(wanted, available) if available else wanted
        if stop is None:
            return HopRefusal(
                reason=reasons.VERSION_UNAVAILABLE,
                message=f"the way from {served} to {target} goes through {wanted}, because no minor may be skipped, "
                f"and there are no binaries for any {wanted}. Provide a {wanted} release, or ask for a version up to "
                f"v{target.major}.{minor - 1}. Available: {_listing(available)}.",
            )
        between.append(stop)
    return (*between, last)


def _choose_last(target: Version, available: tuple[Version, ...]) -> Version | HopRefusal:
    if not available:
        return target
    newest = _newest(target, available)
    if newest is None:
        return HopRefusal(
            reason=reasons.VERSION_UNAVAILABLE,
            message=f"there are no binaries for {target} itself (minor v{target.major}.{target.minor}). Provide them, "
            f"or ask for one that is available: {_listing(available)}.",
        )
    return newest


def _newest(wanted: Version, available: tuple[Version, ...]) -> Version | None:
    """Return the newest available version that satisfies `wanted`; ties by suffix, so that order changes nothing."""
    fitting = [version for version in available if wanted.is_satisfied_by(version)]
    return max(fitting, key=lambda version: (version.patch or 0, version.suffix), default=None)


def _listing(available: tuple[Version, ...]) -> str:
    return ", ".join(str(version) for version in sorted(available, key=lambda item: (item, item.suffix))) or "none"
