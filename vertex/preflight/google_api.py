"""Reads Google's REST APIs for the checks: each call ends with an answer, or with why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ...core.background.imports import one_importer

TIMEOUT = 8.0
"""Seconds for one call."""


class NotMade(Exception):
    """No answer: the call is forbidden, or the API is out of reach. The check's result is UNKNOWN."""


class Missing(Exception):
    """The resource doesn't exist."""


class Session(Protocol):
    """What is used of `requests.Session`."""

    def request(self, method: str, url: str, **options: Any) -> Any:  # noqa: ANN401 - requests' own
        """Sends a request; see requests."""
        ...


class GoogleApi:
    """Google's REST APIs with one account. Threads may share it.

    Args:
        session: Sends requests, with the account's credentials.
        address: The address of a host of Google's; a server for tests can be put in its place.
        account: The account as an IAM member; empty if nobody knows.
    """

    def __init__(
        self, session: Session, *, address: Callable[[str], str] = lambda host: f"https://{host}", account: str = ""
    ) -> None:
        self._session = session
        self._address = address
        self.account = account

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
        try:
            answer = self._session.request(method, f"{self._address(host)}/{path}", timeout=TIMEOUT, **options)
            document = answer.json() if answer.content else {}
        except Exception as error:
            raise NotMade(_first_line(str(error)) or type(error).__name__) from error
        if answer.status_code == 404:
            raise Missing(_text(document))
        if answer.status_code >= 400 or not isinstance(document, dict):
            raise NotMade(f"{answer.status_code} {_text(document)}".strip())
        return document


def google_session(credentials: Any = None) -> Session:  # noqa: ANN401 - google-auth's credentials have no common type
    """A session with these credentials, or with the application default credentials.

    Raises:
        NotMade: There are no credentials.
    """
    with one_importer():
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import AuthorizedSession

    try:
        if credentials is None:
            credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform.read-only"])
    except GoogleAuthError as error:
        raise NotMade(_first_line(str(error))) from error
    return AuthorizedSession(credentials)


def _text(document: object) -> str:
    error = document.get("error") if isinstance(document, dict) else None
    return _first_line(str(error.get("message", ""))) if isinstance(error, dict) else ""


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:200]
