"""Types of optional fields that a block's form shows as plain inputs; Prefect draws a union with None as two tabs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, GetJsonSchemaHandler
from pydantic_core import CoreSchema


class Plain:
    """Annotation of an optional field whose form leaves out None: an empty input stands for it."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema without null; several remaining types are shown as tabs."""
        choices = [choice for choice in handler(schema)["anyOf"] if choice.get("type") != "null"]
        return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _none(value: object) -> object:
    """None for the empty text that a form sends for an input that was filled and emptied again."""
    return None if value == "" else value


Text = Annotated[str | None, BeforeValidator(_none), Plain()]
"""Optional text."""

Number = Annotated[float | None, Plain()]
"""Optional number."""
