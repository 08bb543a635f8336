"""How boto3 is set up: with whose login, to which address, with which limits.

All retries are ours (`managed.calling`), because they have to fit the budget of the account. boto3 makes each
call once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from atoll.errors import BadInput
from atoll.providers.managed.authority import keep_authority
from atoll.providers.managed.calling import THREADS
from atoll.providers.managed.surroundings import AUTHORITY

from .settings import ID_KEY, ROLE_KEY, SECRET_KEY, SESSION_KEY

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """An open account of AWS in one region."""

    eks: Any
    session: Any
    """The session of botocore, which knows the login and renews it."""
    sts_url: str
    """Where tokens are checked."""
    authority: Any
    """A file with the authority to trust, as long as it is needed; None: the usual ones."""

    def close(self) -> None:
        """Give connections back, and the file."""
        self.eks.close()
        if self.authority is not None:
            self.authority.close()


def open_clients(region: str, credentials: Mapping[str, str], endpoint: str) -> Clients:
    """Set up boto3; makes no call. BadInput where it is not installed, or the region is none."""
    try:
        import boto3
        from botocore.config import Config
        from botocore.session import Session
    except ImportError:
        raise BadInput("EKS needs the library boto3, which is not installed: install atoll[eks]") from None
    authority = keep_authority(credentials.get(AUTHORITY, ""))
    options: dict[str, Any] = {
        "region_name": region,
        "config": Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=THREADS,
            user_agent_extra="atoll",
        ),
    }
    if endpoint:
        options["endpoint_url"] = endpoint
    if authority is not None:
        options["verify"] = authority.name
    base = Session()
    if credentials.get(ID_KEY):
        base.set_credentials(credentials[ID_KEY], credentials[SECRET_KEY], credentials.get(SESSION_KEY) or None)
    session = _assume(base, credentials[ROLE_KEY], options) if credentials.get(ROLE_KEY) else base
    made = boto3.session.Session(botocore_session=session, region_name=region)
    sts_url = made.client("sts", **options).meta.endpoint_url
    return Clients(eks=made.client("eks", **options), session=session, sts_url=sts_url, authority=authority)


def _assume(base: Any, role: str, options: Mapping[str, Any]) -> Any:
    """Return a session in another role, which it takes up when it is first needed, and again before it ends."""
    from botocore.credentials import (
        AssumeRoleCredentialFetcher,
        CredentialProvider,
        CredentialResolver,
        DeferredRefreshableCredentials,
    )
    from botocore.session import Session

    def create(service: str, **login: Any) -> Any:
        return base.create_client(service, **options, **login)

    class Lazy:
        """The credentials of the operator itself, looked for only when the role is taken up."""

        def get_frozen_credentials(self) -> Any:
            found = base.get_credentials()
            if found is None:
                from botocore.exceptions import NoCredentialsError

                raise NoCredentialsError
            return found.get_frozen_credentials()

    fetcher = AssumeRoleCredentialFetcher(create, Lazy(), role, extra_args={"RoleSessionName": "atoll"})
    assumed = DeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method="assume-role")

    class Provider(CredentialProvider):  # type: ignore[misc] # botocore has no types
        METHOD = "assume-role"
        CANONICAL_NAME = "atoll"

        def load(self) -> Any:
            return assumed

    session = Session()
    session.register_component("credential_provider", CredentialResolver(providers=[Provider()]))
    return session
