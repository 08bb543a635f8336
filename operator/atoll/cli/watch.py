"""`atoll watch`: a rollout going through its waves."""

from __future__ import annotations

import click

from .options import build_target, connection_options, namespace_option, output_option


@click.command()
@click.argument("rollout", metavar="[ROLLOUT]", default="")
@click.option("--once", is_flag=True, help="Print one picture and end.")
@click.option("--until-done", is_flag=True, help="Exit 0 when it is Done, 1 when it has ended otherwise.")
@click.option("--timeout", default="", metavar="TIME", help="Give up after this time, like 15m; exit 1.")
@namespace_option
@connection_options
@output_option("table", "json", "yaml")
def watch(
    rollout: str,
    once: bool,
    until_done: bool,
    timeout: str,
    namespace: str,
    kubeconfig: str,
    context: str,
    output: str,
) -> int:
    """Watch ROLLOUT (its name, or its ClusterSet's) go through its waves until it ends; without one, all that run.

    Where nobody sees a picture, in a pipe, it prints a line for each thing that changes. JSON and YAML are one
    document: of now, or of the end with --until-done.
    """
    import asyncio

    from .durations import parse_seconds
    from .rollout_actions import write_options
    from .watching import Watch

    target = build_target(kubeconfig, context, namespace)
    watching = Watch(
        target=target,
        name=rollout,
        once=once or (output != "table" and not until_done),
        until_done=until_done,
        seconds=parse_seconds(timeout) if timeout else None,
        form=output,
        options=write_options(target.namespace, kubeconfig, context),
    )
    try:
        return asyncio.run(watching.run())
    except KeyboardInterrupt:
        watching.say_next()  # leaving is no error, but nobody may take it for an end
        return 130
