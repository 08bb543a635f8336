"""A stand-in for Amazon EKS, with the parts of STS and of the Resource Groups Tagging API that go with it.

All three answer at one URL, as an endpoint override leads the SDK there. Every call must be signed by a key that the
stand-in knows. Tokens of clusters are checked as the authenticator of real clusters does.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

from . import eks_clusters, eks_parts, eks_tags, eks_upgrades, eks_versions
from .backing import Backing, Person
from .core import Answer, Ask, Faults, How, StandIn
from .eks_model import check_answer, check_value, find_route, load_model, read_rest_params
from .eks_state import Account, Doing, EksError
from .sts import (
    TOKEN_SECONDS,
    Identity,
    SignatureRefused,
    answer_identity,
    answer_xml_error,
    verify_presigned,
    verify_request,
    verify_token,
)
from .sts_web import Trust, assume_role

ACCOUNT: Final = "111122223333"
REGION: Final = "eu-west-1"
ATOLL: Final = Identity(
    access_key="AKIA0STAND0IN0ATOLL0",
    secret_key="stand-in/secret+key/of/atoll/0000000000000",
    arn=f"arn:aws:iam::{ACCOUNT}:user/atoll",
    user_id="AIDA0STAND0IN0ATOLL0",
)
STRANGER: Final = Identity(
    access_key="AKIA0STAND0IN0OTHER0",
    secret_key="stand-in/secret+key/of/other/0000000000000",
    arn=f"arn:aws:iam::{ACCOUNT}:user/stranger",
    user_id="AIDA0STAND0IN0OTHER0",
)
"""Of the same account, and let in to no cluster that Atoll made."""
TAGGING_TARGET: Final = "ResourceGroupsTaggingAPI_20170126"
STS_CALLS: Final = frozenset({"AssumeRoleWithWebIdentity", "GetCallerIdentity"})

Handler = Callable[[Account, Doing], dict[str, Any]]
CALLS: Final[Mapping[str, Handler]] = {
    "CreateCluster": eks_clusters.create_cluster,
    "DescribeCluster": eks_clusters.describe_cluster,
    "ListClusters": eks_clusters.list_clusters,
    "DeleteCluster": eks_clusters.delete_cluster,
    "UpdateClusterConfig": eks_clusters.update_cluster_config,
    "UpdateClusterVersion": eks_upgrades.update_cluster_version,
    "ListUpdates": eks_upgrades.list_updates,
    "DescribeUpdate": eks_upgrades.describe_update,
    "CancelUpdate": eks_upgrades.cancel_update,
    "ListInsights": eks_upgrades.list_insights,
    "DescribeInsight": eks_upgrades.describe_insight,
    "StartInsightsRefresh": eks_upgrades.start_insights_refresh,
    "DescribeInsightsRefresh": eks_upgrades.describe_insights_refresh,
    "CreateNodegroup": eks_parts.create_nodegroup,
    "DescribeNodegroup": eks_parts.describe_nodegroup,
    "ListNodegroups": eks_parts.list_nodegroups,
    "DeleteNodegroup": eks_parts.delete_nodegroup,
    "UpdateNodegroupVersion": eks_parts.update_nodegroup_version,
    "UpdateNodegroupConfig": eks_parts.update_nodegroup_config,
    "CreateAddon": eks_parts.create_addon,
    "DescribeAddon": eks_parts.describe_addon,
    "ListAddons": eks_parts.list_addons,
    "UpdateAddon": eks_parts.update_addon,
    "DeleteAddon": eks_parts.delete_addon,
    "TagResource": eks_tags.tag_resource,
    "UntagResource": eks_tags.untag_resource,
    "ListTagsForResource": eks_tags.list_tags_for_resource,
    "GetResources": eks_tags.get_resources,
    "DescribeClusterVersions": lambda account, doing: eks_versions.describe_cluster_versions(
        doing.params, account.cloud.faults.page_size
    ),
    "DescribeAddonVersions": lambda account, doing: eks_versions.describe_addon_versions(
        doing.params, account.cloud.faults.page_size
    ),
}
STATUS: Final[Mapping[str, int]] = {
    "AccessDenied": 403,
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "ServerException": 500,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "UnknownOperationException": 404,
    "UnrecognizedClientException": 403,
}
"""Of errors that a service's own model does not have; all others are 400."""
STS_CODES: Final[Mapping[str, str]] = {
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
}
"""What STS calls its own in its own way."""
FAULTS: Final[Mapping[How, tuple[str, str]]] = {
    "throttled": ("ThrottlingException", "Rate exceeded"),
    "unavailable": ("ServiceUnavailableException", "Service is unavailable"),
    "error": ("ServerException", "Internal server error"),
    "quota": ("ResourceLimitExceededException", "The maximum number of resources of this kind has been reached (100)"),
    "conflict": ("ResourceInUseException", "Another operation is in progress"),
    "invalid": ("InvalidParameterException", "The specified parameter is invalid"),
}


