"""`atoll report`: the evidence pack of a fleet."""

from __future__ import annotations

from pathlib import Path

import click

from .options import build_target, connection_options, namespace_option, output_option


@click.command()
@namespace_option
@connection_options
@output_option("table", "json", "html")
@click.option(
    "--output-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Write JSON or HTML there instead of printing it.",
)
def report(namespace: str, kubeconfig: str, context: str, output: str, output_file: Path | None) -> None:
    """Tell which tenant runs where, under which regime, enforced by which objects, verified when.

    Each child is asked what stands in it; one that gives no answer is reported as not seen. The same fleet gives the
    same bytes, and the digest at the end tells two packs apart.
    """
    import asyncio

    from atoll.errors import BadInput

    from .live import open_store, read_bodies
    from .output import print_lines, print_next
    from .report_html import build_page
    from .report_index import Row
    from .report_model import build_report, write_json
    from .report_seen import observe_children
    from .report_view import choose_next, render_report

    if output_file is not None and output == "table":
        raise click.UsageError("Name the form of the file: -o json or -o html.")
    target = build_target(kubeconfig, context, namespace)

    async def read() -> Row:
        async with open_store(target) as store:
            bodies = await read_bodies(store, target.namespace)
            return build_report(target.namespace, bodies, await observe_children(store, target.namespace, bodies))

    pack = asyncio.run(read())
    if output == "table":
        print_lines(render_report(pack))
    else:
        text = write_json(pack) if output == "json" else build_page(pack)
        if output_file is None:
            click.echo(text, nl=False)
        else:
            try:
                output_file.write_text(text, encoding="utf-8")
            except OSError as error:
                raise BadInput(f"{output_file} cannot be written: {error.strerror}. Name another file") from error
    print_next(choose_next(pack), output)
