"""`atoll pause`, `resume`, `abort`, `retry`: what people tell a rollout, each one field."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from .options import DEFAULT_NAMESPACE, Decorated, build_target, connection_options, namespace_option, output_option


def _action_options(command: Decorated) -> Decorated:
    for option in (output_option("table", "json", "yaml", "name"), connection_options, namespace_option):
        command = option(command)
    return command


@click.command()
@click.argument("rollout", metavar="ROLLOUT")
@_action_options
def pause(rollout: str, namespace: str, kubeconfig: str, context: str, output: str) -> None:
    """Let ROLLOUT (its name, or its ClusterSet's) begin nothing new; who is being changed finishes that."""
    _give("pause", rollout, namespace, kubeconfig, context, output)


@click.command()
@click.argument("rollout", metavar="ROLLOUT")
@_action_options
def resume(rollout: str, namespace: str, kubeconfig: str, context: str, output: str) -> None:
    """Let a paused ROLLOUT (its name, or its ClusterSet's) go on."""
    _give("resume", rollout, namespace, kubeconfig, context, output)


@click.command()
@click.argument("rollout", metavar="ROLLOUT")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@_action_options
def abort(rollout: str, yes: bool, namespace: str, kubeconfig: str, context: str, output: str) -> None:
    """End ROLLOUT (its name, or its ClusterSet's) for ever; nothing is reverted. On a terminal it asks first."""
    if not yes and sys.stdin.isatty():
        import asyncio

        from .ordering import ask_order
        from .rollout_orders import describe_abort

        order = asyncio.run(ask_order(build_target(kubeconfig, context, namespace), "abort", rollout))
        if order.patch is not None:
            click.echo(describe_abort(order.body), err=True)
            click.confirm("Abort it?", abort=True, err=True)
    _give("abort", rollout, namespace, kubeconfig, context, output)


@click.command()
@click.argument("name", metavar="SET|ROLLOUT")
@_action_options
def retry(name: str, namespace: str, kubeconfig: str, context: str, output: str) -> None:
    """Try again what was halted, aborted or reverted: raises spec.upgrade.retry of the ClusterSet by one."""
    _give("retry", name, namespace, kubeconfig, context, output)


def write_options(namespace: str, kubeconfig: str, context: str) -> str:
    """Write the options again with which a verb was called, for commands to copy: empty, or ` -n NAME` and so on."""
    parts = [("-n", namespace if namespace != DEFAULT_NAMESPACE else "")]
    parts += [("--kubeconfig", kubeconfig), ("--context", context)]
    return "".join(f" {option} {shlex.quote(value)}" for option, value in parts if value)


def print_result(body: Mapping[str, Any], told: str, form: str) -> None:
    """Print an object as it stands now, its name, or what is told of it."""
    from .output import print_data

    if form in {"json", "yaml"}:
        print_data(body, form)
    elif form == "name":
        print(f"{body['kind'].lower()}.{body['apiVersion'].partition('/')[0]}/{body['metadata']['name']}")
    else:
        print(told)


def _give(verb: str, name: str, namespace: str, kubeconfig: str, context: str, output: str) -> None:
    import asyncio

    from .ordering import give_order
    from .output import print_next
    from .rollout_choice import read_set_name

    target = build_target(kubeconfig, context, namespace)
    options = write_options(target.namespace, kubeconfig, context)
    body, told = asyncio.run(give_order(target, verb, name))
    print_result(body, told, output)
    mine = body["metadata"]["name"]
    following: dict[str, Callable[[], list[str]]] = {
        "pause": lambda: [f"atoll resume {mine}", f"atoll watch {mine}"],
        "resume": lambda: [f"atoll watch {mine}"],
        "abort": lambda: [f"atoll watch {mine}", f"atoll retry {read_set_name(body)}"],
        "retry": lambda: [f"atoll watch {mine}", f"atoll why cset/{mine}"],
    }
    print_next([f"{command}{options}" for command in following[verb]()], output)