class EksStandIn(StandIn):
    """One account of AWS in one region."""

    def __init__(self, backing: Backing | None = None, faults: Faults | None = None, region: str = REGION) -> None:
        super().__init__(backing, faults)
        self.region = region
        self.account = Account(cloud=self, number=ACCOUNT)
        self.identities: list[Identity] = [ATOLL, STRANGER]
        self.trusts: dict[str, Trust] = {}
        """Roles for workloads, by ARN."""
        self.token_life_seconds = TOKEN_SECONDS
        """How long tokens of clusters are good, from their date on."""
        self.refused_tokens: list[str] = []
        """Why tokens were refused; never the tokens."""

    @property
    def environment(self) -> dict[str, str]:
        """What leads an SDK here as Atoll, as environment variables."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": ATOLL.access_key,
            "AWS_SECRET_ACCESS_KEY": ATOLL.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def leave_behind(self, cluster: str, what: str) -> str:
        """Let a cluster's own controllers have made something that outlives it; return its ARN."""
        with self.lock:
            return eks_tags.leave_behind(self.account, cluster, what)

    def sweep(self, cluster: str) -> None:
        """Remove what a cluster's controllers left, as a person would."""
        with self.lock:
            left = self.account.left_behind
            for arn in [arn for arn, tags in left.items() if f"{eks_tags.OWNED}{cluster}" in tags]:
                del left[arn]

    def add_insight(
        self,
        cluster: str,
        *,
        name: str,
        version: str,
        status: str = "ERROR",
        category: str = "UPGRADE_READINESS",
        reason: str = "",
    ) -> str:
        """Let EKS have found something about a cluster; return its id."""
        with self.lock:
            found = self.account.find(cluster)
            insight = eks_upgrades.build_insight(self.account, found, category, version, name, status, reason)
            found.insights[insight["id"]] = insight
            return str(insight["id"])

    def recognise(self, ask: Ask) -> Ask | None:
        """Tell EKS, STS and the tagging API apart, as a shared address must."""
        if ask.path == "/":
            form = dict(parse_qsl(ask.body.decode(errors="replace"))) or dict(ask.query)
            target, _, name = ask.headers.get("X-Amz-Target", "").partition(".")
            name = name if target == TAGGING_TARGET else form.get("Action", "")
            known = name in STS_CALLS or name == "GetResources"
            return replace(ask, name=name) if known else None
        found = find_route("eks", ask.method, ask.path)
        if found is None or found[0].name not in CALLS:
            return None
        operation, parts = found
        subject = parts.get("name") or parts.get("resourceArn", "").partition("/")[2]
        if operation.name == "CreateCluster":
            subject = _name_in(ask)
        return replace(ask, name=operation.name, subject=subject, parts=parts)

    def admit(self, ask: Ask) -> Answer | None:
        """Let in whom a signature proves."""
        if ask.name == "AssumeRoleWithWebIdentity":
            return None
        try:
            self._caller(ask)
        except SignatureRefused as error:
            return self._refuse(ask, error.code, str(error))
        return None

    def _caller(self, ask: Ask) -> Identity:
        if ask.name == "GetCallerIdentity" and ask.method == "GET":
            return verify_presigned(ask, self.identities, self.token_life_seconds)
        service = "tagging" if ask.name == "GetResources" else _service_of(ask.name)
        return verify_request(ask, self.identities, (service,))

    def perform(self, ask: Ask) -> Answer:
        """Do the work of a call that is known and signed."""
        if ask.name in STS_CALLS:
            return self._perform_sts(ask)
        params, problems = self._read(ask)
        if problems:
            self.protests += [f"{ask.name}: {problem}" for problem in problems]
            return self._refuse(ask, "InvalidParameterException", "; ".join(problems))
        doing = Doing(operation=ask.name, params=params, caller=self._caller(ask), broken=ask.broken)
        try:
            body = CALLS[ask.name](self.account, doing)
        except EksError as error:
            return self._refuse(ask, error.code, str(error), **error.members)
        operation = load_model(_service_of(ask.name)).operation_model(ask.name)
        return self._render(200, check_answer(operation, body))

    def _perform_sts(self, ask: Ask) -> Answer:
        form = dict(parse_qsl(ask.body.decode(), keep_blank_values=True)) if ask.method == "POST" else {}
        shape = load_model("sts").operation_model(ask.name).input_shape
        known = {"Action", "Version", *(shape.members if shape is not None else ())}
        unknown = sorted(set(form) - known)
        if unknown:
            self.protests += [f"{ask.name}: unknown field {name}" for name in unknown]
            return answer_xml_error(400, "ValidationError", f"unknown fields {', '.join(unknown)}")
        if ask.name == "GetCallerIdentity":
            return answer_identity(self._caller(ask))
        try:
            identity, answer = assume_role(form, self.trusts)
        except SignatureRefused as error:
            return self._refuse(ask, error.code, str(error))
        self.identities.append(identity)
        return answer

    def _read(self, ask: Ask) -> tuple[dict[str, Any], list[str]]:
        operation = load_model(_service_of(ask.name)).operation_model(ask.name)
        if ask.name != "GetResources":
            return read_rest_params(operation, ask)
        try:
            params = ask.json() or {}
        except ValueError as error:
            return {}, [f"the body cannot be read: {error}"]
        shape = operation.input_shape
        return params, check_value(shape, params, "") if shape is not None else []

    def explain(self, how: How, ask: Ask) -> Answer:
        """Fail as EKS does."""
        if how == "denied":
            action, resource = f"{_service_of(ask.name, signing=True)}:{ask.name}", self._resource(ask)
            message = f"User: {ATOLL.arn} is not authorized to perform: {action} on resource: {resource}"
            return self._refuse(ask, "AccessDeniedException", message)
        code, message = FAULTS[how]
        answer = self._refuse(ask, code, message)
        if how == "throttled":
            after = {"Retry-After": f"{self.faults.retry_after_seconds:g}"}
            answer = replace(answer, headers={**answer.headers, **after})
        return answer

    def unknown(self, ask: Ask) -> Answer:
        """Answer to what EKS does not have."""
        return self._refuse(ask, "UnknownOperationException", f"There is no {ask.method} {ask.path}")

    def authenticate(self, key: str, token: str) -> Person | None:
        """Say who shows a token to a cluster: its creator is an administrator, nobody else is let in."""
        with self.lock:
            cluster = self.account.by_key(key)
            if cluster is None:
                self.refused_tokens.append(f"there is no cluster {key}")
                return None
            hosts = {
                self.url.partition("://")[2]: "http",
                "sts.amazonaws.com": "https",
                f"sts.{self.region}.amazonaws.com": "https",
            }
            try:
                identity = verify_token(token, cluster.name, self.identities, hosts, self.token_life_seconds)
            except SignatureRefused as error:
                self.refused_tokens.append(f"{cluster.name}: {error.code}: {error}")
                return None
            if not eks_clusters.is_admin(cluster, identity):
                self.refused_tokens.append(f"{cluster.name}: {identity.arn} has no access entry")
                return None
            uid = f"aws-iam-authenticator:{identity.account}:{identity.user_id}"
            return Person(name=identity.arn, groups=("system:masters",), uid=uid)

    def _resource(self, ask: Ask) -> str:
        if not ask.subject:
            return "*"
        part = ask.parts.get("nodegroupName") or ask.parts.get("addonName")
        kind = "nodegroup" if "nodegroupName" in ask.parts else "addon"
        name = f"{kind}/{ask.subject}/{part}/*" if part else f"cluster/{ask.subject}"
        return self.account.arn(name)

    def _refuse(self, ask: Ask, code: str, message: str, **members: str) -> Answer:
        service = _service_of(ask.name)
        if service == "sts":
            return answer_xml_error(STATUS.get(code, 400), STS_CODES.get(code, code.removesuffix("Exception")), message)
        model = load_model(service)
        modelled = model.shape_for(code).metadata.get("error", {}) if code in model.shape_names else {}
        status = int(modelled.get("httpStatusCode", STATUS.get(code, 400)))
        return self._render(status, {"__type": code, "message": message, **members}, code)

    def _render(self, status: int, body: dict[str, Any], code: str = "") -> Answer:
        headers = {"x-amzn-RequestId": str(uuid.uuid4())}
        if code:
            headers["x-amzn-ErrorType"] = code
        return Answer(status=status, body=body, headers=headers)


def _service_of(name: str, *, signing: bool = False) -> str:
    if name in STS_CALLS:
        return "sts"
    if name == "GetResources":
        return "tag" if signing else "resourcegroupstaggingapi"
    return "eks"


def _name_in(ask: Ask) -> str:
    """Return the name that a create asks for, as far as it can be read."""
    try:
        body = ask.json()
    except ValueError:
        return ""
    return str(body.get("name", "")) if isinstance(body, dict) else ""
