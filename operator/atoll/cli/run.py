"""`atoll run`: the operator, in a cluster or beside one."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.option("--kubeconfig", default="", help="Management cluster; in a pod: its own ServiceAccount.")
@click.option("--context", default="", help="Context of the kubeconfig.")
@click.option("-n", "--namespace", "namespaces", multiple=True, help="Serve these fleets only (default: all).")
@click.option(
    "--resync", type=click.FloatRange(1, 3600), default=10.0, show_default=True, help="Seconds between looks."
)
@click.option("--health-port", type=click.IntRange(0, 65535), default=0, help="Port of /healthz, /readyz, /metrics.")
@click.option("--health-address", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--audit", is_flag=True, help="Let new local planes write an audit log.")
@click.option(
    "--allow-cloud-endpoints",
    is_flag=True,
    envvar="ATOLL_ALLOW_CLOUD_ENDPOINTS",
    help="Let credentials Secrets name another address (key `endpoint`) than their cloud's own.",
)
@click.option(
    "--cloud-poll",
    type=click.FloatRange(min=0.01),
    default=10.0,
    show_default=True,
    envvar="ATOLL_CLOUD_POLL",
    help="Seconds between questions about a cluster that its cloud is working on.",
)
@click.option(
    "--cloud-resync",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    envvar="ATOLL_CLOUD_RESYNC",
    help="Seconds between questions about a managed cluster although nothing has happened.",
)
@click.option("--embedded-home", default="", hidden=True, help="Set by `atoll up`: the home that this operator serves.")
def run(**options: Any) -> None:
    """Run the operator until it is told to stop."""
    import asyncio
    import os
    from pathlib import Path

    from atoll.embedded.home import Home
    from atoll.kube.connect import Connection
    from atoll.shell.context import Settings
    from atoll.shell.logs import set_up_logging
    from atoll.shell.run import run_operator

    from .options import choose_kubeconfig, home_folder
    from .providers import build_providers

    set_up_logging(options["log_format"])
    home = Home(Path(options["embedded_home"])) if options["embedded_home"] else Home(home_folder(os.environ))
    stated = options["kubeconfig"]
    if options["embedded_home"]:
        stated = stated or str(home.operator_kubeconfig)
    if not stated and os.environ.get("KUBERNETES_SERVICE_HOST"):
        connection = Connection.in_cluster()
    else:
        path = choose_kubeconfig(stated, os.environ, Path.is_file)
        text = path.read_text(encoding="utf-8")
        connection = Connection.from_kubeconfig(text, trusted=True, folder=path.parent, context=options["context"])
    settings = Settings(
        resync_seconds=options["resync"],
        namespaces=options["namespaces"],
        health_port=options["health_port"],
        health_address=options["health_address"],
        allow_cloud_endpoints=options["allow_cloud_endpoints"],
        cloud_poll_seconds=options["cloud_poll"],
        cloud_resync_seconds=options["cloud_resync"],
    )
    asyncio.run(
        run_operator(settings, connection, lambda clock: build_providers(home, clock, audit_log=options["audit"]))
    )
