"""Who signs: an operator's certificate, or one of the moment for development.

The development certificate is made in memory when it is first needed and its key is never stored: a signature
by it shows that a file was not changed since, and nothing about who made it. Verifiers call it untrusted.
"""

from __future__ import annotations

import datetime
from functools import lru_cache
from pathlib import Path

from segtalker.errors import ConfigError
from segtalker.provenance.config import ProvenanceConfig

DEVELOPMENT_NAME = "SegTalker development"
"""Organisation in the development certificate."""


def signing_pair(cfg: ProvenanceConfig) -> tuple[bytes, bytes]:
    """Certificate chain (leaf first) and private key, both PEM."""
    if not cfg.certificate:
        return development_pair()
    return _read(cfg.certificate, "provenance.certificate"), _read(cfg.private_key, "provenance.private_key")


@lru_cache(maxsize=1)
def development_pair() -> tuple[bytes, bytes]:
    """An authority of the moment and a signer below it, for 30 days: (chain, key of the signer) in PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    authority, signer = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    chain = [_certificate(signer, authority, "signer"), _certificate(authority, authority, "authority")]
    pem = serialization.Encoding.PEM
    key = signer.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return b"".join(certificate.public_bytes(pem) for certificate in chain), key


def _certificate(holder, issuer, role):  # type: ignore[no-untyped-def]
    """X.509 certificate of `holder`'s key as C2PA asks for it; the authority's where both are one key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(common: str) -> x509.Name:
        parts = ((NameOID.ORGANIZATION_NAME, DEVELOPMENT_NAME), (NameOID.COMMON_NAME, common))
        return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])

    is_authority = holder is issuer
    now = datetime.datetime.now(datetime.timezone.utc)
    usage = x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(role))
        .issuer_name(name("authority"))
        .public_key(holder.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(holder.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False
        )
    )
    if not is_authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer, hashes.SHA256())


def _read(path: str, setting: str) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{setting} = {path}: cannot read it ({error.strerror}).") from error
    if b"-----BEGIN " not in data:
        raise ConfigError(f"{setting} = {path}: not a PEM file; convert it with openssl.")
    return data
