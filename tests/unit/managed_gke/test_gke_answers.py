"""What GKE and Google's SDK say, in our words: errors, operations, versions, and logins."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.auth import exceptions as google_auth

from atoll.errors import (
    AtollError,
    BadInput,
    Conflict,
    PermissionDenied,
    QuotaExceeded,
    Refused,
    Throttled,
    Unreachable,
    VersionUnavailable,
)
from atoll.ports import OperationType
from atoll.providers import gke
from atoll.providers.gke.check import check_operation
from atoll.providers.gke.cloud import GkeCloud
from atoll.providers.gke.errors import translate
from atoll.providers.gke.login import parse_key
from atoll.providers.gke.operations import check_operations
from atoll.providers.gke.permissions import NEEDS
from atoll.providers.gke.settings import Channel
from atoll.providers.gke.versions import choose_version
from atoll.providers.managed.moves import Call
from atoll.providers.managed.surroundings import Declared

from .world import NOW, SETTINGS, build_operation, build_wanted, make

auth: Any = google_auth
INFO = "type.googleapis.com/google.rpc.ErrorInfo"


def answer(
    code: int, words: str, *, reason: str = "", headers: dict[str, str] | None = None, **detail: str
) -> Exception:
    """Return the SDK's own error of an answer."""
    details: list[dict[str, str]] = [{"@type": INFO, "reason": reason}] if reason else []
    details += [{"@type": "type.googleapis.com/google.rpc.RetryInfo", **detail}] if detail else []
    response = requests.Response()
    response.status_code = code
    response.headers.update(headers or {})
    response._content = json.dumps({"error": {"code": code, "message": words, "details": details}}).encode()
    response.request = requests.Request("POST", "https://container.googleapis.com/v1/secret-path").prepare()
    build: Any = exceptions.from_http_response
    error: Exception = build(response)
    return error


TABLE: list[tuple[Exception, type[AtollError]]] = [
    (answer(400, "Cluster is running incompatible operation operation-1."), Conflict),
    (answer(400, "Anything.", reason="CLUSTER_ALREADY_HAS_OPERATION"), Conflict),
    (answer(400, "Operation operation-1 is currently upgrading cluster blue. Please wait."), Conflict),
    (answer(400, "Labels could not be set due to fingerprint mismatch; try again."), Conflict),
    (answer(400, "Master version is unsupported."), Refused),
    (answer(401, "Request had invalid authentication credentials."), PermissionDenied),
    (answer(403, 'Required "container.clusters.create" permission(s) for "projects/p".'), PermissionDenied),
    (answer(403, "Insufficient regional quota to satisfy request: resource CPUS."), QuotaExceeded),
    (answer(403, "Too fast.", reason="rateLimitExceeded"), Throttled),
    (answer(404, "Not found: projects/p."), Refused),
    (answer(409, "Already exists: projects/p/locations/l/clusters/c."), Conflict),
    (answer(412, "The etag does not match."), Conflict),
    (answer(429, "Quota exceeded for quota metric 'Cluster write requests'.", reason="RATE_LIMIT_EXCEEDED"), Throttled),
    (answer(500, "Internal error encountered."), Unreachable),
    (answer(501, "Not here."), Refused),
    (answer(503, "The service is currently unavailable."), Unreachable),
    (requests.exceptions.ConnectionError("secret"), Unreachable),
    (requests.exceptions.ReadTimeout("secret"), Unreachable),
    (auth.TransportError("secret"), Unreachable),
    (auth.RefreshError("invalid_grant: secret", {}), PermissionDenied),
    (auth.RefreshError("unavailable", {}, retryable=True), Unreachable),
]


@pytest.mark.parametrize(("error", "kind"), TABLE)
def test_each_error_becomes_one_of_ours_without_a_word_of_the_request(error: Exception, kind: type[AtollError]) -> None:
    told = translate(error, "create_cluster", "projects/p/locations/l")
    assert type(told) is kind
    assert "secret" not in str(told)


