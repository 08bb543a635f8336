"""The stand-in for Microsoft Entra: discovery, and tokens for applications that prove who they are.

An application shows its secret, or (workload identity) a token of somebody whom it trusts. What comes back is signed
with the tenant's own key, says for whom it is good, and ends.
"""

from __future__ import annotations

import hmac
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from .aks_tokens import Signer, TokenRefused, read_claims_unchecked, read_token
from .aks_values import Application
from .core import Answer, Ask
from .faults import How

AKS_SERVER: Final = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""The application that is the API server of every AKS cluster with managed Entra login."""
MANAGER_AUDIENCES: Final = (
    "https://management.azure.com",
    "https://management.azure.com/",
    "https://management.core.windows.net",
    "https://management.core.windows.net/",
)
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FEDERATION_AUDIENCE: Final = "api://AzureADTokenExchange"
TOKEN_FIELDS: Final = frozenset(
    {"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "scope"}
    # MSAL adds these to every call.
    | {"client_info", "claims", "client-request-id"}
)


class Login:
    """One tenant, with its applications and its key."""

    def __init__(self, tenant: str, now: Callable[[], float], protest: Callable[[str], None]) -> None:
        self.tenant = tenant
        self.applications: dict[str, Application] = {}
        self.token_seconds = 3600
        """How long a token is good."""
        self._signer = Signer()
        self._now = now
        self._protest = protest
        self.url = ""

    def perform(self, ask: Ask) -> Answer:
        """Answer one call."""
        if ask.name == "DiscoverInstance":
            return self._discover(ask)
        if ask.parts["tenant"].lower() != self.tenant:
            return self._refuse(400, "invalid_tenant", 90002, f"Tenant '{ask.parts['tenant']}' not found.")
        if ask.name == "GetOpenIdConfiguration":
            return Answer(body=self._describe())
        if ask.name == "GetKeys":
            return Answer(body=self._signer.build_key_set())
        return self._issue(ask)

    def identify(self, token: str, audiences: tuple[str, ...]) -> tuple[Application, dict[str, Any]]:
        """Return whose token this is, and what it says. Raises TokenRefused."""
        claims = read_token(token, self._signer.public_key, self._now())
        if claims.get("aud") not in audiences:
            raise TokenRefused(f"The token is for {claims.get('aud')!r}, not for {audiences[0]!r}.")
        application = self.applications.get(str(claims.get("appid")))
        if application is None or claims.get("tid") != self.tenant:
            raise TokenRefused("The token is of an unknown application or tenant.")
        return application, claims

    def issue_token(self, application: Application, audience: str, seconds: float | None = None) -> str:
        """Return a token for an application, as the token endpoint would."""
        now = self._now()
        return self._signer.sign(
            {
                "aud": audience,
                "iss": f"https://sts.windows.net/{self.tenant}/",
                "iat": int(now),
                "nbf": int(now),
                "exp": int(now + (self.token_seconds if seconds is None else seconds)),
                "appid": application.client_id,
                "appidacr": "1",
                "idp": f"https://sts.windows.net/{self.tenant}/",
                "idtyp": "app",
                "oid": application.object_id,
                "sub": application.object_id,
                "tid": self.tenant,
                "uti": uuid.uuid4().hex[:22],
                "ver": "1.0",
            }
        )

    def explain(self, how: How, retry_after_seconds: float) -> Answer:
        """Answer as Entra does when it fails so."""
        if how == "throttled":
            # Entra sends whole seconds; MSAL takes anything else for five of them.
            headers = {"Retry-After": str(math.ceil(retry_after_seconds))}
            return self._refuse(429, "temporarily_unavailable", 90055, "There are too many requests.", headers)
        if how == "unavailable":
            return self._refuse(503, "temporarily_unavailable", 90033, "A transient error has occurred. Try again.")
        if how == "error":
            return self._refuse(500, "server_error", 90010, "Something failed inside the service.")
        return self._refuse(401, "invalid_client", 7000112, "The application is disabled.")

    def _issue(self, ask: Ask) -> Answer:
        """Answer a call for a token (client credentials grant)."""
        form = {name: values[-1] for name, values in parse_qs(ask.body.decode(), keep_blank_values=True).items()}
        for name in sorted(form.keys() - TOKEN_FIELDS):
            self._protest(f"token endpoint: unknown field {name!r}")
        if form.get("grant_type") != "client_credentials":
            return self._refuse(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        application = self.applications.get(form.get("client_id", ""))
        if application is None:
            named = form.get("client_id", "")
            return self._refuse(
                400,
                "unauthorized_client",
                700016,
                f"Application with identifier '{named}' was not found in the directory '{self.tenant}'.",
            )
        refusal = self._check_proof(application, form)
        if refusal is not None:
            return refusal
        audience, suffix, rest = form.get("scope", "").partition("/.default")
        if not suffix or rest:
            return self._refuse(
                400, "invalid_scope", 1002012, "The provided value for scope is not valid: it must end in /.default."
            )
        if audience not in (*MANAGER_AUDIENCES, AKS_SERVER):
            return self._refuse(
                400, "invalid_resource", 500011, f"The resource principal named {audience} was not found."
            )
        token = self.issue_token(application, audience)
        lasts = self.token_seconds
        return Answer(
            body={"token_type": "Bearer", "expires_in": lasts, "ext_expires_in": lasts, "access_token": token},
            headers={"Cache-Control": "no-store, no-cache"},
        )

    def _check_proof(self, application: Application, form: Mapping[str, str]) -> Answer | None:
        """Return a refusal unless the caller is the application."""
        if "client_assertion" in form:
            return self._check_assertion(application, form)
        if hmac.compare_digest(form.get("client_secret", "").encode(), application.secret.encode()):
            return None
        return self._refuse(
            401,
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
            f"not the client secret ID, for a secret added to app '{application.client_id}'.",
        )

    def _check_assertion(self, application: Application, form: Mapping[str, str]) -> Answer | None:
        """Return a refusal unless the token that is shown is of somebody whom the application trusts."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            return self._refuse(400, "invalid_request", 900144, "client_assertion_type is missing or unknown.")
        token = form["client_assertion"]
        try:
            said = read_claims_unchecked(token)
            key = application.federated.get((str(said.get("iss")), str(said.get("sub"))))
            if key is None:
                return self._refuse(
                    401,
                    "invalid_client",
                    700213,
                    "No matching federated identity record found for presented assertion subject "
                    f"'{said.get('sub')}' and issuer '{said.get('iss')}'.",
                )
            claims = read_token(token, key, self._now())
        except TokenRefused as error:
            return self._refuse(401, "invalid_client", 700024, f"Client assertion is not valid. {error}")
        audience = claims.get("aud")
        if FEDERATION_AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
            return self._refuse(
                401, "invalid_client", 700212, "No matching federated identity record for its audience."
            )
        return None

    def _discover(self, ask: Ask) -> Answer:
        asked = dict(ask.query).get("authorization_endpoint", "")
        tenant = asked.removeprefix(f"{self.url}/").split("/", 1)[0]
        found = f"{self.url}/{tenant}/v2.0/.well-known/openid-configuration"
        return Answer(body={"tenant_discovery_endpoint": found, "api-version": "1.1", "metadata": []})

    def _describe(self) -> dict[str, Any]:
        here = f"{self.url}/{self.tenant}"
        return {
            "token_endpoint": f"{here}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "jwks_uri": f"{here}/discovery/v2.0/keys",
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "issuer": f"{here}/v2.0",
            "authorization_endpoint": f"{here}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{here}/oauth2/v2.0/devicecode",
        }

    def _refuse(
        self, status: int, error: str, number: int, message: str, headers: Mapping[str, str] | None = None
    ) -> Answer:
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        body = {
            "error": error,
            "error_description": f"AADSTS{number}: {message} Trace ID: {trace} Correlation ID: {correlation}",
            "error_codes": [number],
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"{self.url}/error?code={number}",
        }
        return Answer(status=status, body=body, headers=headers or {})
