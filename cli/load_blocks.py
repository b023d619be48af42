"""Saved Prefect blocks by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from ..core.errors import ProjectError

if TYPE_CHECKING:
    from prefect.blocks.core import Block

    from ..blocks.registry import ContainerRegistry
    from ..blocks.vertex_ai import VertexAI

B = TypeVar("B", bound="Block")


def load_block(block: type[B], name: str | None, option: str) -> B | None:
    """The saved block of that name; None stays None.

    Raises:
        ProjectError: No such block is saved, or what is saved is no longer valid.
    """
    if name is None:
        return None
    from pydantic import ValidationError

    from ..blocks.validation_message import (
        validation_message,  # brings the blocks and what they import, which takes seconds
    )

    try:
        return cast("B", block.load(name))
    except (ValidationError, RuntimeError) as error:
        raise ProjectError(
            f"the saved {block.__name__} block {name!r} can't be used: {validation_message(error)}",
            where=option,
            next_step="Mend it in Prefect's UI",
        ) from error
    except ValueError as error:
        raise ProjectError(
            f"no saved {block.__name__} block is called {name!r}",
            where=option,
            next_step="List the saved ones: prefect block ls",
        ) from error


def load_registry(name: str | None) -> ContainerRegistry | None:
    """What `--registry` names; the block's module, slow to import, is left alone without a name.

    Raises:
        ProjectError: As `load_block`.
    """
    if name is None:
        return None
    from ..blocks.registry import ContainerRegistry

    return load_block(ContainerRegistry, name, "--registry")


def load_vertex(name: str | None) -> VertexAI | None:
    """What `--vertex` names, as `load_registry`.

    Raises:
        ProjectError: As `load_block`.
    """
    if name is None:
        return None
    from ..blocks.vertex_ai import VertexAI

    return load_block(VertexAI, name, "--vertex")
