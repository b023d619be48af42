"""Texts inside binary files: the members of zip files, the strings of pickles, and private keys in DER."""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress

_MEMBERS = 2000
_MEMBER_BYTES = 4 << 20
_ALL_BYTES = 32 << 20
"""How much of a zip file is inflated: enough for every text, too little for a bomb."""
_OPCODES = 200_000
_FILL_A_DICTIONARY = frozenset({"SETITEM", "SETITEMS", "DICT"})
_MARK = object()
_ZIP = b"PK\x03\x04"
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
# An ASN.1 sequence with version 0 and the object id of RSA (PKCS #8), or of an elliptic curve's key, or RSA's modulus.
_DER_KEY = re.compile(
    rb"\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...)\x02\x01"
    rb"(?:\x00\x30[\x05-\x20]\x06[\x03-\x0b](?:\x2a\x86\x48|\x2b\x65)|\x00\x02\x82|\x00\x02\x81|\x01\x04[\x20-\x42])",
    re.DOTALL,
)


def is_der_key(block: bytes) -> bool:
    """Whether a binary file is a private key in DER: PKCS #1, PKCS #8 or SEC 1."""
    return _DER_KEY.match(block) is not None


def has_texts(block: bytes) -> bool:
    """Whether a binary file, judged by its first bytes, is of a kind that `texts` reads."""
    return block.startswith(_ZIP) or _PICKLE.match(block) is not None


def texts(content: bytes, *, depth: int = 1) -> Iterator[bytes]:
    """The texts in a zip file (an archive, a wheel, a model of PyTorch or NumPy) or in a pickle.

    A damaged file only gives fewer. No object is made of a pickle.
    """
    if content.startswith(_ZIP):
        yield from _members(content, depth)
    elif _PICKLE.match(content):
        yield _strings(content)


def _members(content: bytes, depth: int) -> Iterator[bytes]:
    left = _ALL_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for item in archive.infolist()[:_MEMBERS]:
                if item.is_dir() or item.file_size > _MEMBER_BYTES or item.flag_bits & 1:
                    continue
                with archive.open(item) as member:
                    text = member.read(min(_MEMBER_BYTES, left))
                left -= len(text)
                if text.find(0, 0, 8000) < 0:
                    yield text
                elif depth and has_texts(text):
                    yield from texts(text, depth=depth - 1)
                if left <= 0:
                    return
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, EOFError, RuntimeError):
        return


def _strings(content: bytes) -> bytes:
    """The strings of a pickle, one a line, and the entries of its dictionaries as `name="value"`."""
    machine = _PickleReader()
    try:
        for number, (opcode, value, _) in enumerate(pickletools.genops(content)):
            if number > _OPCODES:
                break
            with suppress(IndexError, ValueError):  # no program that ends well, but its strings are in the file
                machine.follow(opcode, value)
    except (ValueError, EOFError, IndexError, UnicodeError, OverflowError, MemoryError, AttributeError, KeyError):
        pass
    entries = [f'{name}="{value}"' for name, value in machine.entries if "\n" not in name]
    return "\n".join([*machine.strings, *entries]).encode("utf-8", "replace")


class _PickleReader:
    """Follows a pickle's program as far as it shows which string is whose name; nothing is made of it.

    Two strings that only follow each other, as in a list of words, are no name and value.

    Attributes:
        strings: All strings.
        entries: Name and value of the entries of dictionaries that have both as strings; an object's state is one.
    """

    def __init__(self) -> None:
        self.strings: list[str] = []
        self.entries: list[tuple[str, str]] = []
        self._stack: list[object] = []
        self._memo: dict[object, object] = {}

    def follow(self, opcode: pickletools.OpcodeInfo, value: object) -> None:
        """Takes the next instruction."""
        name = opcode.name
        if name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name.endswith("PUT"):
            self._memo[value] = self._stack[-1]
        elif name.endswith("GET"):
            self._stack.append(self._memo.get(value))
        elif name == "MARK":
            self._stack.append(_MARK)
        elif name.endswith(("UNICODE", "STRING", "BYTES", "UNICODE8", "BYTES8")):
            self._stack.append(self._text(value))
        else:
            self._apply(opcode)

    def _text(self, value: object) -> str | None:
        if isinstance(value, bytes) and value.isascii():
            value = value.decode("ascii")
        if not isinstance(value, str):
            return None
        self.strings.append(value)
        return value

    def _apply(self, opcode: pickletools.OpcodeInfo) -> None:
        taken = len(opcode.stack_before)
        if pickletools.markobject in opcode.stack_before:
            place = len(self._stack) - 1 - self._stack[::-1].index(_MARK)
            items = self._stack[place + 1 :]
            del self._stack[place:]
            taken = opcode.stack_before.index(pickletools.markobject)
        else:
            items = self._stack[-2:]
        if opcode.name in _FILL_A_DICTIONARY:
            pairs = zip(items[::2], items[1::2], strict=False)
            self.entries += [(name, value) for name, value in pairs if isinstance(name, str) and isinstance(value, str)]
        if taken:
            del self._stack[-taken:]
        self._stack += [None] * len(opcode.stack_after)
