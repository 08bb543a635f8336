"""Versions as EKS writes them: minors of Kubernetes, and versions of add-ons. Pure."""

from __future__ import annotations

import re

from atoll.errors import BadInput
from atoll.fleet.values import Version

from .seen import Offer


def parse_minor(version: str) -> str:
    """Return `1.36` for `v1.36`; BadInput where a patch is named, because EKS picks the patch."""
    try:
        parsed = Version.parse(version)
    except ValueError as error:
        raise BadInput(str(error), field="spec.version") from None
    minor = f"{parsed.major}.{parsed.minor}"
    if parsed.patch is not None:
        raise BadInput(
            f"spec.version is {version}, and EKS picks the patch itself: write spec.version: v{minor}",
            field="spec.version",
        )
    return minor


def number(minor: str) -> int:
    """Return 36 for `1.36`."""
    _, _, digits = minor.partition(".")
    return int(digits) if digits.isdigit() else 0


def step(minor: str, by: int) -> str:
    """Return the minor version so many after another."""
    major, _, _ = minor.partition(".")
    return f"{major}.{number(minor) + by}"


def rank(addon_version: str) -> tuple[int, ...]:
    """Return what versions of an add-on are ordered by: `v1.19.2-eksbuild.5` → (1, 19, 2, 5)."""
    return tuple(int(digits) for digits in re.findall(r"\d+", addon_version))


def choose_addon_version(declared: str, current: str, offer: Offer | None) -> str:
    """Return the version that an add-on shall move to; empty: it stays as it is.

    Without a declared version it moves to the default, and never down from something newer that fits.
    """
    if declared:
        return declared if declared != current else ""
    if offer is None or not offer.default:
        return ""
    if current in offer.versions and rank(current) >= rank(offer.default):
        return ""
    return offer.default


def choose_version_before(declared: str, current: str, now: Offer | None, before: Offer | None) -> str | None:
    """Return the version that an add-on needs before its control plane goes back; empty: none; None: there is none.

    It has to fit both, because it runs with the one first and with the other then.
    """
    if before is None or current in before.versions:
        return ""
    both = [version for version in before.versions if now is None or version in now.versions]
    for version in (declared, before.default):
        if version and version in both:
            return version
    return max(both, key=rank, default=None)
