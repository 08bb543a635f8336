"""The steps that make a cluster, each repeatable: what is done already is found done."""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Iterable
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from atoll.errors import AtollError, Retryable, Terminal
from atoll.hosts.command import Action, RemovePath
from atoll.hosts.jobs import Host, JobState

from . import facts, paths
from .act_login import choose_authentication
from .documents import build_record
from .installing import (
    ETCD_PROGRAMS,
    NODE_PROGRAMS,
    check_images,
    install_programs,
    load_images,
    note_before,
    prepare_system,
    restart_kubelet,
)
from .joining import JOIN_SECONDS, delete_our_tokens, forget_node, join_worker, make_token
from .networking import apply_manifests, set_up_bridge
from .recording import write_cluster
from .starting import INIT_SECONDS, finish_init, init_control_plane, make_identity
from .steps import Kind, Step
from .values import CONTROL_PLANE, Before, ClusterRecord, Node
from .work import Work

READY_SECONDS: Final = 600.0
SHARE_SECONDS: Final = 120.0
FIRST_IMAGES_SECONDS: Final = 900.0


async def take(work: Work, step: Step) -> None:
    """Make the cluster the owner of its hosts, and note what they were like."""

    async def build(host: Host) -> Iterable[Action]:
        before = await work.ask(host, facts.BEFORE)
        return note_before(before if before is not None else await observe_before(work, host))

    await work.on_each(work.nodes(step.nodes), lambda node: work.carry(node, Kind.TAKE, build, seconds=60, takes=True))


async def observe_before(work: Work, host: Host) -> Before:
    """See what a host is like that is to get into the cluster."""
    return Before(
        images=await work.ask(host, facts.IMAGES),
        tables=await work.ask(host, facts.TABLES),
        folders=await work.ask(host, facts.FOLDERS),
        networks=await work.ask(host, facts.NETWORKS),
        forwarding=await work.ask(host, facts.FORWARDING),
    )


async def copy(work: Work, step: Step) -> None:
    """Copy what the wanted version needs to the hosts; what is there already is not copied again."""
    bundle = work.require_bundle()

    async def send(node: Node) -> None:
        host = work.hosts[node.name]
        first = node.role == CONTROL_PLANE
        for program in (*NODE_PROGRAMS, *(ETCD_PROGRAMS if first else ())):
            remote = paths.bundle_program(bundle.version, program)
            await host.put(str(bundle.program(program)), remote, mode=0o755)
        images = await work.ask(host, facts.IMAGES)
        there = set(images)
        for archive in bundle.archives:
            if (first or not archive.for_control_plane_only) and not set(archive.names) <= there:
                await host.put(str(archive.path), f"{paths.bundle_images(bundle.version)}/{archive.path.name}")

    await work.on_each(work.nodes(step.nodes), send)


async def prepare(work: Work, step: Step) -> None:
    """Install programs, load images, set up the system."""
    bundle = work.require_bundle()

    async def build(host: Host) -> Iterable[Action]:
        has_module = await work.ask(host, facts.MODULE)
        is_node = await work.ask(host, facts.MARK) is not None
        return (
            *prepare_system(has_module=has_module),
            *install_programs(bundle.version, NODE_PROGRAMS),
            *await build_images(work, host),
            *(restart_kubelet() if is_node else ()),
        )

    await work.on_each(
        work.nodes(step.nodes),
        lambda node: work.carry(node, Kind.PREPARE, build, seconds=FIRST_IMAGES_SECONDS),
    )


async def build_images(work: Work, host: Host) -> tuple[Action, ...]:
    """Say how the images that wait on a host are loaded."""
    bundle = work.require_bundle()
    waiting = await work.ask(host, facts.list_folder(paths.bundle_images(bundle.version)))
    archives = [(archive.path.name, archive.names) for archive in bundle.archives if archive.path.name in waiting]
    sandbox = await work.ask(host, facts.SANDBOX)
    first = host is work.first
    return (
        *load_images(bundle.version, archives, sandbox=sandbox, pause=bundle.pause),
        # A worker does not run the control plane, and kubeadm would ask for its images, too.
        *(check_images(bundle.version) if first else ()),
    )


async def init(work: Work, step: Step) -> None:
    """Make the control plane; a finished one is left alone, a half-made one is reset first."""
    cluster = work.cluster
    record = await work.ask(work.first, facts.CLUSTER)

    async def build(host: Host) -> Iterable[Action]:
        if await work.ask(host, facts.MARK) is not None:
            return ()
        if await work.ask(host, facts.INIT_FINISHED):
            return finish_init(cluster)
        if record is not None and record.created:
            raise Terminal(f"host {host.name} lost its node.json, and its API does not answer: repair it by hand")
        return init_control_plane(cluster, make_token_text(), reset_first=await work.ask(host, facts.ADMIN))

    await work.carry(cluster.control_plane, step.kind, build, seconds=INIT_SECONDS + 600)


async def make_own_identity(work: Work, step: Step) -> None:
    """Make Atoll's kubeconfig on the control-plane host."""

    async def build(host: Host) -> Iterable[Action]:
        del host
        return make_identity(work.cluster)

    await work.carry(work.cluster.control_plane, step.kind, build, seconds=120)


