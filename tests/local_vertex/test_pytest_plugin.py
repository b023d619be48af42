"""The pytest plug-in, in a pytest of its own that finds it by its entry point."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = '''
import json
import sys

CODE = """
import json, urllib.request
from google.auth import default
from google.auth.transport.requests import AuthorizedSession
credentials, project = default()
session = AuthorizedSession(credentials)
answer = session.get(f"https://us-central1-aiplatform.googleapis.com/v1/projects/{project}/locations/us-central1/customJobs")
print(json.dumps([project, answer.status_code, answer.json()]))
"""


def test_service(local_vertex):
    (local_vertex.bucket_folder / "x").write_text("y")
    assert local_vertex.bucket == "gs://local"
    assert list(local_vertex.jobs().list_custom_jobs(parent=local_vertex.parent)) == []


def test_environment(local_vertex):
    done = local_vertex.run(sys.executable, "-c", CODE)
    assert json.loads(done.stdout) == ["ci-project", 200, {}]
    assert local_vertex.set_switches(stock_out=2)["stock_out"] == 2
'''


def test_a_session_has_one_service(tmp_path: Path) -> None:
    """Tests of another project get service, bucket, client and environment from the fixture; it ends with them."""
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nlocal_vertex_project = ci-project\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'b'}", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        check=False,
    )

    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert not list((tmp_path / "b").rglob("service.json"))
