"""What HTTPS connections trust, loaded once: urllib3 alone would load it for every connection, 25 ms each time."""

from __future__ import annotations

import os
import ssl
from functools import cache

from urllib3.util.ssl_ import create_urllib3_context

_CHOICES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def client_context() -> ssl.SSLContext:
    """Checks certificates against this machine's authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR."""
    return _context(*(os.environ.get(name) for name in _CHOICES))


@cache
def _context(*_: str | None) -> ssl.SSLContext:
    context = create_urllib3_context()
    context.load_default_certs()
    return context
