"""Explains in one line that a script failed because something on the network can't be reached."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

_UNREACHABLE = re.compile(
    r"Name or service not known|failure in name resolution|NameResolutionError|nodename nor servname"
    r"|No address associated with hostname|getaddrinfo failed|resolve host|Network is unreachable|No route to host"
    r"|Connection refused|[Cc]onnection timed out|Max retries exceeded|Failed to establish a new connection"
    r"|Tunnel connection failed|Unable to connect to proxy|Could not connect to the endpoint URL|ConnectTimeout"
    r"|couldn't connect to '?https?:|Couldn't reach\b|cannot find the requested files in the local cache"
    r"|outgoing traffic has been disabled|URL fetch failure on|All connection attempts failed|failed to connect to all"
    r"|Failed to resolve\b|Could not contact DNS servers|Cannot connect to host"
)
"""How Python, its HTTP clients, curl and wget say that a host can't be reached."""
_URL = re.compile(r"\b(?:https?|ftp|s3|gs)://[^\s'\"<>()\[\],]+")
_HELP = re.compile(r"/(?:docs|issues|wiki|faq|troubleshooting|blob)(?:[/#]|$)")
"""A page to which a library's message leads people."""
_POOL = re.compile(r"(HTTPS?)ConnectionPool\(host='([^']+)', port=(\d+)\)(?:: Max retries exceeded with url: (/\S*))?")
_HOST = re.compile(r"(?:resolve host(?: address)?:? [\u2018'\"]?|Cannot connect to host )([\w.-]+\.\w+)")
_OF_ONE_FAILURE = re.compile(r"^(?:During handling of the above exception|The above exception was the direct cause)")
_TRACEBACK = re.compile(r"^\s*[│┃╭╰─|]*\s*Traceback \(most recent call last\)")
_HERE = re.compile(r"^(?:localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|::1)$")
_HIDES = re.compile(
    r"Couldn't find (?:a (?:module|dataset|metric) script|any data file|cache for)\b|on the Hugging Face Hub\b"
    r"|is not a (?:local folder and is not a )?valid model identifier|Can't load (?:the )?(?:\w+ ){1,3}(?:for|of) '"
    r"|does not appear to have a file named|Cannot find (?:the requested files|an appropriate cached snapshot)"
    r"|\bResource \S+ not found|No (?:such )?(?:file|model|dataset) .*\b(?:on|from|in) the [Hh]ub\b"
    r"|Cannot retrieve the public link|Dataset not found(?: or corrupted)?\b|Failed to download\b|Error connecting to"
)
"""What libraries say that took a download that was refused for a thing that doesn't exist."""
_LONGEST = 120
"""Characters of an address that are shown."""


class Refused(NamedTuple):
    """Why the script failed, and the next step."""

    reason: str
    step: str


def refused_connection(
    said: str, tail: Sequence[str], asked: Sequence[str], ask: Callable[[str], bool] | None = None
) -> Refused | None:
    """The reason and the step for a script that failed because it reaches no host; None if it failed by something else.

    Args:
        said: The exception's line, or the script's last words.
        tail: Its last lines of output.
        asked: The addresses that its Python processes asked for, in their order: URLs, and hosts with a port.
        ask: Whether a server answers; asked where the script's last words don't tell. None sends a request.
    """
    lines = [said, *_last_failure(tail)] if said else list(_last_failure(tail))
    if any(_UNREACHABLE.search(line) for line in lines):
        found = _completed(next(_named(lines), "") or _last_asked(lines, asked), asked)
    elif not (found := _hidden(lines, asked, ask)):
        return None
    shown = _without_secrets(found) if found else "something on the network"
    if _HERE.match(_host(shown)):
        return Refused(
            f"it connects to {shown}, where nothing answers",
            "A job has nothing at that address either: give the script one that the cloud reaches, or do without",
        )
    return Refused(
        f"it asks for {shown}, which can't be reached from here",
        'Check the network; if only the cloud reaches it, set verify = "off" under [tool.vertex-training]',
    )


def _hidden(lines: Iterable[str], asked: Sequence[str], ask: Callable[[str], bool] | None) -> str:
    """The address behind a message that something doesn't exist, if its server doesn't answer; else empty."""
    if not any(_HIDES.search(line) for line in lines):
        return ""
    from ....core.network.proxies import proxy_for
    from ....core.network.reachable import answers

    proxies = {_host(proxy) for url in ("http://a.example", "https://a.example") if (proxy := proxy_for(url))}
    last = next((address for address in reversed(asked) if _host(address) not in proxies), "")
    return _completed(last, asked) if last and not _HERE.match(_host(last)) and not (ask or answers)(last) else ""


def _last_failure(tail: Sequence[str]) -> Iterator[str]:
    """The lines of the last exception and of those that led to it; the last lines where there is no traceback."""
    starts = [at for at, line in enumerate(tail) if _TRACEBACK.match(line)]
    if not starts:
        yield from tail[-4:]
        return
    first = starts.pop()
    while starts and any(_OF_ONE_FAILURE.match(line) for line in tail[starts[-1] : first]):
        first = starts.pop()
    yield from tail[first:]


def _named(lines: Iterable[str]) -> Iterator[str]:
    """The addresses that the lines of a failure name, those of its last lines first."""
    for line in reversed(list(lines)):
        if line.startswith("    "):  # the source of a frame
            continue
        if pool := _POOL.search(line):
            scheme, host, port, path = pool.groups()
            is_usual = (scheme, port) in {("HTTP", "80"), ("HTTPS", "443")}
            yield f"{scheme.lower()}://{host}{'' if is_usual else f':{port}'}{path or ''}"
        elif urls := [url for url in _URL.findall(line) if not _HELP.search(url)]:
            yield urls[0].rstrip(".:;")
        elif host := _HOST.search(line):
            yield host[1]


def _last_asked(lines: Iterable[str], asked: Sequence[str]) -> str:
    """The last address; the last URL where a proxy refused it, because the host is the proxy's then."""
    through_proxy = any(re.search(r"[Tt]unnel|[Pp]roxy", line) for line in lines)
    urls = [address for address in asked if "://" in address]
    return next(reversed(urls if urls and through_proxy else asked), "")


def _completed(address: str, asked: Sequence[str]) -> str:
    """The whole URL that was asked for, where the address is its beginning or its host."""
    urls = [url for url in asked if "://" in url]
    fits = (url for url in reversed(urls) if url.startswith(address) or _host(url) == _host(address))
    return next(fits, address) if address.count("/") <= 2 or address.endswith("/") else address


def _without_secrets(address: str) -> str:
    """The address without a login and without what stands behind ?, where signatures are."""
    if "://" in address:
        parts = urlsplit(address)
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return address if len(address) <= _LONGEST else f"{address[:_LONGEST]}..."


def _host(address: str) -> str:
    if "://" in address:
        return urlsplit(address).hostname or ""
    return address.rpartition(":")[0] or address
