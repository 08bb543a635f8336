"""The stand-in for Azure: resource manager, AKS and Entra at one address, over TLS because the SDK takes nothing else.

A new one has one subscription with one resource group, and one application that may do everything in it. The clusters'
API servers take tokens that Entra gave an application for AKS' own server application.
"""

from __future__ import annotations

import asyncio
import uuid
import weakref
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from aiohttp import web

from .aks_clusters import Clusters
from .aks_errors import (
    Refused,
    authorization_failed,
    invalid_parameter,
    manager_error,
    not_allowed,
    provider_error,
)
from .aks_login import AKS_SERVER, MANAGER_AUDIENCES, Login
from .aks_pools import Pools
from .aks_routes import BY_NAME, LOGIN_NAMES, Route, recognise
from .aks_store import Store
from .aks_tokens import TokenRefused
from .aks_values import CLUSTER_ADMIN, CONTRIBUTOR, Application, Cluster
from .aks_versions import build_version_list
from .aks_views import show_operation
from .aks_windows import Windows
from .aks_wire import API_VERSIONS
from .backing import Backing
from .core import Answer, Ask, Person, StandIn
from .faults import Faults, How

READS: Final = 12000
WRITES: Final = 1200


class AksStandIn(StandIn):
    """Azure, as far as managed clusters need it."""

    tls: ClassVar[bool] = True

    def __init__(
        self,
        backing: Backing | None = None,
        faults: Faults | None = None,
        *,
        subscription: str = "00000000-1111-2222-3333-444444444444",
        tenant: str = "99999999-8888-7777-6666-555555555555",
        group: str = "fleet",
        location: str = "westeurope",
    ) -> None:
        super().__init__(backing, faults)
        self.subscription, self.tenant, self.group, self.location = subscription, tenant, group, location
        self._doors: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self.login = Login(tenant, self.now, self.protest)
        self.application = self.add_application("11111111-aaaa-bbbb-cccc-222222222222", "a-secret~of.the-operator")
        self.store = Store(self)
        self.store.subscriptions.add(subscription.lower())
        self.add_group(group)
        pools, windows = Pools(self.store), Windows(self.store)
        self._clusters = Clusters(self.store, pools, tenant)
        self._handlers: Mapping[str, Callable[[Ask], Answer]] = {
            "ManagedClusters_List": self._clusters.list_all,
            "ManagedClusters_ListByResourceGroup": self._clusters.list_all,
            "ManagedClusters_Get": self._clusters.get,
            "ManagedClusters_CreateOrUpdate": self._put_cluster,
            "ManagedClusters_UpdateTags": self._clusters.patch,
            "ManagedClusters_Delete": self._clusters.delete,
            "ManagedClusters_AbortLatestOperation": self._clusters.abort,
            "ManagedClusters_GetUpgradeProfile": self._clusters.get_upgrade_profile,
            "ManagedClusters_ListClusterUserCredentials": self._clusters.list_user_credentials,
            "ManagedClusters_ListClusterAdminCredentials": self._clusters.list_admin_credentials,
            "ManagedClusters_ListKubernetesVersions": self._list_versions,
            "AgentPools_List": pools.list_all,
            "AgentPools_Get": pools.get,
            "AgentPools_CreateOrUpdate": pools.put,
            "AgentPools_Delete": pools.delete,
            "AgentPools_GetUpgradeProfile": pools.get_upgrade_profile,
            "MaintenanceConfigurations_ListByManagedCluster": windows.list_all,
            "MaintenanceConfigurations_Get": windows.get,
            "MaintenanceConfigurations_CreateOrUpdate": windows.put,
            "MaintenanceConfigurations_Delete": windows.delete,
            "GetOperation": self._get_operation,
            "GetOperationResult": self._get_operation_result,
        }

    def add_application(self, client_id: str, secret: str, roles: frozenset[str] | None = None) -> Application:
        """Register an application; without `roles` it may do everything."""
        application = Application(client_id=client_id, secret=secret)
        if roles is not None:
            application.roles = set(roles)
        self.login.applications[client_id] = application
        return application

    def add_group(self, name: str) -> None:
        """Make a resource group."""
        self.store.groups[self.subscription.lower(), name.lower()] = name

    def cluster(self, name: str) -> Cluster:
        """Return a cluster by its name alone. Raises KeyError."""
        with self.lock:
            for cluster in self.store.clusters():
                if cluster.name == name:
                    return cluster
        raise KeyError(name)

    def names(self) -> list[str]:
        """Return the names of all clusters that are there, half-made ones too."""
        with self.lock:
            return sorted(cluster.name for cluster in self.store.clusters())

    def leave_behind(self, cluster: str, name: str, *, lock: bool = False) -> str:
        """Put something of a cluster's own controllers into its node resource group, and return its id.

        Deletion of the cluster fails until it is taken away. `name` may be a path below `providers`.
        """
        kind = name if "/" in name else f"Microsoft.Network/publicIPAddresses/{name}"
        with self.lock:
            found = self.cluster(cluster)
            resource = f"/subscriptions/{found.subscription}/resourceGroups/{found.node_group}/providers/{kind}"
            found.left_behind[resource] = (
                f"ScopeLocked: The scope '{resource}' cannot perform delete operation because following scope(s) are "
                f"locked: '{resource}'. Please remove the lock and try again."
                if lock
                else f"The resource {resource} is in use by another resource and cannot be deleted."
            )
        return resource

    def take_away(self, cluster: str) -> None:
        """Remove what was left behind."""
        with self.lock:
            self.cluster(cluster).left_behind.clear()

    def scale(self, cluster: str, pool: str, count: int) -> None:
        """Change the number of nodes as the autoscaler does: without a call, and without a new etag."""
        with self.lock:
            self.cluster(cluster).pools[pool].properties["count"] = count

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Take one request its whole way, and remember its connection."""
        if not self._doors:
            self.at_end.callback(self._close_doors, asyncio.get_running_loop())
        if request.transport is not None:
            self._doors.add(request.transport)
        return await super().answer(request)

    def _close_doors(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what is still open: over TLS a polite end takes longer than the server lives."""
        for door in list(self._doors):
            loop.call_soon_threadsafe(door.abort)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01), loop).result(10)

    def recognise(self, ask: Ask) -> Ask | None:
        """Name the call."""
        return recognise(ask)

    def admit(self, ask: Ask) -> Answer | None:
        """Check version, token and permission; Entra's own calls need none."""
        if ask.name in LOGIN_NAMES:
            return None
        route = BY_NAME[ask.name]
        try:
            application = self._identify(ask)
            self._check_version(ask, route)
            self._check_subscription(ask)
            allowed = CONTRIBUTOR in application.roles and route.action not in application.denied
            if route.action and not allowed:
                raise authorization_failed(_name(application), route.action, _scope(ask))
            if "group" in ask.parts:
                self.store.check_group(ask)
        except Refused as refused:
            return self._with_headers(ask, refused.answer)
        return None

    def perform(self, ask: Ask) -> Answer:
        """Do the work."""
        if ask.name in LOGIN_NAMES:
            self.login.url = self.url
            return self.login.perform(ask)
        try:
            answer = self._handlers[ask.name](ask)
        except Refused as refused:
            answer = refused.answer
        return self._with_headers(ask, answer)

    def explain(self, how: How, ask: Ask) -> Answer:
        """Fail as Azure does."""
        if ask.name in LOGIN_NAMES:
            self.login.url = self.url
            return self.login.explain(how, self.faults.retry_after_seconds)
        return self._with_headers(ask, self._build_failure(how, ask).answer)

    def unknown(self, ask: Ask) -> Answer:
        """Answer a call that Azure does not have."""
        return manager_error(
            404, "InvalidResourceType", f"The resource type could not be found for {ask.method} {ask.path}."
        ).answer

    def authenticate(self, key: str, token: str) -> Person | None:
        """Say who shows this token to the API server of a cluster."""
        with self.lock:
            cluster = next((found for found in self.store.clusters() if found.uid == key), None)
            if cluster is None:
                return None
            properties = cluster.properties
            if token == cluster.local_token and not properties["disableLocalAccounts"]:
                return Person(name="masterclient", groups=("system:masters",))
            login = properties.get("aadProfile")
            if not login or login["tenantID"] != self.tenant:
                return None
            try:
                application, _ = self.login.identify(token, (AKS_SERVER,))
            except TokenRefused:
                return None
            admins = set(login.get("adminGroupObjectIDs") or ()) & set(application.groups)
            rules = bool(admins) or (bool(login.get("enableAzureRBAC")) and CLUSTER_ADMIN in application.roles)
            groups = (*application.groups, *(("system:masters",) if rules else ()))
            return Person(name=application.object_id, uid=application.object_id, groups=groups)

    def _put_cluster(self, ask: Ask) -> Answer:
        return self._clusters.put(ask, self._identify(ask).object_id)

    def _list_versions(self, _: Ask) -> Answer:
        return Answer(body=build_version_list(self.store.versions))

    def _get_operation(self, ask: Ask) -> Answer:
        """Tell how far an operation is."""
        list(self.store.clusters())  # Whatever has ended by now, ends.
        operation = self.store.operations.get(ask.parts["operation"])
        if operation is None:
            raise provider_error(404, "NotFound", "The entity was not found.")
        headers = {"Retry-After": "1"} if operation.status == "InProgress" else {}
        return Answer(body=show_operation(operation), headers=headers)

    def _get_operation_result(self, ask: Ask) -> Answer:
        """Answer 202 while an operation is under way."""
        self._get_operation(ask)
        operation = self.store.operations[ask.parts["operation"]]
        if operation.status == "InProgress":
            return Answer(
                status=202, headers={"Location": f"{self.url}{ask.path}?{ask.query_string}", "Retry-After": "1"}
            )
        if operation.status == "Succeeded":
            return Answer(status=204)
        error = dict(operation.error or {"code": "Canceled", "message": "The operation was canceled."})
        raise provider_error(409, str(error["code"]), str(error["message"]))

    def _identify(self, ask: Ask) -> Application:
        """Return who asks. Raises Refused."""
        kind, _, token = ask.headers.get("Authorization", "").partition(" ")
        challenge = f'Bearer authorization_uri="{self.url}/{self.tenant}"'
        if kind.lower() != "bearer" or not token:
            raise manager_error(
                401,
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
                WWW_Authenticate=challenge,
            )
        try:
            return self.login.identify(token, MANAGER_AUDIENCES)[0]
        except TokenRefused as error:
            expired = "expired" in str(error)
            raise manager_error(
                401,
                "ExpiredAuthenticationToken" if expired else "InvalidAuthenticationToken",
                f"The access token is invalid. {error}",
                WWW_Authenticate=f'{challenge}, error="invalid_token", error_description="{error}"',
            ) from error

    def _check_version(self, ask: Ask, route: Route) -> None:
        """Check the query: its version, and nothing that the call does not know."""
        query = dict(ask.query)
        given = query.pop("api-version", "")
        if not given:
            self.protest(f"{ask.name}: api-version is missing")
            raise manager_error(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        if given not in API_VERSIONS:
            self.protest(f"{ask.name}: api-version {given} is unknown")
            raise manager_error(
                400,
                "NoRegisteredProviderFound",
                f"No registered resource provider found for API version '{given}' for type 'managedClusters'. The "
                f"supported api-versions are '{', '.join(API_VERSIONS)}'.",
            )
        for name in sorted(query.keys() - route.query):
            self.protest(f"{ask.name}: unknown query parameter {name!r}")
            raise manager_error(400, "InvalidQueryParameter", f"The query parameter '{name}' is unknown.")

    def _check_subscription(self, ask: Ask) -> None:
        if ask.parts["subscription"].lower() not in self.store.subscriptions:
            named = ask.parts["subscription"]
            raise manager_error(404, "SubscriptionNotFound", f"The subscription '{named}' could not be found.")

    def _build_failure(self, how: How, ask: Ask) -> Refused:
        """Return what one class of failure looks like on this call."""
        if how == "throttled":
            kind = "read" if ask.method == "GET" else "write"
            return manager_error(
                429,
                "SubscriptionRequestsThrottled",
                f"Number of '{kind}' requests for subscription '{ask.parts['subscription']}' exceeded. Please try "
                f"again after '{self.faults.retry_after_seconds:g}' seconds after additional tokens are available.",
                Retry_After=f"{self.faults.retry_after_seconds:g}",
            )
        if how == "unavailable":
            return manager_error(503, "ServerTimeout", "The service is unavailable. Please retry later.")
        if how == "denied":
            return authorization_failed(_name(self.application), BY_NAME[ask.name].action, _scope(ask))
        if how == "quota":
            where = f"in {self.location}: left regional vcpu quota 2, requested quota 12"
            code = "ErrCode_InsufficientVCPUQuota" if "pool" in ask.parts else "QuotaExceeded"
            return provider_error(400, code, f"Insufficient regional vcpu quota left {where}.")
        if how == "conflict":
            return not_allowed(
                "Operation is not allowed because there's an in progress updating managed cluster operation (operation "
                f"ID: {uuid.uuid4()}) on the managed cluster. Please wait for it to finish before starting a new "
                "operation."
            )
        if how == "invalid":
            return invalid_parameter("properties", "The value of parameter properties is invalid.")
        return provider_error(500, "InternalOperationError", "Internal server error. Please retry later.")

    def _with_headers(self, ask: Ask, answer: Answer) -> Answer:
        """Add what every answer of the resource manager has."""
        throttled = answer.status == 429
        kind, whole = {"GET": ("reads", READS), "DELETE": ("deletes", READS)}.get(ask.method, ("writes", WRITES))
        remaining = 0 if throttled else whole - len(self.calls) % whole
        identity = str(uuid.uuid4())
        headers = {
            f"x-ms-ratelimit-remaining-subscription-{kind}": str(remaining),
            "x-ms-request-id": identity,
            "x-ms-correlation-request-id": identity,
            **answer.headers,
        }
        return Answer(status=answer.status, body=answer.body, headers=headers)


def _name(application: Application) -> str:
    return f"'{application.client_id}' with object id '{application.object_id}'"


def _scope(ask: Ask) -> str:
    return ask.path
