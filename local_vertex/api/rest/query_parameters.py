"""What the query of a URL says: system parameters, and fields of the request.

https://cloud.google.com/apis/docs/system-parameters
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from ..schema import Generated
from ..status import ApiError, Code

# Those that change nothing here: who pays, tracing, callbacks of web pages, the way of an upload.
_IGNORED = frozenset(("callback", "key", "prettyPrint", "quotaUser", "uploadType", "upload_protocol", "userProject"))
_MAX_PARAMETERS = 1000


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a request.

    Attributes:
        fields: Fields of the request, each with its texts.
        alt: The form of the response, for example "json;enum-encoding=int".
        partial: The fields of the response to keep; empty for all.
        token: The access token, where it isn't in a header; empty for none.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    alt: str = "json"
    partial: str = ""
    token: str = ""

    @property
    def enum_numbers(self) -> bool:
        """Whether enums are to be numbers."""
        return "enum-encoding=int" in self.alt

    @property
    def is_proto(self) -> bool:
        """Whether the response is to be a serialized message."""
        return self.alt.partition(";")[0] == "proto"


def parse(query: str) -> Parameters:
    """Parses the query of a URL.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:
        raise ApiError(Code.INVALID_ARGUMENT, f"The query has more than {_MAX_PARAMETERS} parameters") from error
    system: dict[str, str] = {}
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        if name.startswith("$") or name in {"alt", "fields", "access_token", "oauth_token"}:
            system[name.removeprefix("$")] = value
        elif name not in _IGNORED:
            fields.setdefault(name, []).append(value)
    alt = system.get("alt") or "json"
    if alt.partition(";")[0] not in {"json", "proto"}:
        raise ApiError(Code.INVALID_ARGUMENT, f"The response can't have the form alt={alt}: use json or proto")
    token = system.get("access_token") or system.get("oauth_token") or ""
    return Parameters(fields, alt, system.get("fields", ""), token)


def as_json(parameters: Parameters, descriptor: Generated) -> dict[str, Any]:
    """The fields of a request as JSON, for its type."""
    known = {name: item for item in descriptor.fields for name in (item.json_name, item.name)}
    result: dict[str, Any] = {}
    for name, texts in parameters.fields.items():
        values = [_converted(text, known.get(name)) for text in texts]
        result[name] = values if name in known and _is_repeated(known[name]) else values[-1]
    return result


_REPEATED = 3  # FieldDescriptor.LABEL_REPEATED
_BOOL = 8  # FieldDescriptor.TYPE_BOOL


def _is_repeated(descriptor: Generated) -> bool:
    # Versions of protobuf have either of these.
    return descriptor.is_repeated if hasattr(descriptor, "is_repeated") else descriptor.label == _REPEATED


def _converted(text: str, descriptor: Generated) -> object:
    if descriptor is None:
        return text
    if descriptor.type == _BOOL and text.lower() in {"true", "false", "1", "0"}:
        return text.lower() in {"true", "1"}
    if descriptor.message_type is not None and descriptor.message_type.full_name == "google.protobuf.FieldMask":
        return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), text)  # clients send either spelling
    return text
