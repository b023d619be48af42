"""Reads Google's REST APIs for the checks: each call ends with an answer, or with why there is none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from ...core.background.imports import one_importer
from ...core.network.google_login import machine_login
from .google_account import Account

TIMEOUT = 8.0
"""Seconds for one call."""

_HOSTS = 16
"""Hosts to which connections are kept, and how many to each."""


class NotMade(Exception):
    """No answer: the call is forbidden, or the API is out of reach. The check's result is UNKNOWN.

    Attributes:
        host: Of the API.
        forbidden: Whether the API answered, and refused.
        disabled: Whether it refused because it isn't enabled in the project.
    """

    def __init__(self, text: str, *, host: str = "", forbidden: bool = False, disabled: bool = False) -> None:
        super().__init__(text)
        self.host = host
        self.forbidden = forbidden
        self.disabled = disabled


class Missing(Exception):
    """The resource doesn't exist."""


class Session(Protocol):
    """What is used of `requests.Session`."""

    def request(self, method: str, url: str, **options: Any) -> Any:  # noqa: ANN401 - requests' own
        """Sends a request; see requests."""
        ...


class GoogleApi:
    """Google's REST APIs with one account, for one look: an answer is kept. Threads may share it.

    Args:
        session: Sends requests, with the account's credentials.
        address: The address of a host of Google's; a server for tests can be put in its place.
        account: The account as an IAM member; empty if nobody knows.
        login: Logs the account in, and knows its name; None where the session needs none.
    """

    def __init__(
        self,
        session: Session,
        *,
        address: Callable[[str], str] = lambda host: f"https://{host}",
        account: str = "",
        login: Account | None = None,
    ) -> None:
        self._session = session
        self._address = address
        self._account = account
        self._login = login
        self._answers: dict[str, Future[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, credentials: Any = None) -> GoogleApi:  # noqa: ANN401 - google-auth's credentials have no common type
        """The APIs with these credentials, or with the application default credentials.

        Raises:
            NotMade: There are no credentials.
        """
        session = google_session(credentials)
        return cls(session, login=Account(session))

    @property
    def account(self) -> str:
        """The account as an IAM member; empty if nobody knows."""
        return self._account or (self._login.member() if self._login else "")

    @property
    def me(self) -> str:
        """The account, for a message."""
        return self.account or "this account"

    def get(self, host: str, path: str, query: Mapping[str, str | list[str]] | None = None) -> dict[str, Any]:
        """The JSON of a GET request.

        Raises:
            Missing: The resource doesn't exist.
            NotMade: No answer.
        """
        return self._call("GET", host, path, params=query)

    def post(self, host: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a POST request, which changes nothing: IAM asks by POST.

        Raises:
            Missing: The resource doesn't exist.
            NotMade: No answer.
        """
        return self._call("POST", host, path, json=dict(body))

    def _call(self, method: str, host: str, path: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401
        """The answer; a question that was asked before, or is being asked, isn't sent again."""
        key = json.dumps([method, host, path, options], sort_keys=True)
        mine: Future[dict[str, Any]] = Future()
        with self._lock:
            begun = self._answers.setdefault(key, mine)
        if begun is mine:
            try:
                mine.set_result(self._send(method, host, path, **options))
            except BaseException as error:  # noqa: BLE001 - raised below, for all who wait for this answer
                mine.set_exception(error)
        return begun.result()

    def _send(self, method: str, host: str, path: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401
        try:
            if self._login:
                self._login.log_in()
            answer = self._session.request(method, f"{self._address(host)}/{path}", timeout=TIMEOUT, **options)
            document = answer.json() if answer.content else {}
        except Exception as error:
            raise NotMade(f"{host} gives no answer ({type(error).__name__})", host=host) from error
        if answer.status_code == 404:
            raise Missing(_text(document))
        if answer.status_code >= 400 or not isinstance(document, dict):
            text, forbidden = _text(document), answer.status_code == 403
            disabled = forbidden and ("SERVICE_DISABLED" in str(document) or "has not been used in project" in text)
            raise NotMade(f"{answer.status_code} {text}".strip(), host=host, forbidden=forbidden, disabled=disabled)
        return document


def google_session(credentials: Any = None) -> Session:  # noqa: ANN401 - google-auth's credentials have no common type
    """A session with these credentials, or with the application default credentials.

    Raises:
        NotMade: There are no credentials.
    """
    with one_importer():
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import AuthorizedSession
        from requests.adapters import HTTPAdapter

    try:
        if credentials is None:
            credentials = machine_login(["https://www.googleapis.com/auth/cloud-platform.read-only"])
    except GoogleAuthError as error:
        raise NotMade(_first_line(str(error))) from error
    session = AuthorizedSession(credentials)
    session.mount("https://", HTTPAdapter(pool_connections=_HOSTS, pool_maxsize=_HOSTS))
    return session


def _text(document: object) -> str:
    error = document.get("error") if isinstance(document, dict) else None
    return _first_line(str(error.get("message", ""))) if isinstance(error, dict) else ""


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:200]
