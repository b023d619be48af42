"""Optional fields that the form of a block shows as plain ones: Prefect draws a union with None as two tabs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, GetJsonSchemaHandler
from pydantic_core import CoreSchema


class Plain:
    """An annotation: in the form None is no choice of its own but what an empty field means."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Without null; of several types that are left each is a tab."""
        choices = [choice for choice in handler(schema)["anyOf"] if choice.get("type") != "null"]
        return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _none(value: object) -> object:
    """What a form sends of a field that was filled and emptied again."""
    return None if value == "" else value


Text = Annotated[str | None, BeforeValidator(_none), Plain()]
"""Words, or None."""

Number = Annotated[float | None, Plain()]
"""A number, or None."""
