"""Lists the objects of a bucket, in the order of their names, a page at a time.

https://cloud.google.com/storage/docs/json_api/v1/objects/list
"""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .object_paths import opened_folder, path_parts
from .object_store import ObjectStore, StoredFile


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What is listed.

    Attributes:
        bucket: The bucket's name.
        prefix: Names begin with it.
        delimiter: Names with it behind the prefix are summed up as prefixes; empty: all names are listed.
        includes_delimiter: Also list an object whose name ends at the delimiter.
        match_glob: A glob that names match; empty for all.
        start: The first name.
        end: The name before which the list ends; empty for none.
        after: Names up to this one, and prefixes, were on earlier pages.
        limit: Objects and prefixes a page.
    """

    bucket: str
    prefix: str = ""
    delimiter: str = ""
    includes_delimiter: bool = False
    match_glob: str = ""
    start: str = ""
    end: str = ""
    after: str = ""
    limit: int = 1000


@dataclass(slots=True)
class Page:
    """One page of a list; `after` is where the next begins, empty on the last page."""

    objects: list[StoredFile] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    after: str = ""


class _Found(NamedTuple):
    """A name in a list, and how its file is reached; without a folder it is an entry, or a prefix."""

    name: str
    folder: int = -1
    file_name: str = ""


def list_objects(store: ObjectStore, query: ListQuery) -> Page:
    """One page of a list.

    Raises:
        ValueError: The glob is invalid.
    """
    page = Page()
    last = ""
    for found in _selected(store, query):
        prefix = _prefix_of(found.name, query)
        if prefix and (prefix == last or prefix <= query.after):
            continue
        # Found before it is counted: a file may be gone, or a link.
        stored = None
        if not prefix or (query.includes_delimiter and found.name == prefix):
            stored = _stored(store, query.bucket, found)
            if stored is None and not prefix:
                continue
        if len(page.objects) + len(page.prefixes) >= query.limit:
            page.after = last
            break
        last = prefix or found.name
        if prefix:
            page.prefixes.append(prefix)
        if stored is not None:
            page.objects.append(stored)
    return page


def _selected(store: ObjectStore, query: ListQuery) -> Iterator[_Found]:
    """The names of the list, before delimiters sum them up."""
    matches = re.compile(glob_pattern(query.match_glob)).fullmatch if query.match_glob else None
    for found in _names(store, query):
        if query.end and found.name >= query.end:
            return
        if matches is None or matches(found.name):
            yield found


def _stored(store: ObjectStore, bucket: str, found: _Found) -> StoredFile | None:
    if found.folder >= 0:
        return store.described(bucket, found.name, found.folder, found.file_name)
    return store.find(bucket, found.name)


def _prefix_of(name: str, query: ListQuery) -> str:
    """The prefix that stands for a name in the list; empty when the name itself is listed."""
    if not query.delimiter:
        return ""
    at = name.find(query.delimiter, len(query.prefix))
    return name[: at + len(query.delimiter)] if at >= 0 else ""


def _names(store: ObjectStore, query: ListQuery) -> Iterator[_Found]:
    """All names from the query's start on, in order; with the delimiter "/" one of each folder may stand for all."""
    begin = max(query.start, query.after)
    for found in heapq.merge(_plain_names(store, query, begin), _entry_names(store, query)):
        if found.name >= query.start and (not query.after or found.name > query.after):
            yield found


def _entry_names(store: ObjectStore, query: ListQuery) -> Iterator[_Found]:
    for name in store.entry_names(query.bucket):
        if name.startswith(query.prefix):
            yield _Found(name)


def _plain_names(store: ObjectStore, query: ListQuery, begin: str) -> Iterator[_Found]:
    base, _, rest = query.prefix.rpartition("/")
    parts = path_parts(base) if base else []
    if parts is None or query.prefix.startswith("/"):
        return
    walk = _Walk(f"{base}/" if base else "", rest, begin, query)
    try:
        with opened_folder(str(store.buckets / query.bucket), parts) as folder:
            yield from walk.folder(folder, walk.base, rest)
    except (FileNotFoundError, NotADirectoryError):
        return


@dataclass(frozen=True, slots=True)
class _Walk:
    base: str
    rest: str
    begin: str
    query: ListQuery

    def folder(self, folder: int, path: str, begins: str) -> Iterator[_Found]:
        """The names below an open folder whose path, with a slash, is `path`."""
        for name, is_folder in _sorted_entries(folder, begins):
            full = path + name
            if not is_folder:
                if full >= self.begin:
                    yield _Found(full, folder, name)
                continue
            if full < self.begin and not self.begin.startswith(full):
                continue  # everything below comes before the page
            try:
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            except OSError:
                continue
            try:
                yield from self._below(below, full)
            finally:
                os.close(below)

    def _below(self, folder: int, path: str) -> Iterator[_Found]:
        if self.query.delimiter != "/" or self.query.match_glob or len(path) <= len(self.query.prefix):
            yield from self.folder(folder, path, "")
        else:
            # One name is enough for the prefix. Those before the page's begin may have been listed.
            first = next(self.folder(folder, path, ""), None)
            if first is not None:
                yield first


def _sorted_entries(folder: int, begins: str) -> list[tuple[str, bool]]:
    """A folder's files, and its folders with a slash, in the order of objects' names."""
    found: list[tuple[str, bool]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(begins) or not _is_text(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                found.append((f"{entry.name}/", True))
            elif entry.is_file(follow_symlinks=False):
                found.append((entry.name, False))
    found.sort()
    return found


def _is_text(name: str) -> bool:
    """Names of objects are UTF-8; files with other names are none."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def glob_pattern(glob: str) -> str:
    """The regular expression of a glob: `*`, `**`, `?`, `[...]` and `{a,b}`.

    https://cloud.google.com/storage/docs/json_api/v1/objects/list#list-objects-and-prefixes-using-glob

    Raises:
        ValueError: A bracket or brace is not closed.
    """
    out: list[str] = []
    position = depth = 0
    while position < len(glob):
        mark = next((mark for mark in _GLOB if glob.startswith(mark, position)), "")
        position += len(mark) or 1
        if mark:
            out.append(_GLOB[mark])
        elif glob[position - 1] == "[":
            text, position = _bracket(glob, position)
            out.append(text)
        else:
            text, change = _brace(glob[position - 1], depth)
            out.append(text)
            depth += change
    if depth:
        raise ValueError(glob)
    return "(?s:" + "".join(out) + ")"


_GLOB = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _brace(char: str, depth: int) -> tuple[str, int]:
    """The expression of a brace, of a comma in braces, or of any other character; and the change of depth."""
    if char == "{":
        return "(?:", 1
    if depth and char == "}":
        return ")", -1
    if depth and char == ",":
        return "|", 0
    return re.escape(char), 0


def _bracket(glob: str, position: int) -> tuple[str, int]:
    end = glob.find("]", position + 1)
    if end < 0:
        raise ValueError(glob)
    inside = glob[position:end].replace("\\", "\\\\").replace("[", "\\[")
    if inside.startswith(("!", "^")):
        inside = "^" + inside[1:]
    return f"[{inside}]", end + 1