def test_who_may_not_is_told_what_and_where() -> None:
    words = 'Required "container.clusters.create" permission(s) for "projects/p".'
    told = translate(answer(403, words), "create_cluster", "projects/p/locations/l")
    assert str(told) == (
        f"GKE, create_cluster of projects/p/locations/l: {words} Grant Atoll's account container.clusters.create "
        "there, to make a cluster"
    )


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        (answer(429, "Later.", headers={"Retry-After": "7"}), 7.0),
        (answer(429, "Later.", retryDelay="0.5s"), 0.5),
        (answer(429, "Later.", headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), 5.0),
        (answer(429, "Later."), 5.0),
    ],
)
def test_who_is_throttled_waits_as_long_as_it_is_told(error: Exception, delay: float) -> None:
    told = translate(error, "get_cluster", "c")
    assert isinstance(told, Throttled)
    assert told.delay == delay


def test_a_bug_of_ours_stays_what_it_is() -> None:
    with pytest.raises(KeyError):
        translate(KeyError("x"), "get_cluster", "c")


def said(kind: str = "UPGRADE_MASTER", *, minutes: int = 1, error: str = "", **fields: Any) -> dict[str, Any]:
    """Return an operation as the API shows it."""
    start = (NOW - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
    link = "https://container.googleapis.com/v1/projects/fleet-1/zones/europe-west1-b/clusters/atoll-k7f2m9"
    return {
        "name": f"operation-{minutes}",
        "operationType": kind,
        "status": "DONE",
        "startTime": start,
        "targetLink": link,
        **({"error": {"code": 13, "message": error}} if error else {}),
        **fields,
    }


UPGRADE = Call(
    name="update_master",
    arguments={"name": "projects/fleet-1/locations/europe-west1-b/clusters/atoll-k7f2m9", "masterVersion": "1.36"},
    step="bring the control plane to v1.36",
)


def test_while_an_operation_runs_on_the_cluster_nothing_is_called() -> None:
    refusal = check_operations(UPGRADE, [said("UPDATE_CLUSTER", status="RUNNING")], NOW)
    assert isinstance(refusal, Conflict)
    assert str(refusal) == "GKE is at work on atoll-k7f2m9: UPDATE_CLUSTER (operation-1)"


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [said("AUTO_REPAIR_NODES", status="RUNNING")],
        [said(status="RUNNING", targetLink="https://x/v1/projects/p/locations/l/clusters/atoll-k7f2m9x")],
        [said(minutes=number, error="No.") for number in (1, 2)],
        [said(minutes=1, error="No."), said(minutes=2), said(minutes=3, error="No."), said(minutes=4, error="No.")],
        [said(minutes=number, error="No.") for number in (1, 2, 31)],
        [said("UPGRADE_NODES", minutes=number, error="No.") for number in (1, 2, 3)],
    ],
)
def test_operations_of_others_and_few_failures_do_not_stop_a_call(operations: list[dict[str, Any]]) -> None:
    assert check_operations(UPGRADE, operations, NOW) is None


@pytest.mark.parametrize(("words", "kind"), [("Stockout.", Refused), ("Quota 'CPUS' exceeded.", QuotaExceeded)])
def test_what_failed_three_times_in_a_row_is_given_up_in_gkes_words(words: str, kind: type[AtollError]) -> None:
    refusal = check_operations(UPGRADE, [said(minutes=number, error=words) for number in (3, 1, 2)], NOW)
    assert type(refusal) is kind
    assert str(refusal).startswith("GKE could not bring the control plane to v1.36: 3 times within 30 minutes")
    assert words in str(refusal)


OFFERED = {
    "validMasterVersions": ["1.36.10-gke.1", "1.36.4-gke.1047000", "1.36.4-gke.99", "1.35.8-gke.5", "1.3.1-gke.1"],
    "validNodeVersions": ["1.36.4-gke.1047000", "1.36.4-gke.99", "1.35.8-gke.5"],
    "channels": [{"channel": "STABLE", "validVersions": ["1.35.8-gke.5"]}],
}


