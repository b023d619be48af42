"""Saved Prefect blocks by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from ..core.errors import ProjectError

if TYPE_CHECKING:
    from prefect.blocks.core import Block

B = TypeVar("B", bound="Block")


def load_block(block: type[B], name: str | None, option: str) -> B | None:
    """The saved block of that name; None stays None.

    Raises:
        ProjectError: No such block is saved.
    """
    if name is None:
        return None
    try:
        return cast("B", block.load(name))
    except ValueError as error:
        raise ProjectError(
            f"no saved {block.__name__} block is called {name!r}",
            where=option,
            next_step="List the saved ones: prefect block ls",
        ) from error
