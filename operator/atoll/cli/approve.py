"""`atoll approve`: one's own word that a gate may open."""

from __future__ import annotations

import click

from .options import build_target, connection_options, namespace_option, output_option


@click.command()
@click.argument("rollout", metavar="ROLLOUT")
@click.option("--wave", default="", metavar="WAVE", help="Wave of the gate.")
@click.option("--gate", default="", metavar="GATE", help="The gate; not needed where one alone waits for approval.")
@namespace_option
@connection_options
@output_option("table", "json", "yaml", "name")
def approve(rollout: str, wave: str, gate: str, namespace: str, kubeconfig: str, context: str, output: str) -> None:
    """Approve a gate of ROLLOUT: its name, or its ClusterSet's.

    Your user name and groups are asked of the API server, and a policy there proves them. Approving twice changes
    nothing. Who asked for the change cannot approve it.
    """
    import asyncio

    from .approving import give_approval
    from .output import print_next
    from .rollout_actions import print_result, write_options

    target = build_target(kubeconfig, context, namespace)
    options = write_options(target.namespace, kubeconfig, context)
    approval, told = asyncio.run(give_approval(target, rollout, wave, gate, options))
    print_result(approval, told, output)
    print_next([f"atoll watch {approval['spec']['rolloutRef']['name']}{options}"], output)
