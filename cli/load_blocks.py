"""Saved Prefect blocks, loaded by the names that the options give.

The blocks' modules take seconds to import, so nothing is imported for an option that is not given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from ..core.errors import ProjectError

if TYPE_CHECKING:
    from prefect.blocks.core import Block
    from prefect.blocks.system import Secret

    from ..blocks.registry import ContainerRegistry
    from ..blocks.vertex_ai import VertexAI

B = TypeVar("B", bound="Block")


def load_block(block: type[B], name: str, option: str) -> B:
    """Loads the saved block of that name.

    Args:
        block: Its type.
        name: The name that it was saved under.
        option: The command-line option that names it, for error messages.

    Raises:
        ProjectError: No such block is saved, or what is saved is no longer valid.
    """
    from pydantic import ValidationError

    from ..blocks.validation_message import validation_message

    try:
        return cast("B", block.load(name))
    except (ValidationError, RuntimeError) as error:
        raise ProjectError(
            f"the saved {block.__name__} block {name!r} can't be used: {validation_message(error)}",
            where=option,
            next_step="Fix it in Prefect's UI",
        ) from error
    except ValueError as error:
        raise ProjectError(
            f"no saved {block.__name__} block is called {name!r}",
            where=option,
            next_step="List the saved ones: prefect block ls",
        ) from error


def load_registry(name: str | None) -> ContainerRegistry | None:
    """The block that `--registry` names; None without the option.

    Raises:
        ProjectError: As `load_block`.
    """
    if name is None:
        return None
    from ..blocks.registry import ContainerRegistry

    return load_block(ContainerRegistry, name, "--registry")


def load_vertex(name: str | None) -> VertexAI | None:
    """The block that `--vertex` names; None without the option.

    Raises:
        ProjectError: As `load_block`.
    """
    if name is None:
        return None
    from ..blocks.vertex_ai import VertexAI

    return load_block(VertexAI, name, "--vertex")


def load_git_token(name: str | None) -> Secret | None:
    """The block that `--git-token` names; None without the option.

    Raises:
        ProjectError: As `load_block`.
    """
    if name is None:
        return None
    from prefect.blocks.system import Secret

    return load_block(Secret, name, "--git-token")
