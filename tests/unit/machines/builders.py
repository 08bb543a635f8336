"""Short ways to write hosts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from atoll.fleet.hosts import (
    Claim,
    Host,
    HostFacts,
    HostJudgement,
    HostPool,
    HostState,
    HostView,
    PoolHost,
    Role,
    SshLogin,
)
from atoll.fleet.values import freeze
from tests.unit.rollout.builders import START, meta

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ"
CLEAN = HostFacts(
    os="Debian GNU/Linux 12",
    kernel="6.1.0",
    architecture="amd64",
    cpus=2,
    memory=8_000_000_000,
    disk_free=50_000_000_000,
    container_runtime="containerd 1.6.20",
    machine_id="m1",
    image_version="2026.11.1",
)


def pool(*names, name="rack", labels=None, **more):
    return HostPool(
        meta=meta(name),
        login=SshLogin(key_secret="pool-key"),
        hosts=tuple(
            PoolHost(name=n, address=f"10.88.0.{i}", host_key=KEY, labels=freeze((labels or {}).get(n, {})))
            for i, n in enumerate(names, 11)
        ),
        **more,
    )


def host(name, *, pool="rack", cluster="", role=Role.WORKER, state=None, **more):
    return Host(
        meta=meta(f"{pool}--{name}", resource_version="7"),
        pool_name=pool,
        host_name=name,
        claim=Claim(cluster_id=cluster, role=role) if cluster else None,
        status=freeze({"state": str(state)} if state else {}),
        **more,
    )


def seen(facts=CLEAN, *, seconds=0, **more):
    return HostView(time=START + timedelta(seconds=seconds), facts=replace(facts, **more))


def judged(name, state=HostState.AVAILABLE, message=""):
    return HostJudgement(host=name, state=state, reason="x", message=message, usable=state is HostState.AVAILABLE)
