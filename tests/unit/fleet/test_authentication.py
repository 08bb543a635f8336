"""How people log in, as the API server reads it: word for word, because digests of it stand in running clusters."""

from __future__ import annotations

import json

import pytest

from atoll.fleet.authentication import (
    NOTHING,
    RESERVED_PREFIXES,
    RESERVED_USERS,
    build_authentication_configuration,
    digest_authentication,
    digest_file,
    is_certificates,
    is_to_change,
    render_authentication,
)
from atoll.fleet.values import freeze
from atoll.planes import pki
from atoll.planes.values import PlaneSpec
from atoll.providers.kubeadm.starting import ADMINS, ATOLL_USER

OIDC = freeze(
    {"oidc": {"issuerURL": "https://id.example", "clientID": "atoll", "usernameClaim": "email", "groupsClaim": "teams"}}
)


def test_an_issuer_becomes_what_api_servers_read() -> None:
    assert build_authentication_configuration(OIDC) == {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [
            {
                "issuer": {"url": "https://id.example", "audiences": ["atoll"]},
                "claimMappings": {
                    "username": {"claim": "email", "prefix": ""},
                    "groups": {"claim": "teams", "prefix": ""},
                },
                "userValidationRules": [
                    {"expression": "user.username != ''", "message": "the user name must not be empty"},
                    {
                        "expression": "!(user.username in ['atoll', 'atoll-bootstrap', 'kubernetes-admin', "
                        "'kubernetes-super-admin'])",
                        "message": "the user names atoll, atoll-bootstrap, kubernetes-admin, kubernetes-super-admin "
                        "are reserved",
                    },
                    {
                        "expression": "!user.username.startsWith('system:') && !user.username.startsWith('atoll.dev:') "
                        "&& !user.username.startsWith('kubeadm:')",
                        "message": "user names that begin with system:, atoll.dev:, kubeadm: are reserved",
                    },
                    {
                        "expression": "user.groups.all(group, !group.startsWith('system:') && "
                        "!group.startsWith('atoll.dev:') && !group.startsWith('kubeadm:'))",
                        "message": "groups that begin with system:, atoll.dev:, kubeadm: are reserved",
                    },
                ],
            }
        ],
    }
    assert json.loads(render_authentication(OIDC)) == build_authentication_configuration(OIDC)


def test_a_private_issuer_brings_its_authority() -> None:
    private = freeze({"oidc": {**OIDC["oidc"], "certificateAuthority": "PEM"}})
    (authenticator,) = build_authentication_configuration(private)["jwt"]
    assert authenticator["issuer"]["certificateAuthority"] == "PEM"


def test_every_name_that_we_put_into_a_certificate_is_reserved() -> None:
    spec = PlaneSpec(id="c1", name="c1", version="v1.36.4", pod_cidr="10.0.0.0/16", service_cidr="10.1.0.0/20")
    clients = [leaf for leaf in pki.build_leaves(spec) if leaf.client and leaf.authority == pki.CLUSTER_AUTHORITY]
    names = {leaf.common_name for leaf in clients} | {"atoll-bootstrap", ATOLL_USER}
    groups = {leaf.organization for leaf in clients if leaf.organization} | {ADMINS, pki.OPERATORS_GROUP}
    assert {name for name in names if name not in RESERVED_USERS and not name.startswith(RESERVED_PREFIXES)} == set()
    assert {name for name in groups if not name.startswith(RESERVED_PREFIXES)} == set()


def test_the_digest_is_that_of_the_file_and_empty_when_nobody_is_trusted() -> None:
    assert digest_authentication(OIDC) == digest_file(render_authentication(OIDC))
    assert digest_authentication({}) == ""
    assert json.loads(NOTHING)["jwt"] == []


@pytest.mark.parametrize(
    ("seen", "expected"), [(None, False), ("", True), (digest_authentication(OIDC), False), ("0" * 64, True)]
)
def test_what_nobody_can_tell_is_no_difference(seen: str | None, expected: bool) -> None:
    assert is_to_change(OIDC, seen) is expected


def test_certificates_are_known_from_nonsense() -> None:
    assert not is_certificates("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    assert not is_certificates("")
