"""What the API admits as an issuer is what every API server starts with."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from atoll.api.clusterset import Oidc
from atoll.api.convert_parts import freeze_model
from atoll.fleet.values import thaw


@pytest.mark.parametrize(
    "url",
    [
        "https://id.example",
        "https://id.example/realms/people/",
        "https://127.0.0.1:8443",
        "https://[::1]:8443/a%20b",
        "https://id.example/a;b=c/~d",
    ],
)
def test_issuers(url: str) -> None:
    assert Oidc(issuerURL=url, clientID="atoll").issuer_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example",
        "https://",
        "https://me:secret@id.example",
        "https://id.example?tenant=1",
        "https://id.example/#top",
        "https://id.example:port",
        "https://id.example/%zz",
        "https://id.example/a b",
        "https://id.example\n",
        "https://[id.example]",
    ],
)
def test_what_no_api_server_takes_as_an_issuer_is_refused_at_admission(url: str) -> None:
    with pytest.raises(ValidationError, match="issuerURL"):
        Oidc(issuerURL=url, clientID="atoll")


@pytest.mark.parametrize("field", ["usernameClaim", "groupsClaim", "certificateAuthority", "clientID"])
def test_empty_fields_are_refused(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Oidc(**{"issuerURL": "https://id.example", "clientID": "atoll", field: ""})


def test_what_nobody_wrote_says_nothing() -> None:
    """Revisions are made of it: a field that a later Atoll learns must not appear by itself."""
    assert thaw(freeze_model(Oidc(issuerURL="https://id.example", clientID="atoll"))) == {
        "issuerURL": "https://id.example",
        "clientID": "atoll",
        "usernameClaim": "sub",
        "groupsClaim": "groups",
    }
