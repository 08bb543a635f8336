"""Keys and certificates of one plane.

Each identity is one PEM file with certificate and key together, replaced in one step: there is no moment at which a
certificate lies beside the key of another. The servers and the controller manager read renewed files by themselves.
Elliptic keys (P-256) throughout, service-account tokens included (ES256): 16 of them cost less than one RSA key.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from atoll.errors import Terminal
from atoll.fleet.names import OPERATORS_GROUP

from .effects import Effects
from .layout import Layout
from .values import PlaneSpec

CLUSTER_AUTHORITY: Final = "ca"
ETCD_AUTHORITY: Final = "etcd-ca"
SERVICE_ACCOUNT: Final = "service-account"
API_SERVER: Final = "apiserver"
API_SERVER_TO_ETCD: Final = "apiserver-etcd-client"
ETCD_SERVER: Final = "etcd-server"
ETCD_PEER: Final = "etcd-peer"
CONTROLLER_MANAGER: Final = "controller-manager"
ATOLL: Final = "atoll"

AUTHORITY_LIFE: Final = timedelta(days=3650)
LEAF_LIFE: Final = timedelta(days=365)
RENEW_BEFORE: Final = timedelta(days=90)
BOOTSTRAP_LIFE: Final = timedelta(hours=1)
BACKDATING: Final = timedelta(minutes=5)
"""Clocks differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One certificate to be."""

    name: str
    authority: str
    common_name: str
    organization: str = ""
    hosts: tuple[str, ...] = ()
    server: bool = False
    client: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """Certificate and key in one text. Secret."""
        return certificate_pem(self.certificate) + key_pem(self.key)


def build_leaves(spec: PlaneSpec) -> tuple[Leaf, ...]:
    """Return what a plane needs besides its two authorities."""
    first_service_address = str(ipaddress.ip_network(spec.service_cidr)[1])
    local = ("127.0.0.1", "localhost")
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    return (
        # etcd shows its server certificate as a client to itself (its HTTP gateway), so that one needs both uses.
        Leaf(name=ETCD_SERVER, authority=ETCD_AUTHORITY, common_name="etcd", hosts=local, server=True, client=True),
        Leaf(name=ETCD_PEER, authority=ETCD_AUTHORITY, common_name="etcd", hosts=local, server=True, client=True),
        Leaf(name=API_SERVER_TO_ETCD, authority=ETCD_AUTHORITY, common_name="kube-apiserver", client=True),
        Leaf(
            name=API_SERVER,
            authority=CLUSTER_AUTHORITY,
            common_name="kube-apiserver",
            hosts=(*local, first_service_address, *service),
            server=True,
        ),
        Leaf(
            name=CONTROLLER_MANAGER,
            authority=CLUSTER_AUTHORITY,
            common_name="system:kube-controller-manager",
            client=True,
        ),
        Leaf(name=ATOLL, authority=CLUSTER_AUTHORITY, common_name="atoll", organization=OPERATORS_GROUP, client=True),
    )


def ensure_certificates(layout: Layout, spec: PlaneSpec, effects: Effects, now: datetime, *, new: bool) -> None:
    """Write every key and certificate that is missing or near its end.

    Only a `new` plane gets new authorities: in one that has served, losing them is an error that a person must see.
    """
    for name in (CLUSTER_AUTHORITY, ETCD_AUTHORITY):
        if not layout.identity(name).exists():
            require_new(layout, name, new=new)
            effects.write_file(layout.identity(name), issue_authority(f"{spec.id} {name}", now).pem)
        certificate = certificate_pem(read_pair(layout, name).certificate)
        if not layout.authority(name).exists() or layout.authority(name).read_bytes() != certificate:
            effects.write_file(layout.authority(name), certificate)
    if not layout.identity(SERVICE_ACCOUNT).exists():
        require_new(layout, SERVICE_ACCOUNT, new=new)
        effects.write_file(layout.identity(SERVICE_ACCOUNT), key_pem(ec.generate_private_key(ec.SECP256R1())))
    renew_certificates(layout, spec, effects, now)


def renew_certificates(layout: Layout, spec: PlaneSpec, effects: Effects, now: datetime) -> tuple[str, ...]:
    """Issue again what is missing, foreign to its authority, or ends within RENEW_BEFORE; return the names."""
    renewed = []
    for leaf in build_leaves(spec):
        authority = read_pair(layout, leaf.authority)
        if not is_good(layout, leaf, authority, now):
            effects.write_file(layout.identity(leaf.name), issue_leaf(leaf, authority, now, LEAF_LIFE).pem)
            renewed.append(leaf.name)
    return tuple(renewed)


def is_good(layout: Layout, leaf: Leaf, authority: Pair, now: datetime) -> bool:
    """Tell whether a certificate is there, is of this authority, and lasts."""
    path = layout.identity(leaf.name)
    if not path.exists():
        return False
    certificate = read_pair(layout, leaf.name).certificate
    return certificate.issuer == authority.certificate.subject and certificate.not_valid_after_utc - now > RENEW_BEFORE


def read_expire_time(layout: Layout, spec: PlaneSpec) -> datetime | None:
    """Return when the first of the plane's certificates ends; None before there are any."""
    names = (CLUSTER_AUTHORITY, ETCD_AUTHORITY, *(leaf.name for leaf in build_leaves(spec)))
    times = [
        read_pair(layout, name).certificate.not_valid_after_utc for name in names if layout.identity(name).exists()
    ]
    return min(times, default=None)


