"""The account that makes the checks' calls: logged in once, and known by its e-mail address where Google tells it."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_TOKEN_INFO = "https://oauth2.googleapis.com/tokeninfo"  # noqa: S105 - an address
_SECONDS = 4.0


class Account:
    """An account. Threads may share it.

    Args:
        session: google-auth's session with the account's credentials.
    """

    def __init__(self, session: Any) -> None:  # noqa: ANN401 - requests' session, with credentials
        self._session = session
        self._lock = threading.Lock()
        self._member: Future[str] | None = None

    def log_in(self) -> None:
        """Gets an access token, unless there is one: one call, however many threads begin at the same time.

        Raises:
            google.auth.exceptions.GoogleAuthError: There is none.
        """
        from google.auth.transport.requests import Request

        with self._lock:
            credentials = self._session.credentials
            if not credentials.valid:
                credentials.refresh(Request())
            if self._member is None:
                pool = ThreadPoolExecutor(1, thread_name_prefix="account")
                self._member = pool.submit(self._found_member)
                pool.shutdown(wait=False)

    def member(self) -> str:
        """The account as an IAM member, such as "user:me@example.com"; empty where nobody knows."""
        return self._member.result() if self._member is not None else ""

    def _found_member(self) -> str:
        """A key and a machine's own account know their address; of a person's login Google's token service does."""
        credentials = self._session.credentials
        email = str(getattr(credentials, "service_account_email", "") or "")
        if "@" not in email:
            email = self._told_email(credentials.token)
        if "@" not in email:
            return ""
        return f"{'serviceAccount' if email.endswith('.gserviceaccount.com') else 'user'}:{email}"

    @staticmethod
    def _told_email(token: str) -> str:
        import requests

        try:
            # In the body: addresses are written into logs on the way.
            answer = requests.post(_TOKEN_INFO, data={"access_token": token}, timeout=_SECONDS)
            return str(answer.json().get("email", "")) if answer.ok else ""
        except (requests.RequestException, ValueError, AttributeError):
            return ""
