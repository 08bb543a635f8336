"""`atoll kubeconfig`: credentials for a child cluster, its own or a tenant's, printed and kept nowhere."""

from __future__ import annotations

import click

from .options import build_target, connection_options, namespace_option


@click.command()
@click.argument("child")
@click.option("--tenant", default="", metavar="NAME", help="Credentials of a tenant instead of Atoll's own.")
@click.option("--role", type=click.Choice(("admin", "developer", "viewer")), default="developer", show_default=True)
@click.option("--duration", default="1h", show_default=True, metavar="TIME", help="How long a tenant's token is valid.")
@namespace_option
@connection_options
def kubeconfig(
    child: str, tenant: str, role: str, duration: str, namespace: str, kubeconfig: str, context: str
) -> None:
    """Print a kubeconfig for CHILD (a ChildCluster, such as quickstart--dev).

    Without --tenant it holds the identity that Atoll itself has there, which may do everything. With --tenant it holds
    a short-lived token for one role of that tenant, and nothing more than that role may do.
    """
    import asyncio

    from .credentials import parse_lifetime, read_child_kubeconfig, read_tenant_kubeconfig
    from .output import print_next

    target = build_target(kubeconfig, context, namespace)
    seconds = parse_lifetime(duration)
    if tenant:
        text = asyncio.run(read_tenant_kubeconfig(target, child, tenant, role, seconds))
    else:
        text = asyncio.run(read_child_kubeconfig(target, child))
    click.echo(text, nl=not text.endswith("\n"))
    print_next(
        [f"umask 077; atoll kubeconfig {child} > {child}.kubeconfig && kubectl --kubeconfig {child}.kubeconfig get ns"],
        "file",
    )
