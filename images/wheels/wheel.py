"""Opens a wheel and says where each of its files goes, refusing what could harm an image.

The rules are the binary distribution format's
(https://packaging.python.org/en/latest/specifications/binary-distribution-format/) as `installer` applies them; what
differs stands at `Wheel.files`.
"""

from __future__ import annotations

import posixpath
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from installer.records import parse_record_file
from installer.scripts import Script
from installer.sources import WheelFile
from installer.utils import parse_entrypoints, parse_metadata_file

from ...core.errors import WheelError
from ..layers import image_paths

_RESERVED = frozenset(f"{image_paths.VENV}/{name}" for name in ("pyvenv.cfg", "bin/python", "bin/python3"))
_WHITEOUT = ".wh."
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_UNREADABLE_FLAGS = 0x1 | 0x20 | 0x40  # encrypted, patch data, strongly encrypted: APPNOTE 4.4.4
_AGAIN = "Lock it again, or name another version of it"


@dataclass(frozen=True, slots=True)
class WheelEntry:
    """One file of a wheel.

    Attributes:
        info: Where it lies in the zip.
        target: Absolute path in the image.
        executable: Mode 755, else 644.
        script: From `.data/scripts`: its first line may have to name the image's interpreter.
        record: The hash and size that RECORD gives; None if RECORD doesn't list the file.
    """

    info: zipfile.ZipInfo
    target: str
    executable: bool
    script: bool
    record: tuple[str, str] | None


