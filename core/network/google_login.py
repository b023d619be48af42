"""This machine's Google login, without the question for a project.

google-auth starts gcloud to find the project that belongs to a person's login (`google.auth.default`), which takes a
second; here the project is always known.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_NAME = "application_default_credentials.json"


def machine_login(scopes: Sequence[str] | None = None) -> Credentials:
    """The application default credentials: https://cloud.google.com/docs/authentication/application-default-credentials.

    Args:
        scopes: What an access token is good for; None leaves the choice for later.

    Raises:
        google.auth.exceptions.DefaultCredentialsError: There are none, or the file can't be read.
    """
    import google.auth

    chosen = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    path = _persons_login()
    if path is None or (chosen and Path(chosen) != path):
        credentials, _ = google.auth.default(scopes=scopes)
        return credentials
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # meant for files that strangers bring
        credentials, _ = google.auth.load_credentials_from_file(str(path), scopes=scopes)
    return credentials


def _persons_login() -> Path | None:
    """The file that `gcloud auth application-default login` writes; None if there is none."""
    folder = os.environ.get("CLOUDSDK_CONFIG")
    if folder is None and os.name == "nt":
        return None
    path = Path(folder or Path.home() / ".config" / "gcloud") / _NAME
    return path if path.is_file() else None
