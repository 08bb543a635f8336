"""What a kubeadm block asks for: hosts, and what this version cannot do (yet). `settings` as in the API, camelCase."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from atoll.fleet import reasons
from atoll.fleet.cluster import Finding
from atoll.fleet.hosts import HostNeeds
from atoll.fleet.values import Requirement, Selector

FIELD: Final = "spec.provider.kubeadm"
Settings = Mapping[str, Any]


def read_needs(settings: Settings) -> HostNeeds:
    """Read which hosts a merged block asks for."""
    selector = settings.get("hostSelector")
    return HostNeeds(
        pool=settings.get("hostPoolRef", {}).get("name", ""),
        control_plane=int(settings.get("controlPlaneHosts", 1)),
        workers=int(settings.get("workerHosts", 0)),
        selector=None if selector is None else _read_selector(selector),
    )


def check_demands(settings: Settings) -> tuple[Finding, ...]:
    """Find what a merged block asks for that this version does not do, or will not."""
    return tuple(finding for check in CHECKS for finding in check(settings))


def _check_control_plane(settings: Settings) -> Sequence[Finding]:
    count = int(settings.get("controlPlaneHosts", 1))
    if count == 1:
        return []
    return [_refuse("controlPlaneHosts", f"{count} control-plane hosts come in a later version of Atoll: set it to 1")]


def _check_source(settings: Settings) -> Sequence[Finding]:
    source = settings.get("source") or {}
    if source.get("bundlePath"):
        return []
    named = next((f"source.{name}" for name in ("packages", "image") if source.get(name) is not None), "no source")
    message = (
        f"names {named}, which comes in a later version of Atoll: put kubeadm, kubelet, kubectl and the images into a "
        "folder beside the operator, and name it in source.bundlePath"
    )
    return [_refuse("source", message)]


def _check_ignored(settings: Settings) -> Sequence[Finding]:
    names = [entry["name"] for entry in settings.get("ignorePreflightErrors") or ()]
    if not any(name.lower() == "all" for name in names):
        return []
    message = "`all` would ignore every check of kubeadm: name each check that may fail, with its reason"
    return [Finding(reason=reasons.INVALID_SPEC, message=message, field=f"{FIELD}.ignorePreflightErrors")]


CHECKS: Final[tuple[Callable[[Settings], Sequence[Finding]], ...]] = (
    _check_control_plane,
    _check_source,
    _check_ignored,
)


def _refuse(field: str, message: str) -> Finding:
    return Finding(reason=reasons.NOT_IMPLEMENTED, message=message, field=f"{FIELD}.{field}")


def _read_selector(selector: Mapping[str, Any]) -> Selector:
    return Selector(
        match_labels=selector.get("matchLabels", {}),
        match_expressions=tuple(
            Requirement(key=entry["key"], operator=entry["operator"], values=tuple(entry.get("values", ())))
            for entry in selector.get("matchExpressions", ())
        ),
    )
