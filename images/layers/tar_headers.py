"""Tar headers that depend on their arguments only, not on time, user or machine.

POSIX.1-2001 ("pax"): https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_01.
`tarfile` would take ten times as long for each file, and its bytes may differ between Python versions.
"""

from __future__ import annotations

BLOCK = 512
END = bytes(2 * BLOCK)
"""Two zero blocks end an archive."""

TIME = 315_619_200
"""Modification time of all entries, in seconds since 1970: 1980-01-02. Zip archives have no time before 1980, so
`zipfile` and `shutil.make_archive` fail on older files; the second of January is in 1980 in any time zone."""

_MAX_SIZE = 8**11  # eleven octal digits; larger sizes go into a pax record


def padding(size: int) -> bytes:
    """The zeros after a file of `size` bytes, up to the next block."""
    return bytes(-size % BLOCK)


def file_header(path: str, size: int, *, executable: bool) -> bytes:
    """The header of a regular file: mode 755 or 644, owner root, time `TIME`."""
    return _header(path, b"0", 0o755 if executable else 0o644, size)


def directory_header(path: str, mode: int = 0o755) -> bytes:
    """The header of a folder; `path` has no slash at its end."""
    return _header(f"{path}/", b"5", mode, 0)


def symlink_header(path: str, target: str) -> bytes:
    """The header of a symbolic link; `target` must be ASCII and at most 100 bytes long."""
    return _header(path, b"2", 0o777, 0, link=target.encode("ascii"))


def _header(path: str, kind: bytes, mode: int, size: int, link: bytes = b"") -> bytes:
    name = path.encode("utf-8")
    records = b""
    if len(name) > 100 or not name.isascii():
        records += _pax_record(b"path", name)
    if size >= _MAX_SIZE:
        records += _pax_record(b"size", str(size).encode())
    block = _block(name[:100], kind, mode, size if size < _MAX_SIZE else 0, link)
    if not records:
        return block
    return _block(b"././@PaxHeader", b"x", 0o644, len(records), b"") + records + padding(len(records)) + block


def _block(name: bytes, kind: bytes, mode: int, size: int, link: bytes) -> bytes:
    """A 512-byte header; its checksum counts the checksum field as eight spaces."""
    start = name.ljust(100, b"\0") + b"%07o\0" % mode + b"0000000\0" * 2 + b"%011o\0" % size + b"%011o\0" % TIME
    end = kind + link.ljust(100, b"\0") + b"ustar\x0000"
    total = sum(start) + sum(end) + 8 * 32
    return (start + b"%06o\0 " % total + end).ljust(BLOCK, b"\0")


def _pax_record(key: bytes, value: bytes) -> bytes:
    """A record `LENGTH key=value`, where LENGTH includes its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest
