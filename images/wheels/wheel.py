"""Opens a wheel and finds the target path of each of its files; refuses wheels that could harm an image.

The rules are those of the binary distribution format
(https://packaging.python.org/en/latest/specifications/binary-distribution-format/) as `installer` applies them; `Wheel`
lists the differences.
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
from typing import BinaryIO

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
_PTH_BYTES = 64 << 10
_MOST_BYTES = 64 << 30
_MOST_RATIO = 200
_ALWAYS_ALLOWED = 1 << 30
"""Bytes below which the ratio of compression doesn't matter."""
_NEXT_STEP = "Lock it again, or name another version of it"


@dataclass(frozen=True, slots=True)
class WheelEntry:
    """One file of a wheel.

    Attributes:
        info: The file's entry in the zip.
        target: The file's absolute path in the image.
        executable: Mode 755, else 644.
        script: From `.data/scripts`: its first line may have to name the image's interpreter.
        record: The file's hash and size in RECORD; None if RECORD doesn't list it.
    """

    info: zipfile.ZipInfo
    target: str
    executable: bool
    script: bool
    record: tuple[str, str] | None


class Wheel:
    """An open wheel with checked paths, created by `open_wheel`.

    Attributes:
        filename: The wheel's file name, `numpy-2.1.0-cp311-...whl`.
        site_packages: The target folder of the wheel's root.
        dist_info: `NAME-VERSION.dist-info`.
        scripts: Console and GUI scripts to generate: content by name.
        files: The files to copy, as `installer` does it with two differences: files in `.data/scripts` are always
            executable (wheels made on Windows lose that bit), and an entry point replaces a script of the same name,
            as in pip.
    """

    def __init__(self, archive: zipfile.ZipFile, raw: BinaryIO, filename: str, python: str) -> None:
        self._archive = archive
        self._raw = raw
        self._python = python
        self.filename = filename
        self.site_packages = image_paths.site_packages(python)
        archive.filename = filename  # WheelFile reads the distribution's name from it
        for info in archive.infolist():
            self._check_entry(info)
        self._check_size()
        with self._wheel_errors():
            self._source = WheelFile(archive)
            self.dist_info = self._source.dist_info_dir
            self._check_version()
            self.scripts = dict(self._entry_point_scripts())
            self._data_folders = {self._source.data_dir, self.dist_info.removesuffix(".dist-info") + ".data"}
            self.files = list(self._entries())
        self._check_targets()

    def blocks(self, entry: WheelEntry, size: int) -> Iterator[bytes]:
        """An entry's inflated bytes, `size` at a time; raises WheelError if size or CRC are wrong."""
        with self._wheel_errors(entry.info.filename), self._archive.open(entry.info) as file:
            while block := file.read(size):
                yield block

    def deflated(self, entry: WheelEntry, size: int) -> Iterator[bytes]:
        """A deflated entry's compressed bytes, `size` at a time, unchecked."""
        file, info = self._raw, entry.info
        file.seek(info.header_offset)
        head = file.read(30)
        if len(head) < 30 or head[:4] != b"PK\x03\x04":
            raise self.broken("has no header at the position in the zip's directory", info.filename)
        # The local header has name and extra lengths of its own: APPNOTE 4.3.7.
        file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), 1)
        left = info.compress_size
        while left:
            block = file.read(min(size, left))
            if not block:
                raise self.broken("was cut short", info.filename)
            left -= len(block)
            yield block

    def startup_files(self) -> Iterator[str]:
        """The names of files that run code whenever Python starts: `.pth` files with lines that import.

        https://docs.python.org/3/library/site.html. Some packages need one, such as setuptools.
        """
        for entry in self.files:
            if posixpath.dirname(entry.target) == self.site_packages and entry.target.endswith(".pth"):
                text = b"".join(self.blocks(entry, _PTH_BYTES))[:_PTH_BYTES].decode("utf-8", "replace")
                if any(line.startswith(("import ", "import\t")) for line in text.splitlines()):
                    yield posixpath.basename(entry.target)

    def broken(self, what: str, entry: str | None = None) -> WheelError:
        """The error for this wheel, or for one of its entries."""
        thing = f"wheel {self.filename}" if entry is None else f"wheel {self.filename}: {entry!r}"
        return WheelError(f"{thing} {what}", next_step=_NEXT_STEP)

    @contextmanager
    def _wheel_errors(self, entry: str | None = None) -> Iterator[None]:
        """Turns the many kinds of errors that libraries raise for a malformed wheel into WheelError."""
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
                raise self.broken("is an entry point that would be outside bin/", name)
            yield Script(name, module, attr, section).generate(image_paths.INTERPRETER, "posix")

    def _entries(self) -> Iterator[WheelEntry]:
        rows = parse_record_file(self._source.read_dist_info("RECORD").splitlines())
        recorded = {path: (hash_, size) for path, hash_, size in rows}
        for info in self._archive.infolist():
            parts = info.filename.split("/")
            # A stale or malicious .pyc would be used instead of its source; `installer` leaves them out too.
            if info.is_dir() or "__pycache__" in parts[:-1] or info.filename == f"{self.dist_info}/RECORD":
                continue
            scheme, target = self._target(parts)
            if scheme == "scripts" and parts[-1] in self.scripts:
                continue
            executable = scheme == "scripts" or bool((info.external_attr >> 16) & 0o111)
            yield WheelEntry(info, target, executable, scheme == "scripts", recorded.get(info.filename))

    def _target(self, parts: list[str]) -> tuple[str, str]:
        """The scheme and the absolute target path of `NAME.data/SCHEME/...`, or of a path below the root."""
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
            raise self.broken("is in an unknown folder of .data", "/".join(parts))
        return parts[1], posixpath.join(roots[parts[1]], *parts[2:])

    def _check_entry(self, info: zipfile.ZipInfo) -> None:
        name, mode = info.filename, info.external_attr >> 16
        parts = name.removesuffix("/").split("/")
        problem = None
        if "\0" in info.orig_filename:  # zipfile cuts the name there
            problem = "has a NUL character in its name"
        elif name.startswith("/") or "\\" in name:
            problem = "is an absolute or a Windows path"
        elif ".." in parts or "." in parts or "" in parts:
            problem = "is a path that leads out of the wheel"
        elif _WHITEOUT in name and any(part.startswith(_WHITEOUT) for part in parts):
            problem = "would delete files of the layers below"
        elif stat.S_ISLNK(mode) or (stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))):
            problem = "is a link or a device, which wheels can't have"
        elif info.flag_bits & _UNREADABLE_FLAGS or info.compress_type not in _READABLE:
            problem = "is encrypted or compressed in a way that wheels don't use"
        if problem:
            raise self.broken(problem, name)

    def _check_size(self) -> None:
        """Refuses a wheel that would unpack to far more than any real one; each entry is held to its announced size."""
        infos = self._archive.infolist()
        whole, packed = (sum(sizes) for sizes in ([i.file_size for i in infos], [i.compress_size for i in infos]))
        if whole > max(_ALWAYS_ALLOWED, _MOST_RATIO * packed) or whole > _MOST_BYTES:
            raise self.broken(f"would unpack to {whole:,} bytes")

    def _check_targets(self) -> None:
        targets = [entry.target for entry in self.files] + [f"{image_paths.VENV}/bin/{name}" for name in self.scripts]
        seen: set[str] = set()
        folders: set[str] = set()
        for target in targets:
            if target in seen:
                raise self.broken("occurs twice", target)
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
    """Opens the wheel at `path`, whose file name is `filename`, for a minor version of Python.

    Raises:
        WheelError: It is not a zip, not a wheel, or has a path that must not be unpacked.
    """
    try:
        archive = zipfile.ZipFile(path)
        raw = path.open("rb")  # a handle of its own: zipfile gives no access to compressed bytes
    except Exception as error:
        raise WheelError(f"wheel {filename} is corrupt: {error}", next_step=_NEXT_STEP) from error
    with archive, raw:
        yield Wheel(archive, raw, filename, python)
