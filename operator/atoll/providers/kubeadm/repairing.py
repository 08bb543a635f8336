"""What should run on a node runs again. Pure."""

from __future__ import annotations

from atoll.hosts.command import Command, Operation

from . import paths


def start_services(*, with_routes: bool) -> Operation:
    """Start containerd and kubelet if they are down, and set the routes anew."""
    yield Command(argv=("systemctl", "enable", "kubelet"), why="let the kubelet start with the host")
    yield Command(argv=("systemctl", "start", "containerd", "kubelet"), why="start what is missing", seconds=120)
    if with_routes:
        yield Command(
            argv=("systemctl", "restart", paths.ROUTES_SERVICE), why="set the routes to the other nodes' pods"
        )
