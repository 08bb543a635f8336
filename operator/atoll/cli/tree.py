"""`atoll tree`: the fleet, problems first."""

from __future__ import annotations

import click

from .options import all_namespaces_option, build_target, connection_options, namespace_option, output_option


@click.command()
@namespace_option
@all_namespaces_option
@connection_options
@output_option("table", "wide", "json", "yaml")
def tree(namespace: str, all_namespaces: bool, kubeconfig: str, context: str, output: str) -> None:
    """Show the fleet as a tree: sets, clusters, environments and tenants; problems first, healthy siblings folded."""
    import asyncio

    from .live import open_store, read_bodies
    from .output import open_console, print_data, print_next
    from .tree_model import Node, build_fleet, build_fleets, choose_next
    from .tree_view import render_fleet

    target = build_target(kubeconfig, context, namespace, all_namespaces=all_namespaces)

    async def read() -> tuple[Node, ...]:
        async with open_store(target) as store:
            bodies = await read_bodies(store, target.namespace)
        return build_fleets(bodies) if all_namespaces else (build_fleet(target.namespace, bodies),)

    fleets = asyncio.run(read())
    if output in {"json", "yaml"}:
        roots = [fleet.to_json() for fleet in fleets]
        print_data(roots if all_namespaces else roots[0], output)
        return
    console = open_console()
    for fleet in fleets:
        console.print(render_fleet(fleet, wide=output == "wide"))
    print_next(choose_next(fleets), output)
