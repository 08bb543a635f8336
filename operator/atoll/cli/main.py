"""`atoll`, also `kubectl atoll`: the list of verbs, and nothing else.

Help must come in less than 300 ms, so this module imports nothing but click and our errors; the file of a verb is
imported when that verb is asked for, and imports what it needs when it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click

from atoll.errors import AtollError, BadInput


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb lives, and what help says about it."""

    module: str
    attribute: str
    help: str


VERBS: Final[Mapping[str, Verb]] = MappingProxyType(
    {
        "up": Verb("atoll.cli.up", "up", "Start a management plane with the operator, and apply manifests."),
        "down": Verb("atoll.cli.down", "down", "Stop every process that `atoll up` started."),
        "run": Verb("atoll.cli.run", "run", "Run the operator, in a cluster or beside one."),
        "demo": Verb("atoll.cli.demo", "demo", "Show a fleet grow and change, from nothing."),
        "tree": Verb("atoll.cli.tree", "tree", "Show the fleet as a tree, problems first."),
        "plan": Verb("atoll.cli.plan", "plan", "Tell what manifests would do and why, before anything does."),
        "why": Verb("atoll.cli.why", "why", "Tell why something is as it is, root cause first."),
        "watch": Verb("atoll.cli.watch", "watch", "Show a rollout go through its waves, live."),
        "approve": Verb("atoll.cli.approve", "approve", "Approve a gate of a rollout."),
        "pause": Verb("atoll.cli.rollout_actions", "pause", "Let a rollout begin nothing new."),
        "resume": Verb("atoll.cli.rollout_actions", "resume", "Let a paused rollout go on."),
        "abort": Verb("atoll.cli.rollout_actions", "abort", "End a rollout for ever; nothing is reverted."),
        "retry": Verb("atoll.cli.rollout_actions", "retry", "Try again what was halted, aborted or reverted."),
        "report": Verb("atoll.cli.report", "report", "Print the evidence pack: who runs where, enforced by what."),
        "audit": Verb("atoll.cli.audit", "audit", "Check or show the record of a rollout's decisions."),
        "kubeconfig": Verb("atoll.cli.kubeconfig", "kubeconfig", "Print credentials for a child cluster."),
        "toolchain": Verb("atoll.cli.toolchain", "toolchain", "List or get the Kubernetes binaries."),
        "crds": Verb("atoll.cli.crds", "crds", "Write or check the CustomResourceDefinitions."),
    }
)
"""In the order of help."""


class LazyGroup(click.Group):
    """A group whose verbs are imported only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb; None when there is none of that name."""
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        command = getattr(import_module(verb.module), verb.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{verb.module}:{verb.attribute} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs from the table, importing none."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"atoll {version('atoll')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print it.")
def atoll() -> None:
    """Clusters of clusters: describe a fleet, and keep it so."""


def name_program(path: str) -> str:
    """Return how the program is called in help: kubectl runs `kubectl-atoll` for `kubectl atoll`."""
    return "kubectl atoll" if Path(path).name.startswith("kubectl-atoll") else "atoll"


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 something to look at, 2 an error."""
    try:
        code = atoll.main(args, prog_name=name_program(sys.argv[0]), standalone_mode=False)
    except AtollError as error:
        where = f" ({error.field})" if isinstance(error, BadInput) and error.field else ""
        click.echo(f"error: {error}{where}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone: say nothing more
        sys.exit(141)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