async def join(work: Work, step: Step) -> None:
    """Let all workers join that are no nodes yet, by one token."""
    cluster = work.cluster
    nodes = {node.name for node in await work.ask(work.first, facts.NODES)}
    waiting = [
        node
        for node in work.nodes(step.nodes)
        if node.name not in nodes or await work.ask(work.hosts[node.name], facts.MARK) is None
    ]
    running = [node for node in waiting if await _is_running(work, node)]
    if waiting:
        token = make_token_text()
        token_id = token.partition(".")[0]

        async def build_token(host: Host) -> Iterable[Action]:
            del host
            return make_token(token, work.clock.now())

        if len(running) < len(waiting):
            await work.carry(cluster.control_plane, f"token-{token_id}", build_token, seconds=120)
        ca_hash = hash_authority(await work.ask(work.first, facts.file_text(f"{paths.PKI}/ca.crt")))
        half_joined = [node.name for node in waiting if node.name in nodes and node not in running]

        async def build_forgetting(host: Host) -> Iterable[Action]:
            del host
            return [action for name in half_joined for action in forget_node(name)]

        if half_joined:
            await work.carry(cluster.control_plane, f"forget-{token_id}", build_forgetting, seconds=300)

        async def join_one(node: Node) -> None:
            async def build(host: Host) -> Iterable[Action]:
                reset_first = await work.ask(host, facts.ADMIN)
                return join_worker(cluster, node, token, ca_hash, reset_first=reset_first)

            await work.carry(node, step.kind, build, seconds=JOIN_SECONDS + 300)

        try:
            await work.on_each(waiting, join_one)
        except AtollError:
            await _forget_tokens(work, token_id)
            raise
        await _forget_tokens(work, token_id)
    else:
        # A life of ours that ended in the middle may have left one.
        await _forget_tokens(work, "left")


async def _is_running(work: Work, node: Node) -> bool:
    status = await work.hosts[node.name].look(f"{work.operation.id}.{Kind.JOIN}")
    return status.state is JobState.RUNNING


async def _forget_tokens(work: Work, key: str) -> None:
    async def build(host: Host) -> Iterable[Action]:
        del host
        return delete_our_tokens()

    await work.carry(work.cluster.control_plane, f"untoken-{key}", build, seconds=120)


async def connect(work: Work, step: Step) -> None:
    """Connect the pods of all nodes."""
    if work.manifests:

        async def build_manifests(host: Host) -> Iterable[Action]:
            del host
            return apply_manifests(work.manifests)

        await work.carry(work.cluster.control_plane, step.kind, build_manifests, seconds=300)
        return
    record = await observe_shares(work)

    async def set_up(node: Node) -> None:
        own = next(entry for entry in record.nodes if entry.name == node.name)

        async def build(host: Host) -> Iterable[Action]:
            del host
            return set_up_bridge(own, record.nodes, work.cluster.pod_cidr)

        await work.carry(node, step.kind, build, seconds=120)

    await work.on_each(work.nodes(step.nodes), set_up)


async def observe_shares(work: Work) -> ClusterRecord:
    """See which share of the pods' network each node has got; waits until all have one."""
    shares: dict[str, str] = {}

    async def look() -> str:
        shares.update({node.name: node.pod_cidr for node in await work.ask(work.first, facts.NODES)})
        missing = [node.name for node in work.cluster.nodes if not shares.get(node.name)]
        return f"{', '.join(missing)} has none" if missing else ""

    await work.until(look, seconds=SHARE_SECONDS, pause=0.5, what="each node has a share of the pods' network")
    return build_record(work.cluster, created=False, version="", shares=shares)


async def ready(work: Work, step: Step) -> None:
    """Wait until all nodes are ready and names are served."""
    del step

    async def look() -> str:
        nodes = {node.name: node for node in await work.ask(work.first, facts.NODES)}
        missing = [node.name for node in work.cluster.nodes if node.name not in nodes or not nodes[node.name].ready]
        if missing:
            return f"{', '.join(missing)} is not ready"
        return "" if await work.ask(work.first, facts.NAMES_ARE_SERVED) else "no pod of CoreDNS is ready"

    await work.until(look, seconds=READY_SECONDS, pause=1.0, what="the cluster is ready")


async def record(work: Work, step: Step) -> None:
    """Write down what the cluster is now, and let go of the journals of older operations."""
    shares = {node.name: node.pod_cidr for node in await work.ask(work.first, facts.NODES)}
    login = choose_authentication(work.cluster, work.operation.type, await work.ask(work.first, facts.CLUSTER))
    text = build_record(work.cluster, created=True, version=work.cluster.version, shares=shares, authentication=login)

    async def build(host: Host) -> Iterable[Action]:
        jobs = await work.ask(host, facts.list_folder(paths.JOBS))
        older = [job for job in jobs if not job.startswith(f"{work.operation.id}.")]
        return (
            *([write_cluster(text)] if host is work.first else ()),
            *(RemovePath(path=f"{paths.JOBS}/{job}", why="that operation ended long ago") for job in older),
        )

    await work.on_each(work.nodes(step.nodes), lambda node: work.carry(node, step.kind, build, seconds=120))


def make_token_text() -> str:
    """Make a bootstrap token."""
    alphabet = string.ascii_lowercase + string.digits
    return ".".join("".join(secrets.choice(alphabet) for _ in range(length)) for length in (6, 16))


def hash_authority(pem: str) -> str:
    """Return how kubeadm pins an authority: the digest of its public key."""
    try:
        key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    except ValueError as error:
        raise Retryable(f"{paths.PKI}/ca.crt cannot be read: {error}") from error
    return "sha256:" + hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
