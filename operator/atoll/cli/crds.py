"""`atoll crds`: print, write or check the CustomResourceDefinitions and what else comes from the models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click


@click.command("crds")
@click.argument("folder", default=".", metavar="[DIR]")
@click.option("--check", is_flag=True, help="Exit 1 and name the files in DIR that are not current.")
@click.option("--write", is_flag=True, help="Bring the files in DIR up to date.")
def crds(folder: str, check: bool, write: bool) -> int:
    """Print the CustomResourceDefinitions; or write them into DIR (here), or check those that are there.

    In a checkout of Atoll that is crds/ and the chart's copies, elsewhere the CRDs alone.
    """
    from atoll.api.crds import build_files

    if check and write:
        raise click.UsageError("--check and --write are two things. Name one of them.")
    if check:
        return _check(Path(folder))
    if write:
        return _write(Path(folder))
    click.echo("---\n".join(build_files().values()), nl=False)
    return 0


def _choose_files(root: Path) -> Mapping[str, str]:
    """Choose what belongs below `root`: all generated files of a checkout, else the CRDs alone."""
    from atoll.api.crds import build_files
    from atoll.api.generated import CHART, build_generated_files

    return build_generated_files() if (root / CHART).is_dir() else build_files()


def _check(root: Path) -> int:
    from atoll.api.generated import find_stale

    stale = find_stale(root, _choose_files(root))
    for name in stale:
        click.echo(f"{root / name} is not what the models say")
    if stale:
        click.echo(f"\n{len(stale)} files are not current.  Next: atoll crds --write {root}", err=True)
        return 1
    click.echo("All generated files are current.", err=True)
    return 0


def _write(root: Path) -> int:
    from atoll.api.generated import write_files

    wanted = _choose_files(root)
    changed = write_files(root, wanted)
    for name in changed:
        click.echo(f"{root / name} {'written' if name in wanted else 'removed'}")
    here = root / "crds" if "crds" in {name.split("/")[0] for name in wanted} else root
    click.echo(
        f"\n{len(changed)} of {len(wanted)} files changed.  Next: kubectl apply --server-side -f {here}", err=True
    )
    return 0
