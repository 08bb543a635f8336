"""The calls on maintenance configurations: when a cluster may change by itself, and when not. They take no time."""

from __future__ import annotations

from typing import Any, Final

from azure.mgmt.containerservice import models

from .aks_errors import invalid_parameter, resource_missing
from .aks_store import Store
from .aks_values import Cluster
from .aks_wire import read_body, show_page
from .core import Answer, Ask

DEFAULT: Final = "default"
NAMES: Final = (DEFAULT, "aksManagedAutoUpgradeSchedule", "aksManagedNodeOSUpgradeSchedule")
SCHEDULES: Final = ("daily", "weekly", "absoluteMonthly", "relativeMonthly")


class Windows:
    """Maintenance configurations of the clusters of one cloud."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, ask: Ask) -> Answer:
        """Return one."""
        cluster = self._cluster(ask)
        if ask.parts["window"] not in cluster.maintenance:
            kind = f"managedClusters/{ask.parts['name']}/maintenanceConfigurations"
            raise resource_missing(kind, ask.parts["window"], ask.parts["group"])
        return Answer(body=_show(cluster, ask.parts["window"]))

    def list_all(self, ask: Ask) -> Answer:
        """Return those of a cluster."""
        cluster = self._cluster(ask)
        return show_page(self._store.cloud, ask, [(name, _show(cluster, name)) for name in cluster.maintenance])

    def put(self, ask: Ask) -> Answer:
        """Create one, or make it so."""
        body = read_body(self._store.cloud, ask, models.MaintenanceConfiguration)
        cluster, name = self._cluster(ask), ask.parts["window"]
        given = body.get("properties") or {}
        _check(name, given)
        new = name not in cluster.maintenance
        cluster.maintenance[name] = given
        return Answer(status=201 if new else 200, body=_show(cluster, name))

    def delete(self, ask: Ask) -> Answer:
        """Delete one."""
        gone = self._cluster(ask).maintenance.pop(ask.parts["window"], None)
        return Answer(status=204 if gone is None else 200)

    def _cluster(self, ask: Ask) -> Cluster:
        return self._store.get_parent(ask, "maintenanceConfigurations")


def _check(name: str, given: dict[str, Any]) -> None:
    if name not in NAMES:
        raise invalid_parameter("configName", f"The name of a maintenance configuration is one of {', '.join(NAMES)}.")
    window = given.get("maintenanceWindow")
    if name == DEFAULT and (window or not (given.get("timeInWeek") or given.get("notAllowedTime"))):
        raise invalid_parameter(
            "properties.timeInWeek", "The default configuration takes timeInWeek or notAllowedTime."
        )
    if name != DEFAULT and (not window or given.get("timeInWeek") or given.get("notAllowedTime")):
        raise invalid_parameter("properties.maintenanceWindow", f"{name} takes a maintenanceWindow and nothing else.")
    if window and len([kind for kind in SCHEDULES if window["schedule"].get(kind)]) != 1:
        raise invalid_parameter("properties.maintenanceWindow.schedule", "A schedule has exactly one kind.")
    if window and not 4 <= window["durationHours"] <= 24:
        raise invalid_parameter("properties.maintenanceWindow.durationHours", "durationHours is 4 to 24.")


def _show(cluster: Cluster, name: str) -> dict[str, Any]:
    return {
        "id": f"{cluster.id}/maintenanceConfigurations/{name}",
        "name": name,
        "type": "Microsoft.ContainerService/managedClusters/maintenanceConfigurations",
        "properties": cluster.maintenance[name],
    }
