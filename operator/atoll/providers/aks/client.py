"""The SDK's client, set up so that nothing happens that Atoll did not ask for.

Its own retries are off (the budget of the account and `Caller` do that), nothing is logged, no redirect is followed,
and no resource provider is registered in somebody's subscription on the way.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

from atoll.errors import BadInput
from atoll.providers.managed.authority import keep_authority
from atoll.providers.managed.calling import THREADS
from atoll.providers.managed.surroundings import AUTHORITY, Declared

from .login import build_credential, check_credentials

CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60


class Client:
    """Client and credential of one subscription."""

    def __init__(self, subscription: str, declared: Declared) -> None:
        """Make no call; BadInput where the SDK is not installed, or the Secret holds half a login."""
        check_credentials(declared.credentials)
        try:
            import requests
            from azure.core.pipeline import policies
            from azure.core.pipeline.transport import RequestsTransport
            from azure.mgmt import containerservice
            from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy
        except ImportError as error:
            message = "this operator has no SDK for Azure: install atoll[aks]"
            raise BadInput(message, field="spec.provider.aks") from error
        # The SDK reads it anew for each connection, so it stays as long as this does.
        self._authority = keep_authority(declared.credentials.get(AUTHORITY, ""))
        options: dict[str, Any] = {
            "connection_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "connection_verify": True if self._authority is None else self._authority.name,
        }
        logins = {**options, "retry_total": 0}
        if declared.endpoint:
            # An address of its own is asked for tokens too, and is no cloud that Entra could tell of.
            logins |= {"authority": declared.endpoint, "disable_instance_discovery": True}
        self.credential = build_credential(declared.credentials, logins)
        session = requests.Session()
        # By default ten connections are kept: every further thread would greet Azure anew at each call.
        session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=THREADS))
        self.azure = containerservice.ContainerServiceClient(
            self.credential,
            subscription,
            base_url=declared.endpoint or None,
            policies=[
                policies.RequestIdPolicy(),
                policies.HeadersPolicy(),
                policies.UserAgentPolicy("atoll"),
                policies.ProxyPolicy(),
                policies.ContentDecodePolicy(),
                ARMChallengeAuthenticationPolicy(self.credential, "https://management.azure.com/.default"),
            ],
            transport=RequestsTransport(session=session, **options),
        )

    def close(self) -> None:
        """Give connections back; calls that are under way fail."""
        for client in (self.azure, self.credential):
            with contextlib.suppress(Exception):
                client.close()
        if self._authority is not None:
            self._authority.close()
