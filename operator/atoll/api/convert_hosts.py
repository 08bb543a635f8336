"""HostPools and Hosts, converted."""

from __future__ import annotations

from atoll.fleet import hosts

from . import hostpool
from .convert_parts import Body, convert_labels, convert_meta, convert_paused, freeze_model, freeze_status
from .parse import parse_as


def convert_host_pool(body: Body) -> hosts.HostPool:
    """Convert a HostPool; raises BadInput naming the field."""
    parsed = parse_as(hostpool.HostPool, body, status=False)
    wanted = parsed.spec
    return hosts.HostPool(
        meta=convert_meta(parsed.metadata),
        login=_convert_login(wanted.ssh),
        hosts=tuple(
            hosts.PoolHost(
                name=host.name,
                address=host.address,
                host_key=host.host_key,
                port=host.port,
                labels=convert_labels(host.labels),
            )
            for host in wanted.hosts
        ),
        image_version="" if wanted.image is None else wanted.image.version,
        reimage=freeze_model(wanted.reimage),
        spare=wanted.replacement.spare,
        deletion_protection=wanted.deletion_protection,
        paused=convert_paused(wanted.paused),
        status=freeze_status(body),
    )


def convert_host(body: Body) -> hosts.Host:
    """Convert a Host; raises BadInput naming the field."""
    parsed = parse_as(hostpool.Host, body, status=False)
    claim = parsed.spec.claim
    return hosts.Host(
        meta=convert_meta(parsed.metadata),
        pool_name=parsed.spec.pool_name,
        host_name=parsed.spec.host_name,
        claim=None if claim is None else hosts.Claim(cluster_id=claim.cluster_id, role=hosts.Role(claim.role)),
        status=freeze_status(body),
    )


def _convert_login(ssh: hostpool.Ssh) -> hosts.SshLogin:
    jump = ssh.jump
    return hosts.SshLogin(
        key_secret=ssh.key_secret_ref.name,
        user=ssh.user,
        port=ssh.port,
        sudo=ssh.sudo,
        jump=None
        if jump is None
        else hosts.SshJump(address=jump.address, user=jump.user, host_key=jump.host_key, port=jump.port),
    )
