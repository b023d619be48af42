"""Wheels, projects and stores for the direct builder's tests."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import random
import resource
import signal
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.images.direct import build
from prefect_vertex_training.images.layout import OciLayout
from prefect_vertex_training.images.model import BuiltImage, ImageRequest
from prefect_vertex_training.project.files import ProjectFile


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
    """Writes a wheel of the given files into a folder."""
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
    """A block in which no file can grow above a limit of bytes, as on a full disk."""
    return _small_files


@dataclass
class Bench:
    """A project, its wheels, and where it is built.

    Attributes:
        root: The project's folder.
        store: The image layout.
        cache: What builds share.
        wheels: What the lock names.
    """

    root: Path
    store: OciLayout
    cache: Path
    wheels: list[Path] = field(default_factory=list)

    def write(self, path: str, content: bytes | str, *, executable: bool = False) -> Path:
        """Writes a file of the project."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(0o755 if executable else 0o644)
        return target

    def request(self, **changes: Any) -> ImageRequest:
        """The project as it is now."""
        files = [
            ProjectFile(
                path.relative_to(self.root).as_posix(), path, path.stat().st_size, bool(path.stat().st_mode & 0o100)
            )
            for path in self.root.rglob("*")
            if path.is_file()
        ]
        files.sort(key=lambda file: file.path)
        values: dict[str, Any] = {
            "name": "demo",
            "root": self.root,
            "files": files,
            "script": "train.py",
            "lock": _lock(self.wheels),
            "python": "3.11",
            "fingerprint": "f" * 64,
            **changes,
        }
        return ImageRequest(**values)

    def build(
        self, *, upload_to: Any = None, base: Any = None, workers: int = 2, progress: Any = None, **changes: Any
    ) -> BuiltImage:
        """Builds the project as it is now."""
        request = self.request(**changes)
        return build(
            request,
            self.store,
            cache=self.cache,
            base=base,
            upload_to=upload_to,
            workers=workers,
            progress=progress,
        )

    def clean(self, folder: Path) -> Bench:
        """The same project, with nothing built yet."""
        return Bench(self.root, OciLayout(folder / "images", self.store.name), folder / "cache", self.wheels)

    def check_blobs(self) -> None:
        """Every blob and every cached layer is what its name says."""
        for path in (self.store.folder / "blobs/sha256").iterdir():
            if not path.name.startswith("."):
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        for record in (self.cache / "layers/wheels").glob("*.json"):
            layer = json.loads(record.read_bytes())["layer"]
            data = record.with_suffix(".layer").read_bytes()
            assert f"sha256:{hashlib.sha256(data).hexdigest()}" == layer["digest"]
            assert f"sha256:{hashlib.sha256(gzip.decompress(data)).hexdigest()}" == layer["diff_id"]

    def manifest(self, image: BuiltImage) -> dict[str, Any]:
        """The image's manifest."""
        return json.loads(self.store.blob_path(image.digest).read_bytes())

    def config(self, image: BuiltImage) -> dict[str, Any]:
        """The image's config."""
        return json.loads(self.store.blob_path(self.manifest(image)["config"]["digest"]).read_bytes())

    def unpack(self, image: BuiltImage, root: Path) -> Path:
        """Lays the image's layers over each other, checking every diff ID."""
        diff_ids = self.config(image)["rootfs"]["diff_ids"]
        for layer, diff_id in zip(self.manifest(image)["layers"], diff_ids, strict=True):
            data = gzip.decompress(self.store.blob_path(layer["digest"]).read_bytes())
            assert f"sha256:{hashlib.sha256(data).hexdigest()}" == diff_id
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                archive.extractall(root, filter="fully_trusted")
        return root


def _lock(wheels: list[Path]) -> str:
    lines = ['lock-version = "1.0"', 'created-by = "test"']
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines += ["[[packages]]", f'name = "{name.replace("_", "-")}"', f'version = "{version}"']
        lines += [f'wheels = [{{ path = "{wheel}", hashes = {{ sha256 = "{digest}" }} }}]']
    return "\n".join(lines) if wheels else ""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A project with a script and two wheels, one big and one small."""
    made = Bench(tmp_path / "project", OciLayout(tmp_path / "images", "demo"), tmp_path / "cache")
    made.write("train.py", "import big, small\nprint('trained', big.X, small.X)\n")
    noise = random.Random(1).randbytes(300_000)
    made.wheels = [
        _make_wheel(tmp_path / "wheels", {"big/__init__.py": b"X = 1\n", "big/data.bin": noise}, name="big"),
        _make_wheel(tmp_path / "wheels", {"small.py": b"X = 2\n"}, name="small"),
        _make_wheel(
            tmp_path / "wheels", {"tiny.py": b"X = 3\n"}, name="tiny", entry_points="[console_scripts]\ntiny = tiny:X\n"
        ),
    ]
    return made
