"""Certificates for the lab: an authority of its own, and what it signs."""

import datetime as dt
import ipaddress
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass(frozen=True)
class Certified:
    """A private key and the certificate that goes with it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def certificate_pem(self) -> str:
        return pem(self.certificate)

    @property
    def key_pem(self) -> str:
        return key_pem(self.key)

    @classmethod
    def self_signed(cls, common_name: str, *, authority: bool = False) -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _unsigned(key, common_name, common_name, expires=now() + 10 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        return cls(key, builder.sign(key, hashes.SHA256()))


@dataclass(frozen=True)
class Authority:
    name: str = "Lab CA"
    own: Certified = field(default_factory=lambda: Certified.self_signed("Lab CA", authority=True))

    def certify(self, *names: str, expired: bool = False) -> Certified:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _unsigned(key, names[0], self.name, expires=now() - DAY if expired else now() + 10 * DAY)
        alternatives = x509.SubjectAlternativeName(list(map(alternative, names)))
        builder = builder.add_extension(alternatives, critical=False)
        return Certified(key, builder.sign(self.own.key, hashes.SHA256()))


def _unsigned(
    key: ec.EllipticCurvePrivateKey, subject: str, issuer: str, *, expires: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - 2 * DAY)
        .not_valid_after(expires)
    )
