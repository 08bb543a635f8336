"""Certificates: who signs whom, for what, and for how long."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from atoll.planes import pki
from atoll.planes.kubeconfig import build_kubeconfig
from atoll.planes.values import PlaneSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = PlaneSpec(id="c1", name="web", version="v1.36.4", pod_cidr="10.0.0.0/16", service_cidr="10.1.0.0/20")
LEAVES = {leaf.name: leaf for leaf in pki.build_leaves(SPEC)}
AUTHORITY = pki.issue_authority("c1 ca", NOW)


def uses_of(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_atoll_is_an_operator_by_group_and_never_a_master() -> None:
    certificate = pki.issue_leaf(LEAVES[pki.ATOLL], AUTHORITY, NOW, pki.LEAF_LIFE).certificate
    assert certificate.subject.rfc4514_string() == "CN=atoll,O=atoll.dev:operators"
    assert uses_of(certificate) == {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert certificate.not_valid_after_utc == NOW + timedelta(days=365)
    certificate.verify_directly_issued_by(AUTHORITY.certificate)
    assert "system:masters" not in {leaf.organization for leaf in LEAVES.values()}


def test_the_api_server_answers_to_its_loopback_and_service_addresses() -> None:
    certificate = pki.issue_leaf(LEAVES[pki.API_SERVER], AUTHORITY, NOW, pki.LEAF_LIFE).certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.IPAddress)) == {
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("10.1.0.1"),
    }
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)
    assert uses_of(certificate) == {ExtendedKeyUsageOID.SERVER_AUTH}


def test_an_authority_signs_and_a_leaf_does_not() -> None:
    leaf = pki.issue_leaf(LEAVES[pki.ETCD_SERVER], AUTHORITY, NOW, pki.LEAF_LIFE).certificate
    constraints = [
        certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        for certificate in (AUTHORITY.certificate, leaf)
    ]
    assert constraints == [True, False]


def test_etcd_trusts_other_certificates_than_the_api_server() -> None:
    assert {leaf.authority for leaf in LEAVES.values() if "etcd" in leaf.name} == {pki.ETCD_AUTHORITY}
    assert {leaf.authority for leaf in LEAVES.values() if "etcd" not in leaf.name} == {pki.CLUSTER_AUTHORITY}


def test_a_kubeconfig_carries_everything_in_itself() -> None:
    text = build_kubeconfig(name="web", endpoint="https://127.0.0.1:1", authority=b"A", certificate=b"C", key=b"K")
    assert yaml.safe_load(text) == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "web", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": "QQ=="}}
        ],
        "users": [{"name": "atoll", "user": {"client-certificate-data": "Qw==", "client-key-data": "Sw=="}}],
        "contexts": [{"name": "web", "context": {"cluster": "web", "user": "atoll"}}],
        "current-context": "web",
    }
