"""Keys of a test cluster: an authority, servers' certificates for loopback, a pair that signs service accounts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_VALID = timedelta(days=7)


def write_keys(folder: Path, servers: Iterable[str]) -> None:
    """Writes ca.crt, NAME.crt and NAME.key for each server, accounts.key and accounts.pub (PEM, keys 0600)."""
    folder.mkdir(parents=True, mode=0o700)
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = _name("test cluster")
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    root = _unsigned(issuer, issuer, authority).add_extension(x509.BasicConstraints(True, None), critical=True)
    _write(folder / "ca.crt", _pem(root.add_extension(usage, critical=True).sign(authority, hashes.SHA256())))
    here = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    for name in servers:
        key = ec.generate_private_key(ec.SECP256R1())
        made = _unsigned(_name(name), issuer, key).add_extension(here, critical=False)
        _write(folder / f"{name}.crt", _pem(made.sign(authority, hashes.SHA256())))
        _write(folder / f"{name}.key", _private_pem(key))
    accounts = ec.generate_private_key(ec.SECP256R1())
    _write(folder / "accounts.key", _private_pem(accounts))
    public = accounts.public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    _write(folder / "accounts.pub", public.public_bytes(serialization.Encoding.PEM, spki))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _unsigned(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _VALID)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
