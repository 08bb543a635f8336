"""`atoll demo`: a fleet grows from nothing and is changed in waves, while its tenants are served."""

from __future__ import annotations

import click

from .options import home_folder


@click.command()
@click.argument("path", default="examples/quickstart")
@click.option("--to", "target", default="v1.36.4", show_default=True, help="Version to change the fleet to.")
@click.option("--timeout", default="15m", show_default=True, help="How long each half may take.")
def demo(path: str, target: str, timeout: str) -> int:
    """Grow the quick start's fleet, then change its version in waves, counting the calls that fail meanwhile."""
    import asyncio
    import os

    from atoll.embedded.operator_process import home_of

    from .demonstration import demonstrate
    from .durations import parse_seconds

    home = home_of(home_folder(os.environ))
    return asyncio.run(demonstrate(home, path, target, seconds=parse_seconds(timeout)))
