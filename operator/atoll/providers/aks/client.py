"""The SDK's client, set up so that nothing happens that Atoll did not ask for.

Its own retries are off (the budget of the account and `Caller` do that), nothing is logged, no redirect is followed,
and no resource provider is registered in somebody's subscription on the way.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, Final

from atoll.errors import BadInput
from atoll.providers.managed.surroundings import Declared

from .login import build_credential, check_credentials

CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60
CONNECTIONS: Final = 32
AUTHORITY_KEY: Final = "endpoint_ca"
"""Key of the Secret with the PEM to trust, where Azure is not the one that everybody trusts."""


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
        options: dict[str, Any] = {
            "connection_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "connection_verify": self._keep_authority(declared.credentials.get(AUTHORITY_KEY, "")),
        }
        logins = {**options, "retry_total": 0}
        if declared.endpoint:
            # An address of its own is asked for tokens too, and is no cloud that Entra could tell of.
            logins |= {"authority": declared.endpoint, "disable_instance_discovery": True}
        self.credential = build_credential(declared.credentials, logins)
        session = requests.Session()
        # By default ten connections are kept: every further thread would greet Azure anew at each call.
        session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=CONNECTIONS))
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
        weakref.finalize(self, _close, self.azure, self.credential)

    def close(self) -> None:
        """Give connections back; calls that are under way fail."""
        _close(self.azure, self.credential)

    def _keep_authority(self, pem: str) -> bool | str:
        """Return what the SDK takes as `verify`: a file, so it is written, and removed with this object."""
        if not pem:
            return True
        folder = Path(tempfile.mkdtemp(prefix="atoll-aks-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        path = folder / "authority.pem"
        path.write_text(pem)
        return str(path)


def _close(*clients: Any) -> None:
    """Give connections back: nobody tells an account that it is used no more."""
    for client in clients:
        with contextlib.suppress(Exception):
            client.close()
