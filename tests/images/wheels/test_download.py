"""Downloads of wheels: complete and with the locked hash, or an error."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import StorageError, WheelError
from prefect_vertex_training.core.metering.meter import Meter
from prefect_vertex_training.images.wheels.download import Downloader
from prefect_vertex_training.images.wheels.lockfile import LockedWheel

CONTENT = bytes(range(256)) * 4000
SECRET = "hunter2"


@dataclass
class Index:
    """A server with faults: each request takes the next of `faults`."""

    url: str = ""
    faults: list[str] = field(default_factory=list)
    ranges: bool = True
    requests: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index on this machine."""
    state = Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
            fault = state.faults.pop(0) if state.faults else ""
            if fault == "elsewhere":
                self.send_response(302)
                self.send_header("Location", "/files/demo.whl")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if fault.isdigit():
                self.send_response(int(fault))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if state.ranges else 0
            if start >= len(CONTENT):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            if fault == "cut":
                self.wfile.write(CONTENT[start : start + 200_000])
                self.wfile.flush()
                self.connection.close()
                return
            self.wfile.write(CONTENT[start:] if fault != "other" else b"x" * len(CONTENT))

        def log_message(self, *_: object) -> None:
            pass

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", "/nowhere")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/demo-1.0-py3-none-any.whl"
    yield state
    server.shutdown()
    server.server_close()


def _wheel(source: str | Path, content: bytes = CONTENT, size: int = 0) -> LockedWheel:
    digest = hashlib.sha256(content).hexdigest()
    return LockedWheel("demo", "1.0", "demo-1.0-py3-none-any.whl", digest, source, size)


def _downloader(folder: Path) -> Downloader:
    return Downloader(folder, sleep=lambda _: None)


@pytest.mark.parametrize("faults", [[], ["503"], ["429", "500", "cut"], ["cut", "cut", "cut", "cut"]])
@pytest.mark.parametrize("ranges", [True, False])
def test_arrives_in_spite_of_faults(faults: list[str], ranges: bool, index: Index, tmp_path: Path) -> None:
    """Busy servers and cut connections are retried; a server with ranges sends only the rest."""
    if not ranges and len(faults) > 3:
        faults = faults[:2]
    index.faults, index.ranges = list(faults), ranges

    meter = Meter("downloading")
    with meter.item(len(CONTENT)) as counted:
        path = _downloader(tmp_path).fetch(_wheel(index.url, size=len(CONTENT)), counted)
        assert (meter._done, meter._total) == (len(CONTENT), len(CONTENT)), "each byte is counted once"

    assert path.read_bytes() == CONTENT
    assert len(faults) + 1 == len(index.requests)
    assert not faults or faults[-1] != "cut" or "range" in index.requests[-1]


@pytest.mark.parametrize("size", [0, len(CONTENT)])
def test_what_a_killed_process_left_is_used(size: int, index: Index, tmp_path: Path) -> None:
    """A partial download of an earlier process is resumed; a damaged one is found and removed."""
    wheel = _wheel(index.url, size=size)
    part = tmp_path / f"{wheel.sha256}.part"

    for rest in (CONTENT[:1000], CONTENT):
        part.write_bytes(rest)
        assert _downloader(tmp_path).fetch(wheel).read_bytes() == CONTENT

    part.write_bytes(b"damaged" * 10)
    with pytest.raises(WheelError, match="isn't the wheel in the lock"):
        _downloader(tmp_path).fetch(wheel)
    assert _downloader(tmp_path).fetch(wheel).read_bytes() == CONTENT


def test_another_file(index: Index, tmp_path: Path) -> None:
    """A file with another hash is refused and not kept."""
    index.faults = ["other"]

    with pytest.raises(WheelError, match="isn't the wheel in the lock"):
        _downloader(tmp_path).fetch(_wheel(index.url))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "transient"), [("404", False), ("401", False), ("403", False), ("503", True)])
def test_refusals(status: str, transient: bool, index: Index, tmp_path: Path) -> None:
    """A refusal is final, an overloaded server is transient; messages name the host, never credentials."""
    index.faults = [status] * 9
    url = index.url.replace("http://", f"http://user:{SECRET}@")

    with pytest.raises(WheelError) as caught:
        _downloader(tmp_path).fetch(_wheel(url))

    assert transient == caught.value.transient
    assert "127.0.0.1" in str(caught.value)
    assert status in str(caught.value)
    assert SECRET not in repr(caught.value) + str(caught.value)
    assert "Basic" in index.requests[0]["authorization"]
    assert SECRET not in index.requests[0]["path"]


def test_netrc(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials in .netrc are sent to their host."""
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    _downloader(tmp_path / "downloads").fetch(_wheel(index.url))

    assert index.requests[0]["authorization"].startswith("Basic ")


def test_redirect(index: Index, tmp_path: Path) -> None:
    """Redirects to another host are followed."""
    index.faults = ["elsewhere"]

    assert _downloader(tmp_path).fetch(_wheel(index.url)).read_bytes() == CONTENT
    assert [request["path"] for request in index.requests] == ["/demo-1.0-py3-none-any.whl", "/files/demo.whl"]


def test_proxy(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy of the environment is used for hosts that NO_PROXY doesn't name."""
    monkeypatch.setenv("http_proxy", index.url.rpartition("/")[0])
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    downloader = _downloader(tmp_path)

    downloader.release(downloader.fetch(_wheel("http://index.example/demo.whl")))
    downloader.release(downloader.fetch(_wheel(index.url)))

    assert [request["path"] for request in index.requests] == [
        "http://index.example/demo.whl",
        "/demo-1.0-py3-none-any.whl",
    ]


def test_no_server(tmp_path: Path) -> None:
    """An index that doesn't answer is a transient error in one line."""
    with pytest.raises(WheelError, match=r"can't download demo.*: NewConnectionError") as caught:
        _downloader(tmp_path).fetch(_wheel("http://127.0.0.1:9/demo-1.0-py3-none-any.whl"))

    assert caught.value.transient


def test_files(tmp_path: Path) -> None:
    """A wheel on this machine is checked and stays where it is."""
    path = tmp_path / "demo-1.0-py3-none-any.whl"
    path.write_bytes(CONTENT)
    downloader = _downloader(tmp_path / "downloads")

    assert path == downloader.fetch(_wheel(path))
    downloader.release(path)
    assert path.exists()
    with pytest.raises(WheelError, match="isn't the wheel in the lock"):
        downloader.fetch(_wheel(path, b"other"))
    with pytest.raises(WheelError, match="can't read"):
        downloader.fetch(_wheel(tmp_path / "absent.whl"))


def test_stopped(index: Index, tmp_path: Path) -> None:
    """Downloads end early when another part of the build has failed."""
    stopped = threading.Event()
    stopped.set()

    with pytest.raises(WheelError, match="was stopped"):
        Downloader(tmp_path, stopped=stopped, sleep=lambda _: None).fetch(_wheel(index.url))


def test_full_disk(index: Index, tmp_path: Path, small_files) -> None:
    """A full disk is reported in one line."""
    with small_files(100_000), pytest.raises(StorageError):
        _downloader(tmp_path).fetch(_wheel(index.url))
