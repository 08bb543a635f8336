"""What all calls of the resource manager share: bodies in, pages and accepted operations out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from .aks_check import check_body, read_fields
from .aks_errors import manager_error, provider_error
from .aks_values import Operation
from .core import Answer, Ask, StandIn, page

API_VERSIONS: Final = ("2026-08-01",)
"""Those whose models the SDK in use has."""


def read_body(cloud: StandIn, ask: Ask, model: type) -> dict[str, Any]:
    """Return the body of a call, checked against the SDK's model. Raises Refused."""
    try:
        given = ask.json()
    except ValueError as error:
        cloud.protest(f"{ask.name} {ask.subject}: the body is no JSON")
        raise manager_error(400, "InvalidRequestContent", "The request content was invalid.") from error
    body, problems = check_body(model, given)
    for problem in problems:
        cloud.protest(f"{ask.name} {ask.subject}: {problem}")
    if "location" in read_fields(model) and isinstance(given, dict) and not given.get("location"):
        raise manager_error(400, "LocationRequired", "The location property is required for this definition.")
    if problems:
        raise provider_error(400, "UnmarshalError", f"UnmarshalEntity encountered error: json: {problems[0]}.")
    return body


def accepted(cloud: StandIn, operation: Operation, status: int, body: Any) -> Answer:
    """Answer a call that began an operation."""
    base = (
        f"{cloud.url}/subscriptions/{operation.subscription}/providers/Microsoft.ContainerService/locations/"
        f"{operation.location}"
    )
    query = urlencode({"api-version": API_VERSIONS[-1]})
    # Whole seconds: the SDK reads nothing else of an accepted operation.
    headers = {
        "Azure-AsyncOperation": f"{base}/operations/{operation.id}?{query}",
        "Retry-After": str(max(1, math.ceil(cloud.faults.retry_after_seconds))),
    }
    if status == 202:
        headers["Location"] = f"{base}/operationresults/{operation.id}?{query}"
    return Answer(status=status, body=body, headers=headers)


def show_page(cloud: StandIn, ask: Ask, items: Sequence[tuple[str, Any]]) -> Answer:
    """Answer with one page of a list."""
    query = dict(ask.query)
    try:
        shown, following = page(items, query.get("$skipToken", ""), cloud.faults.page_size)
    except ValueError as error:
        raise manager_error(400, "InvalidSkipToken", "The provided $skipToken is invalid.") from error
    body: dict[str, Any] = {"value": shown}
    if following:
        body["nextLink"] = f"{cloud.url}{ask.path}?{urlencode({**query, '$skipToken': following})}"
    return Answer(body=body)
