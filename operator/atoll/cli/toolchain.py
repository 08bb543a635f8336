"""`atoll toolchain`: which Kubernetes and etcd binaries there are; gets the missing."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

if TYPE_CHECKING:
    from rich.console import Console

    from atoll.toolchain import Found, Progress, Sources, Toolchain

OUTPUTS: Final = ("table", "json", "yaml", "name")
_WIDE: Final = 250
"""Columns where nobody's terminal limits them: a path in a pipe must come whole."""

Inventory = Sequence[tuple[str, str, "Found | None"]]
"""Version, binary, and where it is."""


class _Display(Protocol):
    """A Progress that must be opened and closed."""

    def __enter__(self) -> Progress: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


def _output_option(command: Any) -> Any:
    return click.option(
        "-o", "--output", type=click.Choice(OUTPUTS), default="table", show_default=True, help="How to print."
    )(command)


@click.group(invoke_without_command=True)
@_output_option
@click.pass_context
def toolchain(context: click.Context, output: str) -> None:
    """List which Kubernetes and etcd binaries there are, and where.

    Looked at in this order: $ATOLL_ASSETS/VERSION/BINARY, $KUBEBUILDER_ASSETS (only the version that its binaries
    report), the cache, then for `get` the official downloads and a build from the Go modules that Atoll pins.
    """
    if context.invoked_subcommand is not None:
        return
    from atoll.toolchain import Toolchain

    with _explained():
        chain = Toolchain(_read_sources(offline=False))
        _print_inventory(list_inventory(chain, chain.versions()), output)


@toolchain.command()
@click.argument("versions", metavar="[VERSION]…", nargs=-1)
@click.option("-b", "--binary", "binaries", multiple=True, help="Only this binary; may be repeated.")
@click.option("--offline", is_flag=True, help="Use no network: only build from Go modules that are on this machine.")
@_output_option
def get(versions: tuple[str, ...], binaries: tuple[str, ...], offline: bool, output: str) -> None:
    """Get the missing binaries of each VERSION (v1.36.4, etcd-v3.6.8); with none, of all that Atoll pins."""
    from atoll.toolchain import KUBERNETES_VERSIONS, Toolchain

    with _explained():
        wanted = choose_wanted(versions or KUBERNETES_VERSIONS, binaries)
        with open_display() as progress:
            chain = Toolchain(_read_sources(offline=offline), progress=progress)
            for version, names in wanted:
                chain.get(version, names)
        _print_inventory([(v, b, chain.find(v, b)) for v, names in wanted for b in names], output)


