"""`atoll down`: stop what `atoll up` started."""

from __future__ import annotations

import click

from .options import home_folder


@click.command()
@click.option("--purge", is_flag=True, help="Remove the state as well: planes, their data, logs.")
def down(purge: bool) -> int:
    """Stop every process that `atoll up` started, orphaned local planes too. The toolchain cache stays."""
    import asyncio
    import os

    from atoll.embedded.home import Home
    from atoll.embedded.lifecycle import bring_down
    from atoll.shell.context import SystemClock

    from .output import open_console, print_next
    from .providers import build_planes
    from .telling import Steps

    home = Home(home_folder(os.environ))
    console = open_console()
    if not home.root.is_dir():
        console.print(f"Nothing to stop: there is no state at {home.root}.")
        return 0
    steps = Steps(console)
    try:
        removed = asyncio.run(bring_down(home, build_planes(home, SystemClock()), steps, purge=purge))
    finally:
        steps.stop()
    for path in removed:
        console.print(f"   removed {path}", highlight=False, markup=False)
    print_next(["atoll up"] if purge else ["atoll up", "atoll down --purge"])
    return 0
