"""Limits of single values: names, labels, maintenance, upgrade and scaling settings of pools."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from google.cloud.container_v1.types import cluster_service as api

from .gke_errors import invalid

NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
LABEL_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL_VALUE: Final = re.compile(r"[a-z0-9_-]{0,63}")
MOST_LABELS: Final = 64
MOST_EXCLUSIONS: Final = 20
MOST_FULL_EXCLUSIONS: Final = 3
LONGEST_FULL_EXCLUSION: Final = 90 * 86400
MOST_AT_ONCE: Final = 20
Scope = api.MaintenanceExclusionOptions.Scope
Strategy = api.NodePoolUpdateStrategy


def check_name(name: str, field: str) -> None:
    """Refuse a name that clusters and pools cannot have."""
    if not NAME.fullmatch(name):
        raise invalid(f'Invalid value for field "{field}": "{name}" does not match {NAME.pattern}.', wrong=True)


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that Google's resources cannot have. The limits are documented, the words are ours."""
    if len(labels) > MOST_LABELS:
        raise invalid(f"There are {len(labels)} resource labels; at most {MOST_LABELS} are allowed.", wrong=True)
    for key, value in sorted(labels.items()):
        if not LABEL_KEY.fullmatch(key):
            raise invalid(f'Invalid label key "{key}": it must match {LABEL_KEY.pattern}.', wrong=True)
        if not LABEL_VALUE.fullmatch(value):
            raise invalid(f'Invalid value "{value}" of label "{key}": it must match {LABEL_VALUE.pattern}.', wrong=True)


def check_maintenance(policy: Any, channel: int) -> None:
    """Refuse a maintenance policy that GKE does not allow. The limits are documented, the words are ours."""
    exclusions = policy.window.maintenance_exclusions
    if len(exclusions) > MOST_EXCLUSIONS:
        raise invalid(f"There are more than {MOST_EXCLUSIONS} maintenance exclusions.", wrong=True)
    full = 0
    for name in sorted(exclusions):
        exclusion = exclusions[name]
        options = exclusion.maintenance_exclusion_options
        length = exclusion.end_time.seconds - exclusion.start_time.seconds
        if length <= 0 and options.end_time_behavior == 0:
            raise invalid(f'Maintenance exclusion "{name}" must end after it starts.', wrong=True)
        if options.scope == Scope.NO_UPGRADES:
            full += 1
            if length > LONGEST_FULL_EXCLUSION:
                raise invalid(f'Maintenance exclusion "{name}" of all upgrades is longer than 90 days.', wrong=True)
        elif channel == 0:
            raise invalid(
                f'Maintenance exclusion "{name}" has a scope, and scopes need a cluster in a release channel.',
                wrong=True,
            )
    if full > MOST_FULL_EXCLUSIONS:
        raise invalid(f"There are more than {MOST_FULL_EXCLUSIONS} maintenance exclusions of all upgrades.", wrong=True)


def check_upgrade_settings(settings: Any) -> None:
    """Refuse upgrade settings with which no node could ever be replaced."""
    surge, unavailable = settings.max_surge, settings.max_unavailable
    if settings.strategy == Strategy.BLUE_GREEN:
        return
    if surge < 0 or unavailable < 0 or not 1 <= surge + unavailable <= MOST_AT_ONCE:
        raise invalid(
            f"max_surge ({surge}) and max_unavailable ({unavailable}) must be 0 or more, and 1 to {MOST_AT_ONCE} "
            "together.",
            wrong=True,
        )


def check_autoscaling(scaling: Any) -> None:
    """Refuse bounds that contradict each other."""
    zonal = (scaling.min_node_count, scaling.max_node_count)
    total = (scaling.total_min_node_count, scaling.total_max_node_count)
    if not scaling.enabled:
        return
    if any(zonal) and any(total):
        raise invalid("min/max_node_count and total_min/max_node_count exclude each other.", wrong=True)
    low, high = total if any(total) else zonal
    if not (0 <= low <= high and high >= 1):
        raise invalid(f"Autoscaling needs 0 <= min ({low}) <= max ({high}), and max at least 1.", wrong=True)


def check_management(management: Any, channel: int) -> None:
    """Refuse to switch off what a release channel needs."""
    if channel and not (management.auto_upgrade and management.auto_repair):
        name = api.ReleaseChannel.Channel(channel).name
        raise invalid(f"Auto_upgrade and auto_repair cannot be false when release_channel {name} is set.")
