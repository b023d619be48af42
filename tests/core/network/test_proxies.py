"""Proxies by the variables that docker, pip and uv read, and the addresses that are refused."""

from __future__ import annotations

import socketserver
import threading

import pytest
from prefect_vertex_training.core.errors import TrainingError
from prefect_vertex_training.core.network.addresses import PRIVATE_HOSTS, AddressGuard, RefusedAddress, reach_of
from prefect_vertex_training.core.network.http_pools import Pools
from prefect_vertex_training.core.network.proxies import proxy_for

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own proxies don't count."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({"HTTPS_PROXY": "http://p:1"}, "https://registry.example/v2/", "http://p:1"),
        ({"https_proxy": "http://p:1"}, "https://registry.example/v2/", "http://p:1"),
        ({"HTTPS_PROXY": "p:1"}, "https://registry.example/v2/", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://registry.example/v2/", None),
        ({"ALL_PROXY": "socks5://p:1"}, "https://registry.example/v2/", "socks5://p:1"),
        ({"ALL_PROXY": "http://p:1", "HTTPS_PROXY": "http://q:2"}, "https://registry.example/", "http://q:2"),
        ({"ALL_PROXY": "http://p:1"}, "http://127.0.0.1:5000/v2/", None),
        ({"ALL_PROXY": "http://p:1"}, "http://localhost:5000/v2/", None),
        ({"ALL_PROXY": "http://p:1"}, "http://[::1]:5000/v2/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://a.example/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "example"}, "https://a.example/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": ".example, x"}, "https://A.Example/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "*.example"}, "https://a.example/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a.example:5000"}, "https://a.example:5000/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a.example:5000"}, "https://a.example/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "other.example"}, "https://another.example/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "https://10.1.2.3/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "https://11.1.2.3/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "fd00::/8"}, "https://[fd00::1]/", None),
        ({"HTTPS_PROXY": " http://p:1 "}, "https://a.example/", "http://p:1"),
        ({"HTTPS_PROXY": "me:p%23@p:1"}, "https://a.example/", "http://me:p%23@p:1"),
        ({"HTTPS_PROXY": "https://[fd00::1]:3128/"}, "https://a.example/", "https://[fd00::1]:3128/"),
        ({"HTTPS_PROXY": ""}, "https://a.example/", None),
    ],
)  # fmt: skip
def test_which_proxy(variables: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In either case of letters, with domains, addresses and ranges left out; never for this machine itself."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert proxy_for(url) == proxy


@pytest.mark.parametrize(
    "value", ["http://p:abc", "ftp://p:1", "http://[::1", "http://", "://x", "http://a b:1", "http://me:se#cret@p:1",
              "http://p:99999", "http://p:1/?x"],
)  # fmt: skip
def test_what_is_no_proxy(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the variable's name and the right form, and without the value, which may hold a password."""
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(TrainingError, match="HTTPS_PROXY or ALL_PROXY") as caught:
        proxy_for("https://registry.example/v2/")

    assert "me:" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_proxy_is_asked_with_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry behind a proxy is reached through a tunnel of the proxy, and nothing goes past it."""
    seen: list[str] = []

    class Proxy(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline().strip():
                seen.append(line.decode())
            self.wfile.write(b"HTTP/1.1 502 no\r\nContent-Length: 0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{server.server_address[1]}")
        with pytest.raises(Exception, match="502"):
            Pools(AddressGuard("registry.example")).request("GET", "https://registry.example/v2/", retries=False)
        server.shutdown()

    assert seen[0].startswith("CONNECT registry.example:443 HTTP/1.")
    assert "proxy-authorization: Basic bWU6cEBzcw==" in [line.replace("Proxy-A", "proxy-a") for line in seen]


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("169.254.169.254", "refused"), ("fe80::1%eth0", "refused"), ("::ffff:169.254.169.254", "refused"),
        ("127.0.0.1", "private"), ("::1", "private"), ("10.0.0.1", "private"), ("192.168.1.1", "private"),
        ("100.64.0.1", "private"), ("0.0.0.0", "private"), ("fd00::1", "private"), ("8.8.8.8", "public"),
    ],
)  # fmt: skip
def test_how_far_addresses_reach(address: str, reach: str) -> None:
    """Link-local ones are those of clouds' metadata services, in every notation."""
    assert reach_of(address) == reach


def test_private_addresses_on_behalf_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A public host must not lead into this network, unless a setting names where; a private one may."""
    public = AddressGuard("registry.example")
    public.check("registry.example", "8.8.8.8")
    with pytest.raises(RefusedAddress, match=r"private address 10\.0\.0\.1"):
        public.check("inner.example", "10.0.0.1")
    monkeypatch.setenv(PRIVATE_HOSTS, "other.example, inner.example")
    public.check("inner.example", "10.0.0.1")
    with pytest.raises(RefusedAddress, match="link-local"):
        public.check("inner.example", "169.254.0.1")

    private = AddressGuard("registry.example:5000".partition(":")[0])
    private.check("registry.example", "192.168.0.1")
    private.check("tokens.example", "127.0.0.1")
    with pytest.raises(RefusedAddress, match="link-local"):
        private.check("registry.example", "169.254.169.254")
