"""`atoll plan`: what would happen and why, before anything does."""

from __future__ import annotations

import click

from .options import build_target, connection_options, namespace_option, output_option


@click.command()
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    metavar="PATH",
    help="File, folder, or - for standard input; repeatable.",
)
@click.argument("more", metavar="[PATH]…", nargs=-1)
@click.option("--live", is_flag=True, help="Compare with the management cluster; also when a cluster is named.")
@click.option("--all", "everything", is_flag=True, help="Of each tenant that fits nowhere, every refused cluster.")
@namespace_option
@connection_options
@output_option("table", "wide", "json", "yaml", "name")
def plan(
    paths: tuple[str, ...],
    more: tuple[str, ...],
    live: bool,
    everything: bool,
    namespace: str,
    kubeconfig: str,
    context: str,
    output: str,
) -> int:
    """Tell what manifests would do, and why: clusters made and changed, placements, moves, refusals.

    Without --live nothing is compared: every declared cluster counts as there. Exits with 0 when there is nothing to
    do, 1 for changes or refusals, 2 for errors.
    """
    import asyncio
    from datetime import UTC, datetime

    from .output import print_data, print_lines, print_next
    from .plan_model import choose_exit_code
    from .plan_view import choose_next, list_names, render_plan
    from .planning import plan_live, plan_offline

    files = (*paths, *more)
    live = live or bool(kubeconfig or context)
    if not files and not live:
        raise click.UsageError("Name manifests with -f PATH, or use --live.")
    target = build_target(kubeconfig, context, namespace)
    now = datetime.now(UTC)
    if live:
        result = asyncio.run(plan_live(files, target, now, everything=everything))
    else:
        result = plan_offline(files, target.namespace, now, everything=everything)
    if output in {"json", "yaml"}:
        print_data(result, output)
    elif output == "name":
        click.echo("".join(f"{name}\n" for name in list_names(result)), nl=False)
    else:
        print_lines(render_plan(result, live=live, wide=output == "wide"))
    print_next(choose_next(result, files), output)
    return choose_exit_code(result)
