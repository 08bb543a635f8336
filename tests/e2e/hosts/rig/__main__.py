"""Hosts by hand: `python -m tests.e2e.hosts.rig up h1 h2`, `exec h1 systemctl status`, `down`."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import click

from .bundles import make_bundles
from .failure import RigFailure
from .host import RigHost
from .places import find_home
from .rig import Rig


@click.group(help=__doc__)
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="Folder of the hosts. Default: $ATOLL_RIG_HOME, or the user's state.",
)
@click.option(
    "--segment",
    type=click.IntRange(0, 255),
    help="Number N of the bridge atoll-rigN with 10.88.N.0/24. Default: $ATOLL_RIG_SEGMENT, or 0.",
)
@click.pass_context
def main(context: click.Context, home: Path | None, segment: int | None) -> None:
    """Make the rig that the verbs work on."""
    context.obj = Rig(home or find_home(os.environ), segment=segment)


@main.command()
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def up(rig: Rig, names: tuple[str, ...]) -> None:
    """Switch hosts on, new or kept, and wait for their sshd."""
    begin = time.monotonic()
    for host in rig.up(*names):
        click.echo(show(host))
    click.echo(f"up after {time.monotonic() - begin:.1f} s. Login key: {rig.private_key_path}")


@main.command()
@click.argument("names", nargs=-1)
@click.option("--keep", is_flag=True, help="Keep their disks, so that `up` boots the same hosts again.")
@click.pass_obj
def down(rig: Rig, names: tuple[str, ...], keep: bool) -> None:
    """Switch hosts off (all when none is named) and remove them."""
    if names or keep:
        rig.down(*names, keep=keep)
    else:
        rig.close()


@main.command()
@click.pass_obj
def status(rig: Rig) -> None:
    """List the hosts."""
    for host in rig.list_hosts():
        click.echo(show(host))


@main.command()
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def kill(rig: Rig, names: tuple[str, ...]) -> None:
    """Take the power of hosts away."""
    for name in names:
        rig.host(name).kill()


@main.command()
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def reboot(rig: Rig, names: tuple[str, ...]) -> None:
    """Boot hosts again, and wait for their sshd."""
    for name in names:
        rig.host(name).reboot()


@main.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("name")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def exec_(rig: Rig, name: str, argv: tuple[str, ...]) -> None:
    """Run a program on a host; one word with blanks is given to a shell."""
    if argv[0] == "--":
        argv = argv[1:]
    if len(argv) == 1 and len(shlex.split(argv[0])) > 1:
        argv = ("/bin/sh", "-c", argv[0])
    stdin = "" if sys.stdin.isatty() else sys.stdin.read()
    done = rig.host(name).run(*argv, check=False, timeout=600, stdin=stdin)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    sys.exit(done.returncode)


@main.command()
@click.argument("name")
@click.pass_obj
def state(rig: Rig, name: str) -> None:
    """Print what is on a host, one finding per line."""
    for part, findings in rig.host(name).fingerprint_of_state().items():
        for finding in findings:
            click.echo(f"{part}: {finding}")


@main.command()
@click.argument("versions", nargs=-1)
@click.pass_obj
def bundle(rig: Rig, versions: tuple[str, ...]) -> None:
    """Make binaries and images of Kubernetes versions (all known when none is named)."""
    make_bundles(rig.cache, *versions, tell=click.echo)
    click.echo(rig.bundle_path)


def show(host: RigHost) -> str:
    """Return a host as one line."""
    return f"{host.name}\t{host.address}\t{'on' if host.is_on else 'off'}\t{host.host_key}"


if __name__ == "__main__":
    try:
        main()
    except RigFailure as failure:
        click.echo(f"error: {failure}", err=True)
        sys.exit(1)
