"""The management plane: started, repaired, and furnished with our kinds, policies and rights."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from atoll.api.crds import build_crds
from atoll.api.identity import Identity, build_service_account_username
from atoll.api.policies import build_validating_policies
from atoll.api.policies_people import build_mutating_policies
from atoll.api.rights import build_operator_rights, build_people_roles
from atoll.errors import Refused, Throttled, Unreachable
from atoll.fleet.names import REQUESTED_BY, SYSTEM_NAMESPACE
from atoll.kube.connect import Connection
from atoll.kube.kinds import CLUSTER_SET
from atoll.kube.management import install
from atoll.kube.store import Store
from atoll.planes.planes import Planes
from atoll.planes.values import PlaneSpec
from atoll.ports import Clock, Operation, OperationState, OperationType

from .home import MANAGEMENT_ID, Home
from .kubeconfig import build_token_kubeconfig
from .private import write_private

MANAGEMENT_VERSION: Final = "v1.36.4"
"""New enough for MutatingAdmissionPolicy."""

OPERATOR_ACCOUNT: Final = "atoll"
POLICY_TRIES: Final = 240
POLICY_PAUSE_SECONDS: Final = 0.5
TOKEN_SECONDS: Final = 365 * 24 * 3600
POD_CIDR: Final = "10.127.0.0/16"
SERVICE_CIDR: Final = "10.126.0.0/20"
"""Outside of the block that ClusterSets take addresses from by default."""


async def ensure_plane(planes: Planes, clock: Clock, *, audit: bool = False) -> str:
    """Bring the management plane up, as it was or anew; return the version that it serves."""
    observed = await planes.observe(MANAGEMENT_ID)
    version = observed.state.spec.version if observed.state is not None else MANAGEMENT_VERSION
    spec = PlaneSpec(
        id=MANAGEMENT_ID,
        name="atoll-management",
        version=version,
        pod_cidr=POD_CIDR,
        service_cidr=SERVICE_CIDR,
        audit_log=audit,
    )
    journal = observed.journal
    half_made = observed.state is None or not observed.state.created
    if half_made or observed.missing or not observed.ready:
        kind = OperationType.CREATE if half_made else OperationType.REPAIR
        resumed = journal is not None and journal.type is kind and journal.state is OperationState.RUNNING
        name = journal.id if resumed and journal is not None else f"{kind.lower()}-{clock.now():%Y%m%dt%H%M%S}"
        await planes.run_operation(MANAGEMENT_ID, spec, Operation(id=name, type=kind, to_version=version))
        observed = await planes.observe(MANAGEMENT_ID)
    if not observed.ready:
        raise Refused(
            f"the management plane does not become ready: {observed.message}; see `atoll down`, then try again"
        )
    return observed.served_version


def connect(kubeconfig: str) -> Store:
    """Open the management plane."""
    return Store(Connection.from_kubeconfig(kubeconfig))


async def furnish(store: Store) -> tuple[int, int]:
    """Install kinds, policies and the operator's rights; return how many kinds and policies there are."""
    account = {"kind": "ServiceAccount", "name": OPERATOR_ACCOUNT, "namespace": SYSTEM_NAMESPACE}
    identity = Identity(usernames=(build_service_account_username(SYSTEM_NAMESPACE, OPERATOR_ACCOUNT),))
    crds = build_crds()
    policies = [*build_validating_policies(identity), *build_mutating_policies()]
    base: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}},
        *build_operator_rights(account),
        *build_people_roles(),
    ]
    await install(store, [*crds, *base])
    await install(
        store,
        [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {k: account[k] for k in ("name", "namespace")}}],
    )
    if await install(store, policies):
        await wait_until_policies_bite(store)
    return len(crds), sum(1 for body in policies if body["kind"].endswith("Policy"))


async def wait_until_policies_bite(store: Store) -> None:
    """Wait until the policy that names the requester has done so, in a dry run.

    An API server learns the schema of a fresh kind for its mutating policies by and by, and answers 503 to everybody
    who makes such an object until then. Who comes after `atoll up` shall not meet that.
    """
    member = {"name": "probe"}
    probe = {
        "apiVersion": CLUSTER_SET.api_version,
        "kind": CLUSTER_SET.kind,
        "metadata": {"name": "probe", "namespace": "default"},
        "spec": {"version": MANAGEMENT_VERSION, "provider": {"local": {}}, "clusters": [member]},
    }
    for _ in range(POLICY_TRIES):
        with contextlib.suppress(Throttled, Unreachable):
            made = await store.apply(probe, dry_run=True)
            if REQUESTED_BY in made["metadata"].get("annotations", {}):
                return
        await asyncio.sleep(POLICY_PAUSE_SECONDS)
    raise Refused("the admission policies of the management plane do not take hold; try `atoll up` once more")


async def write_kubeconfigs(planes: Planes, store: Store, home: Home) -> None:
    """Write the kubeconfigs of people and of the operator, readable by their owner alone."""
    own = planes.kubeconfig(MANAGEMENT_ID)
    write_private(home.management_kubeconfig, own)
    token, _ = await store.create_token(SYSTEM_NAMESPACE, OPERATOR_ACCOUNT, seconds=TOKEN_SECONDS)
    write_private(
        home.operator_kubeconfig,
        build_token_kubeconfig(server=store.connection.server, ca=store.connection.ca, token=token),
    )
