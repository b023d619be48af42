"""A storage server in the test's process, and the clients that people use with Cloud Storage."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from prefect_vertex_training.local_vertex.storage import storage_service
from prefect_vertex_training.local_vertex.storage.client_environment import make_credentials, storage_variables


@dataclass
class Storage:
    """A server, with raw requests to it."""

    url: str
    folder: Path

    @property
    def bucket(self) -> Path:
        """The folder of the bucket `b`."""
        return self.folder / "buckets" / "b"

    def raw(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, and body."""
        request = urllib.request.Request(f"{self.url}/{path}", body, dict(headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def call(self, method: str, path: str, document: Any = None) -> tuple[int, Any]:
        """A call of the JSON API: status and document."""
        body = None if document is None else json.dumps(document).encode()
        status, _, data = self.raw(method, f"storage/v1/{path}", body, {"Content-Type": "application/json"})
        return status, json.loads(data) if data else None

    def put(self, name: str, data: bytes, **query: Any) -> tuple[int, Any]:
        """A simple upload to the bucket `b`."""
        extra = "".join(f"&{key}={quote(str(value), safe='')}" for key, value in query.items())
        path = f"upload/storage/v1/b/b/o?uploadType=media&name={quote(name, safe='')}{extra}"
        status, _, body = self.raw("POST", path, data, {"Content-Type": "text/plain"})
        return status, json.loads(body)

    def read(self, name: str) -> bytes:
        """An object's bytes."""
        status, _, body = self.raw("GET", f"storage/v1/b/b/o/{quote(name, safe='')}?alt=media")
        assert status == 200, body
        return body

    def names(self, query: str = "") -> tuple[list[str], list[str]]:
        """The names and prefixes of a list."""
        status, page = self.call("GET", f"b/b/o?{query}")
        assert status == 200, page
        return [item["name"] for item in page.get("items", [])], page.get("prefixes", [])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of local_vertex for one server, a process of its own: Arrow holds the GIL while it waits."""
    folder = tmp_path_factory.mktemp("storage") / "vertex"
    storage_service.ensure_running(folder)
    yield folder
    storage_service.stop(folder)


@pytest.fixture
def storage(server: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A server with the empty bucket `b`, to which the variables of clients lead."""
    folder = server
    url = storage_service.ensure_running(folder).url
    for rest in (folder / "buckets", folder / "storage" / "entries"):
        shutil.rmtree(rest, ignore_errors=True)
        rest.mkdir(parents=True)
    (folder / "buckets" / "b").mkdir()
    for name, value in storage_variables(url, str(make_credentials(folder, url, "local")), "local").items():
        monkeypatch.setenv(name, value)
    return Storage(url, folder)
