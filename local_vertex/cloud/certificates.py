"""A certificate authority for the clients of one home, and a certificate for Google's hosts that it signs.

The authority may sign for these hosts only, so that a client that trusts it trusts it for nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.atomic_files import write_atomic
from ...core.errors import storage_errors

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_DAYS = 365
_OLDEST_DAYS = 30  # a certificate that ends sooner is made again


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files of a home.

    Attributes:
        bundle: The authorities that a client has to trust: the public ones, and our own last.
        chain: The hosts' certificate and its authority's.
        key: The hosts' private key; only the owner can read it.
    """

    bundle: Path
    chain: Path
    key: Path


def ensure(folder: Path, hosts: Sequence[str], environment: Mapping[str, str] = os.environ) -> Certificates:
    """The certificates of a home; made where they are missing, for other hosts, or about to end.

    Args:
        folder: Only its owner may enter it.
        hosts: The hosts' names; they may begin with "*.".
        environment: May name authorities that this machine trusts besides the public ones.

    Raises:
        StorageError: The folder can't be written.
    """
    made = Certificates(folder / "authorities.pem", folder / "hosts.pem", folder / "hosts.key")
    with storage_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (made.key.exists() and _is_valid(made.chain, hosts)):
            _make(made, hosts)
        own = made.chain.read_bytes().split(b"-----END CERTIFICATE-----\n")[1] + b"-----END CERTIFICATE-----\n"
        write_atomic(made.bundle, _public(environment, made.bundle) + b"\n" + own)
    return made


def _public(environment: Mapping[str, str], ours: Path) -> bytes:
    """The authorities that this machine trusts: certifi's, and those that a variable names."""
    import certifi

    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    paths = dict.fromkeys(Path(environment[name]) for name in names if environment.get(name))
    kept = [Path(certifi.where()), *(path for path in paths if path != ours and path.is_file())]
    return b"\n".join(path.read_bytes() for path in dict.fromkeys(kept))


def _is_valid(chain: Path, hosts: Sequence[str]) -> bool:
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(chain.read_bytes())[0]
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, IndexError, x509.ExtensionNotFound):
        return False
    lasts = found.not_valid_after_utc > datetime.now(UTC) + timedelta(days=_OLDEST_DAYS)
    return lasts and set(names.get_values_for_type(x509.DNSName)) == set(hosts)


def _make(made: Certificates, hosts: Sequence[str]) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    names = [x509.DNSName(host) for host in hosts]
    # A name without a star permits itself and everything below it.
    permitted = [x509.DNSName(host.removeprefix("*.")) for host in hosts]
    authority = _signed(
        "local_vertex, this home's own authority",
        None,
        authority_key,
        authority_key,
        [
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (_usage(x509, key_cert_sign=True), True),
            (x509.NameConstraints(permitted, None), True),
        ],
    )
    leaf = _signed(
        "local_vertex",
        authority,
        key,
        authority_key,
        [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(x509, digital_signature=True), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (x509.SubjectAlternativeName(names), False),
        ],
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    # The authority's key is not kept: nobody can sign another certificate with it.
    _write_private(made.key, private)
    write_atomic(made.chain, leaf.public_bytes(pem) + authority.public_bytes(pem))


def _signed(
    name: str,
    issuer: x509.Certificate | None,
    key: EllipticCurvePrivateKey,
    signer: EllipticCurvePrivateKey,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, hashes.SHA256())


def _usage(x509: Any, **used: bool) -> Any:  # noqa: ANN401 - a module
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: used.get(name, False) for name in names})


def _write_private(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
    temporary.replace(path)
