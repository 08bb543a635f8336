"""Logins to EKS clusters: a signed request that asks STS who we are, and that the cluster sends there itself.

The signature holds the cluster's name, so that a token for one cluster is none for another. Nothing is asked of AWS to
make one, but where a role has to be taken up.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Final

from atoll.providers.managed.cloud import Token

from .session import Clients

PREFIX: Final = "k8s-aws-v1."
CLUSTER_HEADER: Final = "x-k8s-aws-id"
PRESIGN_SECONDS: Final = 60
"""As AWS's own tools ask for; clusters believe a token for 15 minutes from its date whatever stands here."""
LIFE: Final = timedelta(minutes=14)


def sign_token(clients: Clients, cluster: str, region: str, now: datetime) -> Token:
    """Return a token for a cluster. Raises errors of botocore where no login can be had."""
    from botocore.exceptions import NoCredentialsError
    from botocore.model import ServiceId
    from botocore.signers import RequestSigner

    credentials = clients.session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    signer = RequestSigner(
        ServiceId("sts"), region, "sts", "v4", credentials, clients.session.get_component("event_emitter")
    )
    request = {
        "method": "GET",
        "url": f"{clients.sts_url.rstrip('/')}/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {CLUSTER_HEADER: cluster},
        "context": {},
    }
    url = signer.generate_presigned_url(request, region_name=region, expires_in=PRESIGN_SECONDS, operation_name="")
    text = PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    return Token(text=text, expires=now + LIFE)
