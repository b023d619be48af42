"""Partial responses: the system parameter `fields`, for example `customJobs(name,state),nextPageToken`.

https://cloud.google.com/apis/docs/system-parameters and https://developers.google.com/drive/api/guides/fields-parameter
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from ..schema import Generated
from ..status import ApiError, Code

Tree: TypeAlias = dict[str, Any]
"""The fields to keep by name, each with those inside it; an empty one keeps everything."""

_FREE = frozenset(
    ("google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.Any", "google.protobuf.ListValue")
)
_MAX_DEPTH = 50


def select(value: Any, text: str, descriptor: Generated) -> Any:  # noqa: ANN401 - JSON
    """The part of a response that a client asks for.

    Args:
        value: The response as JSON.
        text: The value of `fields`.
        descriptor: The response's type.

    Raises:
        ApiError: INVALID_ARGUMENT: the text is invalid, or names a field that the type doesn't have.
    """
    tree = _parse(text)
    _check(tree, descriptor, "")
    return _kept(value, tree)


def _parse(text: str) -> Tree:
    tokens = re.findall(r"[^\s,()/]+|[,()/]", text)
    tree, rest = _list(tokens, 0)
    if rest or not tree:
        raise _error(f"Invalid field selection {text}")
    return tree


def _list(tokens: list[str], depth: int) -> tuple[Tree, list[str]]:
    if depth > _MAX_DEPTH:
        raise _error("The field selection is nested too deeply")
    tree: Tree = {}
    while tokens:
        path, tokens = _path(tokens)
        inner: Tree = {}
        if tokens and tokens[0] == "(":
            inner, tokens = _list(tokens[1:], depth + 1)
            if not tokens or tokens[0] != ")":
                raise _error("A parenthesis of the field selection is not closed")
            tokens = tokens[1:]
        _add(tree, path, inner)
        if not tokens or tokens[0] != ",":
            break
        tokens = tokens[1:]
    return tree, tokens


def _path(tokens: list[str]) -> tuple[list[str], list[str]]:
    path = []
    while tokens and tokens[0] not in {",", "(", ")", "/"}:
        path += [part for part in tokens[0].split(".") if part]
        tokens = tokens[1:]
        if not tokens or tokens[0] != "/":
            return path, tokens
        tokens = tokens[1:]
    raise _error("The field selection has an empty name")


def _add(tree: Tree, path: list[str], inner: Tree) -> None:
    for name in path[:-1]:
        if name in tree and not tree[name]:
            return  # the whole field is kept already
        tree = tree.setdefault(name, {})
    last = path[-1]
    if last in tree and tree[last] and inner:
        for name, below in inner.items():
            _add(tree[last], [name], below)
    else:
        tree[last] = inner


def _check(tree: Tree, descriptor: Generated, path: str) -> None:
    if descriptor is None or descriptor.full_name in _FREE or descriptor.GetOptions().map_entry:
        return
    known = {name: field for field in descriptor.fields for name in (field.camelcase_name, field.json_name, field.name)}
    for name, inner in tree.items():
        below = f"{path}/{name}" if path else name
        if name == "*":
            continue
        if name not in known:
            raise _error(f"Error expanding 'fields' parameter. Cannot find matching fields for path '{below}'.")
        if inner and known[name].message_type is not None:
            _check(inner, known[name].message_type, below)


def _kept(value: Any, tree: Tree) -> Any:  # noqa: ANN401 - JSON
    if not tree:
        return value
    if isinstance(value, list):
        return [_kept(item, tree) for item in value]
    if not isinstance(value, dict):
        return value
    names = {_camel(name): inner for name, inner in tree.items()}
    everything = names.get("*")
    return {
        name: _kept(item, names.get(name, everything) or {})
        for name, item in value.items()
        if name in names or everything is not None
    }


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def _error(text: str) -> ApiError:
    return ApiError(Code.INVALID_ARGUMENT, text)
