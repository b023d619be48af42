"""The account of the checks: logged in once, and known by its address."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
from prefect_vertex_training.vertex.preflight import google_account
from prefect_vertex_training.vertex.preflight.google_account import Account


class Login:
    """Credentials that count how often they are refreshed."""

    def __init__(self, email: str = "") -> None:
        self.valid, self.token, self.refreshed = False, "", 0
        self.service_account_email = email or "default"

    def refresh(self, _: object) -> None:
        """Gets a token."""
        self.refreshed += 1
        self.valid, self.token = True, "the-token"


@pytest.fixture
def token_info(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Google's token service on this machine; yields the tokens that it was asked about."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked.extend(parse_qs(body)["access_token"])
            data = json.dumps({"email": "me@example.com"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setattr(google_account, "_TOKEN_INFO", f"http://127.0.0.1:{server.server_address[1]}/tokeninfo")
    yield asked
    server.shutdown()
    server.server_close()


def test_many_threads_log_in_once(token_info: list[str]) -> None:
    """One token for all of them, and one question about its owner, in the body of the request."""
    login = Login()
    account = Account(SimpleNamespace(credentials=login))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: account.log_in(), range(8)))

    assert account.member() == "user:me@example.com"
    assert (login.refreshed, token_info) == (1, ["the-token"])


def test_a_service_account_knows_its_address(token_info: list[str]) -> None:
    """Nobody is asked."""
    account = Account(SimpleNamespace(credentials=Login("trainer@p.iam.gserviceaccount.com")))
    account.log_in()

    assert account.member() == "serviceAccount:trainer@p.iam.gserviceaccount.com"
    assert token_info == []


def test_an_unknown_account_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service doesn't answer: the checks go on, and their commands have a word in its place."""
    monkeypatch.setattr(google_account, "_TOKEN_INFO", "http://127.0.0.1:1/tokeninfo")
    account = Account(SimpleNamespace(credentials=Login()))
    account.log_in()

    assert account.member() == ""
