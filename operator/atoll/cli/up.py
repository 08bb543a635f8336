"""`atoll up`: the embedded default."""

from __future__ import annotations

import click

from .options import home_folder


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--wait/--no-wait", default=None, help="Wait until all that is applied is Ready (default: with paths).")
@click.option("--timeout", default="15m", show_default=True, help="How long to wait, such as 90s or 15m.")
@click.option("-n", "--namespace", default="fleet", show_default=True, help="For objects that name none.")
@click.option(
    "--resync", type=click.FloatRange(1, 3600), default=10.0, show_default=True, help="Seconds between looks."
)
@click.option("--audit", is_flag=True, help="Let all planes write an audit log.")
def up(paths: tuple[str, ...], wait: bool | None, timeout: str, namespace: str, resync: float, audit: bool) -> int:
    """Start a management plane with the operator on it, and apply manifests; run it again to apply and wait."""
    import asyncio
    import os

    from atoll.embedded.operator_process import home_of

    from .durations import parse_seconds
    from .growing import grow

    return asyncio.run(
        grow(
            home_of(home_folder(os.environ)),
            paths,
            wait=bool(paths) if wait is None else wait,
            seconds=parse_seconds(timeout),
            namespace=namespace,
            resync=resync,
            audit=audit,
        )
    )
