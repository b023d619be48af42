"""The TLS settings of HTTPS connections, loaded once: urllib3 would load them for every connection, in 25 ms."""

from __future__ import annotations

import os
import ssl
from functools import cache

from urllib3.util import create_urllib3_context

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def client_context() -> ssl.SSLContext:
    """A context that trusts this machine's certificate authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR."""
    return _context(*(os.environ.get(name) for name in _VARIABLES))


@cache
def _context(*_: str | None) -> ssl.SSLContext:
    context = create_urllib3_context()
    context.load_default_certs()
    return context
