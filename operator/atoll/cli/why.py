"""`atoll why`: the root cause first, then the chain."""

from __future__ import annotations

import click

from .options import build_target, connection_options, namespace_option, output_option


@click.command()
@click.argument("target", metavar="KIND/NAME")
@namespace_option
@connection_options
@output_option("table", "json", "yaml")
def why(target: str, namespace: str, kubeconfig: str, context: str, output: str) -> None:
    """Tell why an object is as it is: tenant/shop, child/quickstart--dev, cset/quickstart, environment/dev.

    For a tenant: every cluster that refuses it, with the rule and the smallest change that would admit it there.
    """
    import asyncio
    from datetime import UTC, datetime

    from .fleets import explain_tenant
    from .live import open_store, read_bodies
    from .output import print_data, print_lines, print_next
    from .plan_model import write_patch
    from .why_cases import explain
    from .why_model import Nearest, Why, parse_target
    from .why_view import render_why

    kind, name = parse_target(target)
    place = build_target(kubeconfig, context, namespace)

    async def read() -> Why:
        async with open_store(place) as store:
            bodies = await read_bodies(store, place.namespace)
        now = datetime.now(UTC)
        refusals = explain_tenant(place.namespace, bodies, name, now) if kind == "Tenant" else ()
        nearest = [
            Nearest(
                cluster=item.cluster,
                rule=item.rule,
                message=item.message,
                remedy=item.remedy,
                environment=item.environment,
                patches=tuple(write_patch(patch) for patch in item.patches),
            )
            for item in refusals
        ]
        return explain(kind, name, bodies, now, nearest)

    answer = asyncio.run(read())
    if output in {"json", "yaml"}:
        print_data(answer.to_json(), output)
        return
    print_lines(render_why(answer))
    print_next(list(answer.next) or ["atoll tree"], output)
