"""Wheels, projects and stores for the direct builder's tests."""

from __future__ import annotations

import base64
import hashlib
import io
import resource
import signal
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a wheel to be made."""

    content: bytes = b""
    mode: int = 0o100644
    stored: bool = False
    zip64: bool = False
    recorded: bool = True


class _Unseekable(io.RawIOBase):
    """Makes zipfile write sizes behind the data, as tools that write to a pipe do."""

    def __init__(self, file: io.BytesIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return self._file.write(data)


def _make_wheel(
    folder: Path,
    members: Mapping[str, Member | bytes],
    *,
    name: str = "demo",
    version: str = "1.0",
    tag: str = "py3-none-any",
    entry_points: str = "",
    piped: bool = False,
    metadata: str | None = None,
) -> Path:
    dist_info = f"{name}-{version}.dist-info"
    files = {path: member if isinstance(member, Member) else Member(member) for path, member in members.items()}
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files[f"{dist_info}/METADATA"] = Member((metadata or about).encode())
    files[f"{dist_info}/WHEEL"] = Member(f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode())
    if entry_points:
        files[f"{dist_info}/entry_points.txt"] = Member(entry_points.encode())
    rows = []
    for path, member in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(member.content).digest()).decode().rstrip("=")
        if member.recorded:
            quoted = '"' + path.replace('"', '""') + '"'
            rows.append(f"{quoted},sha256={digest},{len(member.content)}\n")
    files[f"{dist_info}/RECORD"] = Member("".join([*rows, f"{dist_info}/RECORD,,\n"]).encode())
    data = io.BytesIO()
    with zipfile.ZipFile(_Unseekable(data) if piped else data, "w") as archive:  # type: ignore[arg-type]
        for path, member in files.items():
            info = zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0))
            info.external_attr = member.mode << 16
            info.compress_type = zipfile.ZIP_STORED if member.stored else zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=member.zip64) as file:
                file.write(member.content)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    path.write_bytes(data.getvalue())
    return path


@pytest.fixture(scope="session")
def make_wheel() -> Callable[..., Path]:
    """Writes a wheel into a folder: `make_wheel(folder, {path: bytes or Member}, name=..., entry_points=...)`."""
    return _make_wheel


@pytest.fixture(scope="session")
def member() -> type[Member]:
    """One file of a wheel: its bytes, its mode, how it is written."""
    return Member


@contextmanager
def _small_files(limit: int) -> Iterator[None]:
    """No file can grow above `limit` bytes: what a full disk looks like, without filling one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture(scope="session")
def small_files() -> Callable[[int], AbstractContextManager[None]]:
    """In `with small_files(limit)`, writing more than `limit` bytes to a file fails as on a full disk."""
    return _small_files
