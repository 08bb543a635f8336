"""`atoll audit`: the record of what was decided about rollouts, and whether anybody has touched it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import build_target, connection_options, namespace_option, output_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .audit_model import Chain
    from .options import Target


@click.group()
def audit() -> None:
    """Check, show or export the record of each decision about a rollout.

    It stands in ConfigMaps ROLLOUT-audit-N; each record names the digest of the one before, and the Rollout's
    status.auditHead names the last.
    """


@audit.command(short_help="Find whether anybody has touched the records.")
@click.argument("rollout", default="", metavar="[ROLLOUT]")
@click.option("--all", "every", is_flag=True, help="All rollouts of the fleet; so it is when none is named.")
@click.option(
    "-f", "--file", "files", multiple=True, metavar="FILE", help="An exported file, or `-`, instead of a cluster."
)
@namespace_option
@connection_options
@output_option("table", "json")
def verify(
    rollout: str, every: bool, files: tuple[str, ...], namespace: str, kubeconfig: str, context: str, output: str
) -> int:
    """Find a flipped byte, a record that was dropped, put in or moved, and a tail that was cut off.

    Exit code 0: all is whole. 1: something is not, with the number of the first record concerned. 2: an error.
    """
    from .audit_model import check, write_checked
    from .audit_view import render_checked
    from .output import print_data, print_lines, print_next

    if files and (rollout or every):
        raise click.UsageError("Give either files or a rollout of the cluster.")
    if rollout and every:
        raise click.UsageError("Give either one rollout or --all.")
    chains = _read_files(files) if files else _read_live(build_target(kubeconfig, context, namespace), rollout)
    checked = [check(chain) for chain in chains]
    if output == "json":
        print_data(write_checked(checked), output)
    else:
        print_lines(render_checked(checked))
    broken = [item for item in checked if not item.verdict.intact]
    if not checked:
        print_next(["atoll tree"], output)
    elif not files:
        named = (broken or checked)[0].chain
        print_next([f"atoll audit show {named.name}{_in_fleet(namespace)}"], output)
    return 1 if broken else 0


@audit.command(short_help="Print the records of a rollout.")
@click.argument("rollout")
@namespace_option
@connection_options
@output_option("table", "json")
def show(rollout: str, namespace: str, kubeconfig: str, context: str, output: str) -> int:
    """Print the records of a rollout, one line each. Exit code 1: they are broken."""
    from .audit_model import check, write_records
    from .audit_view import render_records
    from .output import print_data, print_lines, print_next

    (chain,) = _read_live(build_target(kubeconfig, context, namespace), rollout)
    if output == "json":
        print_data(write_records(chain), output)
    else:
        print_lines(render_records(chain))
    intact = check(chain).verdict.intact
    if not intact:
        click.echo("The record is broken: do not rely on it.", err=True)
    print_next([f"atoll audit verify {rollout}{_in_fleet(namespace)}"], output)
    return 0 if intact else 1


@audit.command(short_help="Print the records, to be kept elsewhere.")
@click.argument("rollout")
@namespace_option
@connection_options
def export(rollout: str, namespace: str, kubeconfig: str, context: str) -> None:
    """Print the records of a rollout with its head, to be kept elsewhere and checked with `verify -f`."""
    from .audit_model import write_export

    (chain,) = _read_live(build_target(kubeconfig, context, namespace), rollout)
    sys.stdout.buffer.write(write_export(chain).encode())


def _in_fleet(namespace: str) -> str:
    return f" -n {namespace}" if namespace else ""


def _read_files(files: Sequence[str]) -> list[Chain]:
    from atoll.errors import BadInput

    from .audit_model import read_export

    chains = []
    for name in files:
        try:
            content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except OSError as error:
            raise BadInput(f"{name} cannot be read: {error.strerror}. Name a file of `atoll audit export`") from error
        chains.append(read_export("stdin" if name == "-" else name, content))
    return chains


def _read_live(target: Target, rollout: str) -> list[Chain]:
    """Read one rollout's records, or those of all."""
    import asyncio

    from atoll.errors import BadInput
    from atoll.kube.kinds import CONFIG_MAP, ROLLOUT
    from atoll.rollout.audit_pages import AUDIT_LABEL

    from .audit_model import build_chain
    from .live import open_store

    async def read() -> list[Chain]:
        async with open_store(target) as store:
            # Rollouts first: a record that is written meanwhile then stands after the head, and is no missing one.
            rollouts = sorted(await store.list(ROLLOUT, target.namespace), key=lambda body: body["metadata"]["name"])
            named = [body for body in rollouts if rollout in {"", body["metadata"]["name"]}]
            if rollout and not named:
                there = ", ".join(body["metadata"]["name"] for body in rollouts) or "none"
                raise BadInput(f"there is no Rollout {rollout} in fleet {target.namespace}; there is: {there}")
            label = f"{AUDIT_LABEL}={rollout}" if rollout else AUDIT_LABEL
            pages = await store.list(CONFIG_MAP, target.namespace, label)
        return [build_chain(body, pages) for body in named]

    return asyncio.run(read())