def choose_wanted(versions: Sequence[str], binaries: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Choose which binaries to get of which version; a Kubernetes version brings the etcd that it runs on.

    Raises BadInput for a version that is none, or a binary that none of the versions has.
    """
    from atoll.errors import BadInput
    from atoll.toolchain import ETCD, PACKAGES, USUAL_BINARIES, Component, parse_version

    named = [f"v{version}" if version[:1].isdigit() else version for version in versions]
    components = {version: parse_version(version)[0] for version in dict.fromkeys(named)}
    if Component.KUBERNETES in components.values():
        components[ETCD] = Component.ETCD
    unknown = [binary for binary in binaries if not any(binary in PACKAGES[component] for component in PACKAGES)]
    if unknown:
        known = ", ".join(name for names in PACKAGES.values() for name in names)
        raise BadInput(f"{unknown[0]!r} is no binary of Kubernetes or etcd. Choose from {known}.", field="--binary")
    chosen = (
        (version, tuple(name for name in (binaries or USUAL_BINARIES[component]) if name in PACKAGES[component]))
        for version, component in components.items()
    )
    return tuple((version, names) for version, names in chosen if names)


def list_inventory(chain: Toolchain, versions: Sequence[str]) -> Inventory:
    """List the binaries that Atoll uses, there or not, and beyond them those that happen to be there."""
    from atoll.toolchain import ETCD, PACKAGES, USUAL_BINARIES, parse_version

    rows = []
    for version in (*versions, ETCD):
        component, _ = parse_version(version)
        usual = USUAL_BINARIES[component]
        for binary in (*usual, *(name for name in PACKAGES[component] if name not in usual)):
            found = chain.find(version, binary)
            if found is not None or binary in usual:
                rows.append((version, binary, found))
    return rows


def _read_sources(*, offline: bool) -> Sources:
    import os
    from dataclasses import replace

    from atoll.toolchain import Sources

    sources = Sources.from_environ(os.environ)
    return replace(sources, offline=True) if offline else sources


class _explained(AbstractContextManager[None]):  # noqa: N801 - reads as a word in a with line
    """Print Atoll's own errors as they are, without a traceback, and exit with 1."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        from atoll.errors import AtollError

        if isinstance(error, AtollError):
            raise click.ClickException(str(error)) from error


def _print_inventory(inventory: Inventory, output: str) -> None:
    rows = [
        {
            "version": version,
            "binary": binary,
            "source": found.source if found else None,
            "path": str(found.path) if found else None,
        }
        for version, binary, found in inventory
    ]
    match output:
        case "json":
            click.echo(json.dumps({"binaries": rows}, indent=2))
        case "yaml":
            import yaml

            click.echo(yaml.safe_dump({"binaries": rows}, sort_keys=False), nl=False)
        case "name":
            click.echo("\n".join(f"{version}/{binary}" for version, binary, found in inventory if found))
        case _:
            _print_table(inventory)


def _print_table(inventory: Inventory) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDE)
    table = Table("VERSION", "BINARY", "SOURCE", box=None, pad_edge=False, header_style="bold")
    table.add_column("PATH", overflow="fold")
    for version, binary, found in inventory:
        if found is None:
            table.add_row(version, binary, "✗ missing", "", style="red")
        else:
            table.add_row(version, binary, found.source, _shorten(found.path))
    console.print(table)
    console.print()
    missing = list(dict.fromkeys(version for version, _, found in inventory if found is None))
    if missing:
        count = sum(found is None for _, _, found in inventory)
        console.print(f"{count} missing.  Next: atoll toolchain get {' '.join(missing)}", soft_wrap=True)
    else:
        console.print("Nothing is missing.  Next: atoll up", soft_wrap=True)


def _shorten(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def open_display() -> _Display:
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    return _Bars(console) if console.is_terminal else _Lines()


class _Lines(AbstractContextManager["_Lines"]):
    """One line per event, for logs and pipes."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def __exit__(self, *_: object) -> None:
        return None

    def stage(self, version: str, binary: str, what: str) -> None:
        click.echo(f"{version} {binary}: {what}", err=True)

    def advance(self, version: str, binary: str, done: int, total: int | None) -> None:
        pass

    def finished(self, found: Found) -> None:
        seconds = time.monotonic() - self._begun
        click.echo(f"{found.version} {found.binary}: {found.source} done, at {seconds:.0f} s: {found.path}", err=True)


class _Bars(AbstractContextManager["_Bars"]):
    """One live line: a bar with bytes for a download, a spinner with the time for a build."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=16))
        amount = TextColumn("{task.fields[amount]}")
        self._progress = Progress(*columns, amount, TimeElapsedColumn(), console=console, transient=True)
        self._task = self._progress.add_task("", amount="", visible=False)
        self._begun: dict[tuple[str, str], float] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stage(self, version: str, binary: str, what: str) -> None:
        if (version, binary) not in self._begun:
            self._begun[version, binary] = time.monotonic()
            self._progress.reset(self._task, total=None, amount="", visible=True)
        self._progress.update(self._task, description=what, total=None, completed=0, amount="")

    def advance(self, version: str, binary: str, done: int, total: int | None) -> None:
        amount = f"{done / 1e6:.1f} MB" if total is None else f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
        self._progress.update(self._task, completed=done, total=total, amount=amount)

    def finished(self, found: Found) -> None:
        begun = self._begun.pop((found.version, found.binary), time.monotonic())
        self._progress.update(self._task, visible=False)
        self._progress.console.print(
            f" ✓ {found.version:<12} {found.binary:<24} {found.source:<10} {time.monotonic() - begun:5.1f} s"
        )
