"""Options that several verbs share, and what they say when put together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

DEFAULT_NAMESPACE: Final = "fleet"
"""The fleet of the quick start."""
FORMATS: Final = ("table", "wide", "json", "yaml", "name")

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which management cluster is meant, and which fleet of it."""

    kubeconfig: Path
    context: str
    """Empty: the file's current one."""
    namespace: str
    """Empty: all fleets."""


def home_folder(environ: Mapping[str, str]) -> Path:
    """Return where the embedded management plane keeps its state."""
    if stated := environ.get("ATOLL_HOME"):
        return Path(stated).expanduser().absolute()
    return Path(environ.get("HOME") or Path.home()) / ".local/share/atoll"


def choose_kubeconfig(stated: str, environ: Mapping[str, str], is_file: Callable[[Path], bool]) -> Path:
    """Choose a kubeconfig: the stated one, KUBECONFIG, the embedded plane's, the one in the home folder."""
    if stated:
        return Path(stated).expanduser()
    # A list of files is kubectl's way to merge them; we read one, the first that is there.
    listed = [Path(part).expanduser() for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    embedded = home_folder(environ) / "management.kubeconfig"
    usual = Path(environ.get("HOME") or Path.home()) / ".kube/config"
    if listed:
        return next((path for path in listed if is_file(path)), listed[0])
    return embedded if is_file(embedded) else usual


def build_target(kubeconfig: str, context: str, namespace: str, *, all_namespaces: bool = False) -> Target:
    """Put the options of a verb together."""
    return Target(
        kubeconfig=choose_kubeconfig(kubeconfig, os.environ, Path.is_file),
        context=context,
        namespace="" if all_namespaces else namespace or DEFAULT_NAMESPACE,
    )


def connection_options(command: Decorated) -> Decorated:
    """Add --kubeconfig and --context."""
    command = click.option("--context", default="", metavar="NAME", help="Context of the kubeconfig.")(command)
    return click.option("--kubeconfig", default="", metavar="FILE", help="Kubeconfig of the management cluster.")(
        command
    )


def namespace_option(command: Decorated) -> Decorated:
    """Add -n."""
    return click.option("-n", "--namespace", default="", metavar="FLEET", help="The fleet; `fleet` when not given.")(
        command
    )


def all_namespaces_option(command: Decorated) -> Decorated:
    """Add -A."""
    return click.option("-A", "--all-namespaces", is_flag=True, help="All fleets.")(command)


def output_option(*formats: str) -> Callable[[Decorated], Decorated]:
    """Add -o with some of FORMATS, the first being the default."""
    return click.option(
        "-o", "--output", type=click.Choice(formats), default=formats[0], show_default=True, help="How to print it."
    )
