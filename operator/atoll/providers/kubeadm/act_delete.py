"""Hosts are given back: each as it was, or not at all."""

from __future__ import annotations

from collections.abc import Iterable

from atoll.hosts.command import Action, Command
from atoll.hosts.jobs import Host

from . import facts, paths
from .cleaning import clean_host
from .steps import Step
from .values import Node
from .work import Work


async def clean(work: Work, step: Step) -> None:
    """Clean hosts beside each other; one that cannot be reached keeps no other from being cleaned."""

    async def clean_one(node: Node) -> None:
        host = work.hosts[node.name]
        if await work.ask(host, facts.OWNER) != work.cluster.ref.id:
            return  # It belongs to nobody any more, or to somebody else, who is none of our business.

        async def build(host: Host) -> Iterable[Action]:
            before = await work.ask(host, facts.BEFORE)
            if before is None:
                # It was taken, and nothing was done to it.
                return (Command(argv=("true",), why="give the host back: nothing was done to it"),)
            images = await work.ask(host, facts.IMAGES)
            tables = await work.ask(host, facts.TABLES)
            networks = await work.ask(host, facts.NETWORKS)
            return clean_host(
                before,
                ignored=work.cluster.settings.ignored,
                has_kubeadm=f"{paths.PROGRAMS}/kubeadm" in await work.ask(host, facts.PROGRAMS),
                images=images,
                tables=tables,
                networks=networks,
            )

        await work.carry(node, step.kind, build, seconds=900, leaves=True)

    await work.on_each(work.nodes(step.nodes), clean_one)
