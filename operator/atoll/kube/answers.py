"""What an API server's answer means to us. Pure."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from atoll.errors import AtollError, Conflict, Refused, Throttled, Unreachable
from atoll.ports import Body

from .transport import Request, Response

MESSAGE_LIMIT: Final = 600
DELAY_LIMIT_SECONDS: Final = 300.0
"""A server that says "come back tomorrow" is asked again earlier."""
_BAD_PATCH: Final = ("failed to create typed patch object", "failed to convert new object")
"""An apply whose body does not fit the kind's schema is answered 500 without a reason, and would be for ever."""


def parse_body(request: Request, response: Response) -> Body:
    """Return the object in a good answer; raises what `build_error` says of a bad one, Unreachable for no JSON."""
    if response.status >= 300:
        raise build_error(request, response)
    body = _json(response.body)
    if body is None:
        raise Unreachable(
            f"{request.method} {request.path} was answered {response.status} with something that is no JSON object; "
            "is that an API server, or a proxy before it?"
        )
    return body


def build_error(request: Request, response: Response) -> AtollError:
    """Say what a bad answer means, in the server's words."""
    status = _json(response.body) or {}
    what = f"{request.method} {request.path} was answered {response.status}: {_words(request, response, status)}"
    match response.status:
        case 404 | 410:
            return Conflict(f"{what} (the object, its namespace or its kind is not there)")
        case 409:
            return Conflict(what)
        case 403 if _has_cause(status, "NamespaceTerminating"):
            return Conflict(what)
        case 429:
            return Throttled(what, **_delay(response))
        case 503 if "retry-after" in response.headers:
            return Throttled(what, **_delay(response))
        case 500 if str(status.get("message")).startswith(_BAD_PATCH):
            return Refused(what)
        case code if code >= 500:
            return Unreachable(what)
        case _:
            return Refused(what)


def clean_text(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return foreign text as one printable line of bounded length."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: limit * 4]).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _words(request: Request, response: Response, status: dict[str, Any]) -> str:
    message, reason = str(status.get("message") or ""), str(status.get("reason") or "")
    if _is_secret(request.path) and response.status not in {401, 403, 404, 409}:
        # Refusals of content quote the content.
        fields = [str(cause.get("field")) for cause in _causes(status) if cause.get("field")]
        return clean_text(f"{reason or 'no reason given'} {', '.join(fields)}")
    return clean_text(message or reason or response.body[:MESSAGE_LIMIT].decode("utf-8", "replace") or "no message")


def _is_secret(path: str) -> bool:
    return "/secrets/" in path or path.endswith(("/secrets", "/token"))


def _has_cause(status: dict[str, Any], reason: str) -> bool:
    return any(cause.get("reason") == reason for cause in _causes(status))


def _causes(status: dict[str, Any]) -> list[dict[str, Any]]:
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []


def _delay(response: Response) -> dict[str, float]:
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return {}
    return {"delay": min(max(seconds, 0.0), DELAY_LIMIT_SECONDS)} if math.isfinite(seconds) else {}


def _json(body: bytes) -> Body | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
