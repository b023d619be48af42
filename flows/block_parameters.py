"""Saved blocks as a flow's parameters, without what the blocks' modules import until one is given.

`prefect_gcp` alone takes seconds to import, and brings `google.cloud.aiplatform` with it. A run that names no block has
no use for either; the run form needs only the block type's slug to offer the saved ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic_core import core_schema

from ..blocks.prefect_private import document_id_in, load_document
from ..core.home import Home
from ..vertex.client.connection import Connection

if TYPE_CHECKING:
    from prefect.blocks.core import Block
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

    from ..blocks.registry import ContainerRegistry
    from ..blocks.vertex_ai import VertexAI

PACKAGE = __name__.split(".", maxsplit=1)[0]


@dataclass(frozen=True, slots=True)
class BlockParameter:
    """An annotation: a block of one class, which is imported when a value has to be checked.

    Attributes:
        module: Where the class is, inside this package.
        name: The class.
        slug: Its block type's, by which Prefect's run form lists the saved ones.
    """

    module: str
    name: str
    slug: str

    def validate(self, value: object) -> Block:
        """The block itself; one that was saved is loaded anew, for what Prefect keeps of a parameter hides secrets."""
        block = cast("type[Block]", getattr(import_module(f"{PACKAGE}.{self.module}"), self.name))
        if saved := document_id_in(value):
            return self._loaded(block, saved)
        return block.model_validate(value)

    def _loaded(self, block: type[Block], saved: str) -> Block:
        try:
            return load_document(block, saved)
        except RuntimeError as error:
            from ..blocks.validation_message import validation_message

            raise ValueError(f"the saved {self.name} block can't be used: {validation_message(error)}") from None

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(
        self,
        schema: core_schema.CoreSchema,
        handler: GetJsonSchemaHandler,
    ) -> dict[str, Any]:
        return {"title": self.name, "type": "object", "block_type_slug": self.slug}


if TYPE_CHECKING:
    RegistryParameter = ContainerRegistry
    VertexParameter = VertexAI
else:
    RegistryParameter = Annotated[
        Any, BlockParameter("blocks.registry", "ContainerRegistry", "container-registry-for-training")
    ]
    VertexParameter = Annotated[Any, BlockParameter("blocks.vertex_ai", "VertexAI", "vertex-ai-training")]


def connect(vertex: VertexParameter | None) -> Connection:
    """The Vertex AI of a block, or this machine's own."""
    return vertex.connection() if vertex else Connection.local(Home.default())
