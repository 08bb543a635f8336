"""What can be told of an operation without asking GKE: fields that it cannot use, and those that never change. Pure."""

from __future__ import annotations

from atoll.fleet.values import Version
from atoll.ports import Finding, Operation, OperationType, WantedCluster
from atoll.providers.managed.marks import build_name

from .labels import find_label_faults
from .pools import tell_blocking_pool
from .seen import SeenCluster
from .settings import BLOCK, Settings, find_faults, parse_settings
from .versions import FIELD, check_hop

LONGEST_NAME = 40


def check_operation(wanted: WantedCluster, operation: Operation, seen: SeenCluster | None) -> tuple[Finding, ...]:
    """Find all that is in the way."""
    faults = (*find_faults(wanted.settings), *find_label_faults(wanted.labels))
    found = [Finding.of(fault) for fault in faults]
    name = build_name(wanted.ref)
    if len(name) > LONGEST_NAME:
        message = f"{name} is longer than the {LONGEST_NAME} characters that GKE allows for a cluster's name"
        found.append(Finding(reason="InvalidSpec", message=message))
    if faults or seen is None:
        return tuple(found)
    settings, version = parse_settings(wanted.settings), Version.parse(wanted.version)
    found += check_fixed(wanted, settings, seen)
    if operation.type is OperationType.CHANGE:
        if hop := check_hop(version, seen):
            found.append(hop)
        elif blocked := tell_blocking_pool(settings, seen, version, wanted.ref.id):
            found.append(Finding(reason="NodePoolBehind", message=blocked, field=FIELD))
    return tuple(found)


def check_fixed(wanted: WantedCluster, settings: Settings, seen: SeenCluster) -> list[Finding]:
    """Find fields that GKE fixes when it makes a cluster and that are declared otherwise now."""
    pairs = (
        ("ImmutableNetwork", f"{BLOCK}.network", _last(settings.network), _last(seen.network)),
        ("ImmutableSubnetwork", f"{BLOCK}.subnetwork", _last(settings.subnetwork), _last(seen.subnetwork)),
        ("ImmutablePodCidr", "spec.network.addressBlock", wanted.pod_cidr, seen.pod_cidr),
        ("ImmutableServiceCidr", "spec.network.addressBlock", wanted.service_cidr, seen.service_cidr),
    )
    return [
        Finding(
            reason=reason,
            message=f"cluster {seen.name} was made with {there}, and GKE cannot change it to {here}. Take {field} "
            "back, or add a member that has it and move to it",
            field=field,
        )
        for reason, field, here, there in pairs
        if here and there and here != there
    ]


def _last(name: str) -> str:
    """Return the last part of a name such as `projects/p/global/networks/n`."""
    return name.rsplit("/", 1)[-1]
