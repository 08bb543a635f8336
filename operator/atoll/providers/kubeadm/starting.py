"""The first control-plane node, and our own identity there. Pure."""

from __future__ import annotations

from typing import Final

from atoll.fleet.authentication import render_authentication
from atoll.hosts.command import Command, Operation, RemovePath, Secret, WriteFile

from . import paths
from .configuration import build_reset_configuration, render_documents, render_init
from .documents import NodeMark, render
from .values import Cluster

INIT_SECONDS: Final = 900.0
RESET_SECONDS: Final = 300.0
TOKEN_SECRET: Final = "bootstrap-token-"  # noqa: S105 - a name
ATOLL_USER: Final = "atoll"
ADMINS: Final = "kubeadm:cluster-admins"
"""The group that kubeadm binds to cluster-admin, and that can be unbound: unlike system:masters."""
IDENTITY_HOURS: Final = 8760
"""As long as kubeadm's own certificates; each change makes a new one."""


def init_control_plane(cluster: Cluster, token: str, *, reset_first: bool) -> Operation:
    """Make the first control-plane node. `token` is for init alone and is gone when it ends."""
    if reset_first:
        yield from reset_node(cluster.settings.ignored, why="an earlier init was not finished")
    yield WriteFile(
        path=paths.CLUSTER_CONFIGURATION,
        content=render_init(cluster),
        why="write what the cluster shall be",
        mode=0o600,
    )
    yield WriteFile(
        path=paths.INIT_CONFIGURATION,
        content=Secret(render_init(cluster, token)),
        why="write what init is given",
        mode=0o600,
    )
    yield validate(paths.INIT_CONFIGURATION)
    if cluster.reads_authentication:
        yield write_authentication(render_authentication(cluster.authentication or {}))
    yield Command(
        argv=(
            "kubeadm",
            "init",
            "--config",
            paths.INIT_CONFIGURATION,
            "--skip-token-print",
            "--skip-phases=show-join-command",
        ),
        why=f"make the control plane of {cluster.ref.name} at {cluster.version}",
        seconds=INIT_SECONDS,
    )
    yield RemovePath(path=paths.INIT_CONFIGURATION, why="it holds a token")
    yield delete_tokens(token)
    yield mark_node(cluster.control_plane.name, cluster.control_plane.role)


def write_authentication(text: str) -> WriteFile:
    """Write how people log in; an API server that runs reads it again by itself."""
    return WriteFile(path=paths.AUTHENTICATION, content=text, why="write how people log in", mode=0o600)


def finish_init(cluster: Cluster) -> Operation:
    """Tidy up after an init that was finished by a job of which we do not know the end."""
    yield RemovePath(path=paths.INIT_CONFIGURATION, why="it holds a token")
    yield mark_node(cluster.control_plane.name, cluster.control_plane.role)


def make_identity(cluster: Cluster) -> Operation:
    """Make our own identity in the cluster, readable by root alone."""
    yield WriteFile(
        path=paths.CLUSTER_CONFIGURATION,
        content=render_init(cluster),
        why="write what the cluster shall be",
        mode=0o600,
    )
    yield Command(
        argv=(
            "sh",
            "-c",
            _INTO_FILE,
            "sh",
            paths.KUBECONFIG,
            "kubeadm",
            "kubeconfig",
            "user",
            "--config",
            paths.CLUSTER_CONFIGURATION,
            "--client-name",
            ATOLL_USER,
            "--org",
            ADMINS,
            "--validity-period",
            f"{IDENTITY_HOURS}h",
        ),
        why="make Atoll's own identity in the cluster",
        seconds=60,
    )


_INTO_FILE: Final = """\
umask 077
file=$1; shift
"$@" > "$file.new" && test -s "$file.new" && mv -fT -- "$file.new" "$file" || { rm -f -- "$file.new"; exit 1; }
"""
"""What is printed is secret: no journal may hold it."""


def reset_node(ignored: tuple[str, ...], why: str, *, ok: frozenset[int] = frozenset({0})) -> Operation:
    """Undo what kubeadm did on a host."""
    yield WriteFile(
        path=paths.RESET_CONFIGURATION,
        content=render_documents(build_reset_configuration(ignored)),
        why="write what reset is given",
        mode=0o600,
    )
    yield Command(
        argv=("kubeadm", "reset", "--config", paths.RESET_CONFIGURATION),
        why=f"reset the host: {why}",
        seconds=RESET_SECONDS,
        ok=ok,
    )
    yield RemovePath(path=paths.NODE, why="the host is no node any more")


def validate(path: str) -> Command:
    """Let kubeadm judge a configuration."""
    return Command(argv=("kubeadm", "config", "validate", "--config", path), why="let kubeadm check its configuration")


def mark_node(name: str, role: str) -> WriteFile:
    """Note that the host has become a node: the last action of what makes it one."""
    return WriteFile(
        path=paths.NODE,
        content=render(NodeMark(name=name, role=role)),
        why="note that the host is a node",
        mode=0o600,
    )


def delete_tokens(token: str) -> Command:
    """Delete the bootstrap token whose secret half nobody needs any more."""
    return Command(
        argv=(
            *paths.KUBECTL,
            "--namespace=kube-system",
            "delete",
            "secret",
            TOKEN_SECRET + token.partition(".")[0],
            "--ignore-not-found",
            "--wait=false",
        ),
        why="delete the token after its use",
        seconds=60,
    )