class Wheel:
    """An open wheel, all its names checked; `open_wheel` makes it.

    Attributes:
        filename: The wheel's own, `numpy-2.1.0-cp311-...whl`.
        site_packages: Where its root goes.
        dist_info: `NAME-VERSION.dist-info`.
        scripts: Console and GUI scripts to generate: name to content.
        files: What to copy. As `installer` and pip have it, but: a file in `.data/scripts` is always executable
            (wheels made on Windows lose that bit); one that has an entry point's name gives way to it, as in pip.
    """

    def __init__(self, archive: zipfile.ZipFile, filename: str, python: str) -> None:
        self._archive = archive
        self._python = python
        self.filename = filename
        self.site_packages = image_paths.site_packages(python)
        archive.filename = filename  # WheelFile takes the distribution's name from there
        for info in archive.infolist():
            self._check_entry(info)
        with self._problems():
            self._source = WheelFile(archive)
            self.dist_info = self._source.dist_info_dir
            self._check_version()
            self.scripts = dict(self._entry_point_scripts())
            self._data_folders = {self._source.data_dir, self.dist_info.removesuffix(".dist-info") + ".data"}
            self.files = list(self._entries())
        self._check_targets()

    def blocks(self, entry: WheelEntry, size: int) -> Iterator[bytes]:
        """An entry's inflated bytes, `size` at a time; raises WheelError if they aren't what the zip says."""
        with self._problems(entry.info.filename), self._archive.open(entry.info) as file:
            while block := file.read(size):
                yield block

    def deflated(self, entry: WheelEntry, size: int) -> Iterator[bytes]:
        """A deflated entry's bytes as they lie in the zip, `size` at a time, unchecked."""
        file, info = _file(self._archive), entry.info
        file.seek(info.header_offset)
        head = file.read(30)
        if len(head) < 30 or head[:4] != b"PK\x03\x04":
            raise self.broken("has no header where the zip's directory points", info.filename)
        # The local header has name and extra lengths of its own: APPNOTE 4.3.7.
        file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), 1)
        left = info.compress_size
        while left:
            block = file.read(min(size, left))
            if not block:
                raise self.broken("was cut short", info.filename)
            left -= len(block)
            yield block

    def broken(self, what: str, entry: str | None = None) -> WheelError:
        """The error for this wheel, and for one of its entries."""
        thing = f"wheel {self.filename}" if entry is None else f"wheel {self.filename}: {entry!r}"
        return WheelError(f"{thing} {what}", next_step=_AGAIN)

    @contextmanager
    def _problems(self, entry: str | None = None) -> Iterator[None]:
        """Whatever a malformed wheel makes the libraries raise becomes one line; they raise a dozen kinds."""
        try:
            yield
        except WheelError:
            raise
        except Exception as error:
            damaged = entry is not None or isinstance(error, (zipfile.BadZipFile, zlib.error, EOFError))
            problem = "is corrupt" if damaged else "has bad metadata"
            raise self.broken(f"{problem}: {error or type(error).__name__}", entry) from error

    def _check_version(self) -> None:
        version = parse_metadata_file(self._source.read_dist_info("WHEEL"))["Wheel-Version"]
        if not (version and version.startswith("1.")):
            raise self.broken(f"has the format version {version}, and only 1.x is known")

    def _entry_point_scripts(self) -> Iterator[tuple[str, bytes]]:
        if f"{self.dist_info}/entry_points.txt" not in self._archive.namelist():
            return
        for name, module, attr, section in parse_entrypoints(self._source.read_dist_info("entry_points.txt")):
            if "/" in name or name in {"", ".", ".."}:
                raise self.broken("is an entry point that would lie outside bin/", name)
            yield Script(name, module, attr, section).generate(image_paths.INTERPRETER, "posix")

    def _entries(self) -> Iterator[WheelEntry]:
        rows = parse_record_file(self._source.read_dist_info("RECORD").splitlines())
        recorded = {path: (hash_, size) for path, hash_, size in rows}
        for info in self._archive.infolist():
            parts = info.filename.split("/")
            # A stale or malicious .pyc would shadow its source; `installer` leaves them out too.
            if info.is_dir() or "__pycache__" in parts[:-1] or info.filename == f"{self.dist_info}/RECORD":
                continue
            scheme, target = self._target(parts)
            if scheme == "scripts" and parts[-1] in self.scripts:
                continue
            executable = scheme == "scripts" or bool((info.external_attr >> 16) & 0o111)
            yield WheelEntry(info, target, executable, scheme == "scripts", recorded.get(info.filename))

    def _target(self, parts: list[str]) -> tuple[str, str]:
        """The scheme and the absolute path that `NAME.data/SCHEME/...` or a path below the root stands for."""
        if parts[0] not in self._data_folders:
            return "root", "/".join((self.site_packages, *parts))
        roots = {
            "purelib": self.site_packages,
            "platlib": self.site_packages,
            "scripts": f"{image_paths.VENV}/bin",
            "headers": image_paths.headers(self._python, self._source.distribution),
            "data": image_paths.VENV,
        }
        if len(parts) < 3 or parts[1] not in roots:
            raise self.broken("lies in no known folder of .data", "/".join(parts))
        return parts[1], posixpath.join(roots[parts[1]], *parts[2:])

    def _check_entry(self, info: zipfile.ZipInfo) -> None:
        name, mode = info.filename, info.external_attr >> 16
        parts = name.removesuffix("/").split("/")
        problem = None
        if name.startswith("/") or "\\" in name:
            problem = "is an absolute or a Windows path"
        elif ".." in parts or "." in parts or "" in parts:
            problem = "is a path that leads elsewhere"
        elif _WHITEOUT in name and any(part.startswith(_WHITEOUT) for part in parts):
            problem = "would delete files of the layers below"
        elif stat.S_ISLNK(mode) or (stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))):
            problem = "is a link or a device, which wheels can't have"
        elif info.flag_bits & _UNREADABLE_FLAGS or info.compress_type not in _READABLE:
            problem = "is encrypted or compressed in a way that wheels don't use"
        if problem:
            raise self.broken(problem, name)

    def _check_targets(self) -> None:
        targets = [entry.target for entry in self.files] + [f"{image_paths.VENV}/bin/{name}" for name in self.scripts]
        seen: set[str] = set()
        folders: set[str] = set()
        for target in targets:
            if target in seen:
                raise self.broken("is in it twice", target)
            if target in _RESERVED:
                raise self.broken("would replace the image's interpreter", target)
            seen.add(target)
            folder = target
            while (folder := posixpath.dirname(folder)) not in folders and folder != "/":
                folders.add(folder)
        if clash := seen & folders:
            raise self.broken("is a file and a folder", min(clash))


@contextmanager
def open_wheel(path: Path, filename: str, python: str) -> Iterator[Wheel]:
    """Opens the wheel at `path`, whose own name is `filename`, for a minor version of Python.

    Raises:
        WheelError: It is no zip, no wheel, or has a name that must not be unpacked.
    """
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:
        raise WheelError(f"wheel {filename} is corrupt: {error}", next_step=_AGAIN) from error
    with archive:
        yield Wheel(archive, filename, python)


def _file(archive: zipfile.ZipFile) -> IO[bytes]:
    assert archive.fp is not None
    return archive.fp
