"""The TLS settings of HTTPS connections, loaded once: urllib3 would load them for every connection, in 25 ms."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from urllib3.util import create_urllib3_context

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_REGISTRY_FOLDERS = ("/etc/docker/certs.d", "/etc/containers/certs.d", "~/.config/containers/certs.d")
"""Where docker and podman look for a registry's own certificates: a folder named by its host and port, with the
certificate authorities as `.crt`, and certificates of the client as `.cert` and `.key`:
https://docs.docker.com/engine/security/certificates/."""


def client_context() -> ssl.SSLContext:
    """A context that trusts this machine's certificate authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR."""
    return _context(*(os.environ.get(name) for name in _VARIABLES))


def registry_context(host: str) -> ssl.SSLContext:
    """The context for a registry: with the certificates that docker and podman keep for its host, if there are any."""
    folders = [Path(folder).expanduser() / host for folder in _REGISTRY_FOLDERS]
    found = [folder for folder in folders if folder.is_dir()]
    return _with_certificates(found) if found else client_context()


@cache
def _context(*_: str | None) -> ssl.SSLContext:
    context = create_urllib3_context()
    context.load_default_certs()
    if bundle := os.environ.get("REQUESTS_CA_BUNDLE"):
        _load(context, Path(bundle))
    return context


def _with_certificates(folders: Sequence[Path]) -> ssl.SSLContext:
    context = create_urllib3_context()
    context.load_default_certs()
    for folder in folders:
        for authority in sorted(folder.glob("*.crt")):
            _load(context, authority)
        for certificate in sorted(folder.glob("*.cert")):
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


def _load(context: ssl.SSLContext, path: Path) -> None:
    if path.is_dir():
        context.load_verify_locations(capath=path)
    elif path.is_file():
        context.load_verify_locations(cafile=path)
