"""Lists what a layer of a base holds, as far as it decides where the base's Python is.

The tar is scanned while it arrives and nothing is stored. `tarfile` would take ten times as long, and would read a pax
header of any size into memory.
"""

from __future__ import annotations

import posixpath
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, Literal, NamedTuple

from ..layers.decompression import CorruptData

Kind = Literal["file", "link", "folder"]

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
SCRIPT, ELF, TEXT = "script ", "elf ", "text "
"""Beginnings of `Entry.content`: a script's first line, a program's machine and loader, the text of a small file."""

_BLOCK = 512
_HEAD = 4096
"""Bytes of a program that hold its ELF header and the name of its loader."""
_LONGEST_RECORD = 1024 * 1024
"""Bytes of a pax header; the longest path has 4,096."""
_SKIP = 1 << 20
_DEEPEST_FOLDER = 4
_PROGRAM = re.compile(r"python(3(\.\d+)?)?")
_LOADER = re.compile(r"ld-(musl|linux)-.*")
_STANDARD_LIBRARY = re.compile(r"(.*/)?lib(64)?/python3\.\d+/os\.py")
_PAX = re.compile(rb"(\d{1,12}) ([^=\n]+)=")
_INTERPRETER_SEGMENT = 3  # PT_INTERP


class Entry(NamedTuple):
    """A path in a layer.

    Attributes:
        path: Relative to the image's root, without a slash at either end.
        kind: A hard link counts as a file.
        target: Where a link leads, or the path that a hard link shares its content with.
        content: What a program or small text file is; empty if it doesn't matter.
    """

    path: str
    kind: Kind
    target: str = ""
    content: str = ""


def entries(stream: BinaryIO) -> Iterator[Entry]:
    """The entries of a layer's uncompressed tar that can decide where its Python is, in order.

    Args:
        stream: The tar, read in pieces of any size; what follows its end isn't read.

    Raises:
        CorruptData: It is no tar, or ends early.
    """
    names: dict[str, str] = {}
    scrap = memoryview(bytearray(_SKIP))
    while (header := _exactly(stream, _BLOCK)) is not None and header[:1] != b"\0":
        kind, size = header[156:157], _number(header[124:136])
        if not names and kind == b"0" and _is_plain(header):  # nearly every entry, so this is quick
            _skip(stream, size + -size % _BLOCK, scrap)
            continue
        _check(header)
        if kind in (b"x", b"L", b"K", b"g"):
            names |= _long_names(kind, _record(stream, size, scrap))
            continue
        if "size" in names and names["size"].isdecimal():
            size = int(names["size"])
        path = _clean(names.get("path") or _name(header))
        target = names.get("linkpath") or _text(header[157:257])
        names = {}
        size = size if kind in (b"0", b"\0", b"7") else 0
        wanted = _wanted(path, kind)
        head = _exactly(stream, min(size, _HEAD)) or b"" if wanted and size else b""
        _skip(stream, size - len(head) + -size % _BLOCK, scrap)
        if wanted:
            yield _entry(path, kind, target, head)


def _is_plain(header: bytes) -> bool:
    """Whether an entry is surely a file that decides nothing, by the bytes of its name."""
    name = header[:100].rstrip(b"\0")
    if header[345] or len(name) == 100 or header[257:262] != b"ustar":
        return False
    return not (
        b".wh." in name
        or b"python" in name
        or b"/ld-" in name
        or name.endswith((b"pyvenv.cfg", b"/version", b"/os.py"))
    )


def _entry(path: str, kind: bytes, target: str, head: bytes) -> Entry:
    if kind == b"5":
        return Entry(path, "folder")
    if kind == b"2":
        return Entry(path, "link", target)
    return Entry(path, "file", _clean(target) if kind == b"1" else "", _content(path, head))


def _wanted(path: str, kind: bytes) -> bool:
    name = posixpath.basename(path)
    if kind == b"5":
        return path.count("/") < _DEEPEST_FOLDER
    if name.startswith(WHITEOUT) or _PROGRAM.fullmatch(name) or _LOADER.fullmatch(name):
        return True
    if kind == b"2":
        return ".so" not in name
    return name in ("pyvenv.cfg", "version") or _STANDARD_LIBRARY.fullmatch(path) is not None


def _content(path: str, head: bytes) -> str:
    name = posixpath.basename(path)
    if head.startswith(b"\x7fELF"):
        return ELF + _loader(head)
    if head.startswith(b"#!"):
        return SCRIPT + head[2:200].partition(b"\n")[0].decode("utf-8", "replace")
    if name in ("pyvenv.cfg", "version"):
        return TEXT + head.decode("utf-8", "replace")
    return ""


def _loader(head: bytes) -> str:
    """`MACHINE LOADER` of a program: 62 is x86-64; https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html."""
    try:
        machine = int(struct.unpack_from("<H", head, 18)[0])
        start, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
        for number in range(min(count, 64)):
            at = start + number * size
            if struct.unpack_from("<I", head, at)[0] == _INTERPRETER_SEGMENT:
                offset, length = struct.unpack_from("<Q", head, at + 8)[0], struct.unpack_from("<Q", head, at + 32)[0]
                return f"{machine} {_text(head[offset : offset + min(length, 256)])}"
    except struct.error:
        return "62 /lib/ld-musl-x86_64.so.1" if b"ld-musl" in head else ""
    return f"{machine} "


def _check(header: bytes) -> None:
    """Checks a header's sum, which counts its own field as spaces."""
    found = sum(header) - sum(header[148:156]) + 8 * 32
    if _number(header[148:156]) != found:
        raise CorruptData("it is no tar archive")


def _number(field: bytes) -> int:
    """An octal number, or a binary one as GNU tar writes large sizes."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip()
    try:
        return int(digits or b"0", 8)
    except ValueError as error:
        raise CorruptData("it is no tar archive") from error


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _record(stream: BinaryIO, size: int, scrap: memoryview) -> bytes:
    if size > _LONGEST_RECORD:
        raise CorruptData(f"a path in it is said to have {size:,} bytes")
    data = _exactly(stream, size) or b""
    _skip(stream, -size % _BLOCK, scrap)
    return data


def _long_names(kind: bytes, data: bytes) -> dict[str, str]:
    if kind == b"L":
        return {"path": _text(data)}
    if kind == b"K":
        return {"linkpath": _text(data)}
    found: dict[str, str] = {}
    at = 0
    while kind == b"x" and (match := _PAX.match(data, at)) and int(match[1]) > 0:
        key, end = match[2].decode("utf-8", "replace"), at + int(match[1])
        found[key] = data[match.end() : end - 1].decode("utf-8", "replace")
        at = end
    return {key: value for key, value in found.items() if key in ("path", "linkpath", "size")}


def _exactly(stream: BinaryIO, size: int) -> bytes | None:
    """`size` bytes; None at the stream's end."""
    data = stream.read(size)
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    if data and len(data) < size:
        raise CorruptData("it ends early")
    return data or None


def _skip(stream: BinaryIO, size: int, scrap: memoryview) -> None:
    while size > 0:
        count = stream.readinto(scrap[: min(size, _SKIP)])  # pyright: ignore[reportAttributeAccessIssue] - a buffered reader
        if not count:
            raise CorruptData("it ends early")
        size -= count


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _clean(path: str) -> str:
    """The path without `./` and slashes at its ends; what leads out of the image stays inside, as for engines."""
    return posixpath.normpath(f"/{path}").lstrip("/")
