"""Checks of saved blocks: can their credentials reach the registry or Vertex AI? Nothing is left behind."""

from __future__ import annotations

from .registry import ContainerRegistry
from .vertex_ai import VertexAI

_PROBE = "setup-check"


def check_registry(block: ContainerRegistry) -> str:
    """Starts an upload and cancels it; returns the result in one line.

    Raises:
        RegistryError: The credentials may not push there, or no registry answers.
    """
    target = block.target(_PROBE)
    target.check_push()
    who = target.credentials.account_name if target.credentials else "anybody"
    return f"{str(block.image(_PROBE)).partition(f'/{_PROBE}')[0]}: {who} may push"


def check_vertex(block: VertexAI) -> str:
    """Lists jobs by a label that none has; returns the result in one line.

    Raises:
        VertexError: The credentials may not list jobs there, or no answer came.
    """
    from ..vertex.submit.submission import find

    connection = block.connection()
    find(connection, _PROBE)
    return f"{connection.parent}: jobs can be listed"
