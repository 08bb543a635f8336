"""What people read when a binary cannot be had: where we looked, and what to do. Computes only."""

from __future__ import annotations

from .golang import GoSearch
from .pins import PINS, USUAL_BINARIES, Component
from .sources import Sources


def describe_unavailable(sources: Sources, version: str, component: Component, downloads: str) -> str:
    """Say that no source has a version; `downloads` is why the official downloads did not help."""
    pinned = ", ".join(pin.version.removeprefix("v") for pin in PINS if pin.component is component)
    return (
        f"{version}: no binaries for it. I looked in {_local_places(sources)}, the official downloads ({downloads}) "
        f"and the pinned modules ({pinned}). Put them into $ATOLL_ASSETS/{version}/ or choose one of those."
    )


def describe_not_here(sources: Sources, version: str, component: Component, binary: str) -> str:
    """Say that a binary is not on this machine, where nobody may fetch it."""
    option = "" if binary in USUAL_BINARIES[component] else f" --binary {binary}"
    return (
        f"{version}: {binary} is not on this machine. I looked in {_local_places(sources)}. "
        f"Get it with `atoll toolchain get {version}{option}`, or put it into $ATOLL_ASSETS/{version}/."
    )


def describe_no_go(sources: Sources, version: str, binary: str, *, downloads: str, lane: str, search: GoSearch) -> str:
    """Say that a build is the last way left and there is no compiler for it."""
    places = ", ".join(map(str, search.looked_in)) or "nowhere: PATH is empty"
    unfit = f" {'; '.join(search.unfit)}." if search.unfit else ""
    return (
        f"{version}: {binary} must be built, and that needs Go {lane} or newer. I looked for `go` in {places}.{unfit} "
        f"Before that I looked for {binary} in {_local_places(sources)} and the official downloads ({downloads}). "
        f"Install Go from https://go.dev/dl/, or put the binary into $ATOLL_ASSETS/{version}/."
    )


def _local_places(sources: Sources) -> str:
    assets = "ATOLL_ASSETS" if sources.assets is not None else "ATOLL_ASSETS (not set)"
    flat = "KUBEBUILDER_ASSETS, " if sources.kubebuilder_assets is not None else ""
    return f"{assets}, {flat}the cache"
