"""Asks once whether a server answers, without waiting long."""

from __future__ import annotations

from urllib.parse import urlsplit

import urllib3

from .addresses import AddressGuard, RefusedAddress
from .http_pools import Pools
from .index_logins import without_login

_SECONDS = 5.0


def answers(address: str, seconds: float = _SECONDS) -> bool:
    """Whether a server answers at all, through the proxy that is set; a refusal is an answer too.

    Args:
        address: A URL, or a host with or without a port, which is then asked by https.
        seconds: How long each part of the request may take.
    """
    url = without_login(address) if "://" in address else f"https://{address}/"
    if urlsplit(url).scheme not in {"http", "https"}:
        return True
    try:
        Pools(AddressGuard(None)).request("HEAD", url, timeout=seconds, retries=False, redirect=False)
    except (urllib3.exceptions.HTTPError, OSError, ValueError, RefusedAddress):
        return False
    return True
