"""Blocks as parameters of a flow whose modules are imported only when a block is given.

`prefect_gcp` alone takes seconds to import, and imports `google.cloud.aiplatform`. A run without blocks needs neither,
and the run form needs only the slug of the block type to list the saved blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic_core import core_schema

from ..core.home import Home
from ..prefect_private import document_id_in, load_document
from ..vertex.client.connection import Connection

if TYPE_CHECKING:
    from prefect.blocks.core import Block
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

    from ..blocks.registry import ContainerRegistry
    from ..blocks.vertex_ai import VertexAI

PACKAGE = __name__.split(".", maxsplit=1)[0]


@dataclass(frozen=True, slots=True)
class BlockParameter:
    """Annotation of a parameter that is a block; the block's class is imported when a value is validated.

    Attributes:
        module: Module of the class, inside this package.
        name: Name of the class.
        slug: Slug of the block type, by which Prefect's run form lists the saved blocks.
    """

    module: str
    name: str
    slug: str

    def validate(self, value: object) -> Block:
        """Returns the block. A saved block is loaded again, because Prefect hides secrets in stored parameters."""
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
    """The connection of a VertexAI block; without a block that to local_vertex."""
    return vertex.connection() if vertex else Connection.local(Home.default())


def connect_in(vertex: VertexParameter | None, region: str, bucket: str) -> Connection:
    """As `connect`, to another region.

    Raises:
        VertexError: The block's endpoint serves one region.
        LocalServiceError: local_vertex can't serve the region.
    """
    if vertex is None:
        return Connection.local(Home.default(), region=region, bucket=bucket)
    return vertex.in_region(region, bucket).connection()