def issue_bootstrap_identity(layout: Layout, now: datetime) -> bytes:
    """Return an identity of system:masters that lasts an hour; the caller forgets it at once. Secret."""
    leaf = Leaf(
        name="",
        authority=CLUSTER_AUTHORITY,
        common_name="atoll-bootstrap",
        organization="system:masters",
        client=True,
    )
    return issue_leaf(leaf, read_pair(layout, CLUSTER_AUTHORITY), now, BOOTSTRAP_LIFE).pem


def issue_authority(name: str, now: datetime) -> Pair:
    """Make a new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = build_usage(signs_certificates=True)
    certificate = (
        start_certificate(subject, subject, key, now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def issue_leaf(leaf: Leaf, authority: Pair, now: datetime, life: timedelta) -> Pair:
    """Make a certificate for servers, clients or both."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)]
    if leaf.organization:
        names.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, leaf.organization))
    uses = [
        use
        for wanted, use in (
            (leaf.server, ExtendedKeyUsageOID.SERVER_AUTH),
            (leaf.client, ExtendedKeyUsageOID.CLIENT_AUTH),
        )
        if wanted
    ]
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        start_certificate(x509.Name(names), authority.certificate.subject, key, now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(build_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(identifier, critical=False)
    )
    if leaf.hosts:
        alternatives = x509.SubjectAlternativeName([general_name(host) for host in leaf.hosts])
        builder = builder.add_extension(alternatives, critical=False)
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def start_certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    """Begin a certificate with what all of them have."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATING)
        .not_valid_after(now + life)
    )


def build_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return the key usage of an authority or of a leaf."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def general_name(host: str) -> x509.GeneralName:
    """Return an address or a name as certificates hold them."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as text. Secret."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def read_pair(layout: Layout, name: str) -> Pair:
    """Read an identity of the plane; Terminal names the file, never its content."""
    path = layout.identity(name)
    try:
        text = path.read_bytes()
        key = serialization.load_pem_private_key(text, password=None)
        certificate = x509.load_pem_x509_certificate(text)
    except (OSError, ValueError, TypeError) as error:
        raise unusable(layout, name, type(error).__name__) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise unusable(layout, name, "not an elliptic key")
    return Pair(certificate, key)


def unusable(layout: Layout, name: str, why: str) -> Terminal:
    """Say which file cannot be used, and what to do."""
    return Terminal(f"{layout.identity(name)} cannot be used ({why}): restore it from a backup")


def require_new(layout: Layout, name: str, *, new: bool) -> None:
    """Refuse to make a new authority for a plane that has handed out certificates of the old one."""
    if not new:
        path = layout.identity(name)
        raise Terminal(f"{path} is gone: restore it from a backup, or delete the plane and create it again")
