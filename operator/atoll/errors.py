"""Every error that Atoll raises on purpose.

AtollError
├── Retryable              we could not ask, or the far side was busy: asking again later may help
│   ├── Unreachable        no answer: refused, timed out, cut off
│   ├── Conflict           somebody else wrote first (resourceVersion or UID precondition failed)
│   └── Throttled          told to come back later
└── Terminal               asking again gives the same answer: a person must act
    ├── Refused            the far side said no (forbidden, invalid); the message carries its words
    │   ├── PermissionDenied   a cloud: our login may not do this to that
    │   ├── LoginRefused   a host does not let us in, or not as root
    │   ├── Taken          a host belongs to another cluster
    │   └── NotTaken       a host belongs to no cluster, and the work is for one that owns it
    ├── QuotaExceeded      a cloud: the account has no room for more
    ├── IdentityMismatch   the thing that answered is not the one that we pinned
    │   └── HostKeyMismatch   a host's key; nobody logged in
    ├── BadInput           what a user wrote cannot be used; names the field and the remedy
    ├── LoginKeyMissing    the Secret with the key for a pool's hosts is not there, or holds none
    ├── VersionUnavailable no binaries for a Kubernetes version; says where we looked
    ├── ToolchainError     getting binaries failed: digest, truncation, build
    └── ProcessFailed      a program that we ran ended badly; carries argv, exit code and the tail of its output

Messages say what is wrong, which object or field, and what to do. They never hold a secret.
"""

from __future__ import annotations

from typing import Final

DEFAULT_DELAY_SECONDS: Final = 5.0
"""How long to wait before asking again when the far side named no time of its own."""


class AtollError(Exception):
    """Root of all errors that Atoll raises on purpose."""

    reason: str = "Error"
    """CamelCase word for conditions and events."""


class Retryable(AtollError):
    """We could not ask, or the answer was "later"."""

    reason = "Retrying"

    def __init__(self, message: str, *, delay: float = DEFAULT_DELAY_SECONDS) -> None:
        super().__init__(message)
        self.delay = delay


class Unreachable(Retryable):
    """Nobody answered in time."""

    reason = "Unreachable"


class Conflict(Retryable):
    """Somebody else wrote first: look again, then decide again."""

    reason = "Conflict"


class Throttled(Retryable):
    """The far side asked us to come back later."""

    reason = "Throttled"


class Terminal(AtollError):
    """Asking again gives the same answer."""

    reason = "Failed"


class Refused(Terminal):
    """The far side understood and said no."""

    reason = "Refused"


class IdentityMismatch(Terminal):
    """What answered is not what we pinned; nothing was sent to it."""

    reason = "IdentityMismatch"


class PermissionDenied(Refused):
    """A cloud knows who we are, and does not allow what we asked; the message names action and resource."""

    reason = "PermissionDenied"


class QuotaExceeded(Terminal):
    """A cloud's account has no room for what was asked for."""

    reason = "QuotaExceeded"


class LoginRefused(Refused):
    """A host knows who we say that we are, and does not let us in or not do what we need."""

    reason = "LoginRefused"


class Taken(Refused):
    """A host's own journal says that it belongs to another cluster."""

    reason = "Taken"

    def __init__(self, message: str, *, owner: str) -> None:
        super().__init__(message)
        self.owner = owner


class NotTaken(Refused):
    """A host's own journal says that it belongs to nobody."""

    reason = "NotTaken"


class HostKeyMismatch(IdentityMismatch):
    """A host answered with another key than the pinned one; no login was tried.

    Both fingerprints are in OpenSSH's form, `SHA256:…`; `answered` is empty when the host showed no key.
    """

    reason = "HostKeyMismatch"

    def __init__(self, message: str, *, answered: str, pinned: str) -> None:
        super().__init__(message)
        self.answered = answered
        self.pinned = pinned


class BadInput(Terminal):
    """What a user wrote cannot be used.

    `field` is a path such as `spec.network.addressBlock`; the message ends with the remedy.
    """

    reason = "InvalidSpec"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class LoginKeyMissing(Terminal):
    """There is no key to log in to hosts with."""

    reason = "LoginKeyMissing"


class VersionUnavailable(Terminal):
    """There are no binaries for a Kubernetes version."""

    reason = "VersionUnavailable"


class ToolchainError(Terminal):
    """Getting binaries failed; nothing was left behind."""

    reason = "ToolchainFailed"


class ProcessFailed(Terminal):
    """A program that we ran ended badly."""

    reason = "ProcessFailed"

    def __init__(self, argv: tuple[str, ...], code: int | None, output: str) -> None:
        tail = output.strip()[-2000:]
        super().__init__(f"`{' '.join(argv[:3])}{' …' if len(argv) > 3 else ''}` ended with {code}: {tail}")
        self.argv = argv
        self.code = code
        self.output = output