@pytest.mark.parametrize(
    ("asked", "nodes", "build"),
    [
        ("1.36", False, "1.36.10-gke.1"),
        ("1.36", True, "1.36.4-gke.1047000"),
        ("1.36.4", True, "1.36.4-gke.1047000"),
        ("1.36.4-gke.99", True, "1.36.4-gke.99"),
        ("1.3", False, "1.3.1-gke.1"),
    ],
)
def test_the_newest_build_on_offer_is_chosen(asked: str, nodes: bool, build: str) -> None:
    assert choose_version(asked, OFFERED, Channel.OFF, nodes=nodes) == build


def test_what_is_not_on_offer_is_told_with_what_is() -> None:
    with pytest.raises(VersionUnavailable, match=re.escape("no 1.36 here in release channel STABLE: it has 1.35.")):
        choose_version("1.36", OFFERED, Channel.STABLE, nodes=True)


KEY = {
    "type": "service_account",
    "client_email": "a@b",
    "private_key": "canary",
    "token_uri": "https://oauth2.googleapis.com/token",
}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("canary", "is not JSON"),
        (
            json.dumps({**KEY, "type": "external_account", "credential_source": {"executable": {"command": "canary"}}}),
            "type",
        ),
        (json.dumps({**KEY, "type": "authorized_user"}), "is not the key of a service account"),
        (json.dumps({key: value for key, value in KEY.items() if key != "token_uri"}), "has no token_uri"),
        (json.dumps({**KEY, "token_uri": "file:///etc/passwd"}), "no web address"),
    ],
)
def test_only_the_key_of_a_service_account_is_a_login(text: str, words: str) -> None:
    """Other kinds of Google's credentials run programs and read files of whoever uses them."""
    with pytest.raises(BadInput, match=words) as refused:
        parse_key({"service_account.json": text})
    assert "canary" not in str(refused.value)
    assert refused.value.field == "spec.provider.gke.credentialsSecretRef"


def test_without_a_key_it_is_workload_identity() -> None:
    assert parse_key({}) is None
    assert parse_key({"endpoint_ca": "x"}) is None


def test_accounts_are_counted_by_project_and_place() -> None:
    assert GkeCloud().identify(Declared(settings=SETTINGS)) == "gke/fleet-1/europe-west1"


def test_every_call_that_the_code_makes_has_its_permission_and_no_other_has_one() -> None:
    """The names stand in the source as the SDK spells them: in plans as `name=`, in the connection as they are sent."""
    source = "\n".join(path.read_text() for path in Path(gke.__file__).parent.glob("*.py"))
    made = {*re.findall(r'Call\(\s*name="(\w+)"', source), *re.findall(r'_send\(\s*"(\w+)"', source)}
    assert made == set(NEEDS)


def test_the_page_names_the_same_calls_and_permissions() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/clouds/gke.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)` \| `(container\.[\w.]+)` \|", page, re.MULTILINE))
    assert told == {call: need.permission for call, need in NEEDS.items()}


def test_all_that_is_in_the_way_is_told_at_once() -> None:
    settings = {
        "nodePools": ({"name": "Front_1", "machineType": "e2-small", "minSize": 1, "maxSize": 3},),
        "releaseChannel": "Weekly",
    }
    found = check_operation(
        build_wanted(settings=settings, labels={"7up": "1"}), build_operation(OperationType.CREATE), None
    )
    assert [finding.field for finding in found] == [
        "spec.provider.gke.project",
        "spec.provider.gke.location",
        "spec.provider.gke.nodePools[Front_1].name",
        "spec.provider.gke.releaseChannel",
        "spec.labels[7up]",
    ]


def test_what_never_changes_is_refused_and_is_no_drift() -> None:
    world = make()
    seen = world.see()
    settings = {**SETTINGS, "network": "projects/host/global/networks/other", "subnetwork": "default"}
    found = check_operation(build_wanted(settings=settings), build_operation(OperationType.CHANGE), seen)
    assert [(finding.reason, finding.field) for finding in found] == [("ImmutableNetwork", "spec.provider.gke.network")]
