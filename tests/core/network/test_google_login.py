"""This machine's Google login is found without a program being started."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from google.auth.exceptions import DefaultCredentialsError
from google.oauth2.credentials import Credentials
from prefect_vertex_training.core.network.google_login import machine_login

PERSON = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}


@pytest.fixture
def gcloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of gcloud's configuration, and a program gcloud that notes that it was started."""
    program = tmp_path / "bin" / "gcloud"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\necho some-project\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("named", [False, True])
def test_a_persons_login_starts_no_gcloud(gcloud: Path, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    """google-auth alone would ask it for a project; also where the variable names the same file."""
    login = gcloud / "application_default_credentials.json"
    login.write_text(json.dumps(PERSON))
    if named:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(login))

    found = machine_login(["https://www.googleapis.com/auth/cloud-platform"])

    assert isinstance(found, Credentials)
    assert found.refresh_token == "r"
    assert not (gcloud / "started").exists()


def test_another_file_comes_first(gcloud: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that the variable names, as for every client of Google's."""
    (gcloud / "application_default_credentials.json").write_text(json.dumps(PERSON))
    other = gcloud / "other.json"
    other.write_text(json.dumps({**PERSON, "refresh_token": "other"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(other))

    found = machine_login()

    assert isinstance(found, Credentials)
    assert found.refresh_token == "other"


def test_no_login_is_googles_own_error(gcloud: Path) -> None:
    """Which callers explain; so does a file that can't be read."""
    with pytest.raises(DefaultCredentialsError):
        machine_login()
    (gcloud / "application_default_credentials.json").write_text("{")
    with pytest.raises(DefaultCredentialsError):
        machine_login()
