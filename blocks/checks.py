"""Whether what a block names can be reached by whom it names, asked without leaving anything behind."""

from __future__ import annotations

from .registry import ContainerRegistry
from .vertex_ai import VertexAI

_PROBE = "setup-check"


def check_registry(block: ContainerRegistry) -> str:
    """Opens an upload and gives it up; returns what was found, in one line.

    Raises:
        RegistryError: Who may not push there, or no registry answers.
    """
    target = block.target(_PROBE)
    target.check_push()
    who = target.credentials.account_name if target.credentials else "anybody"
    return f"{str(block.image(_PROBE)).partition(f'/{_PROBE}')[0]}: {who} may push"


def check_vertex(block: VertexAI) -> str:
    """Lists jobs by a label that none has; returns what was found, in one line.

    Raises:
        VertexError: Who may not list jobs there, or no answer came.
    """
    from ..vertex.submit import submission

    connection = block.connection()
    submission.find(connection, _PROBE)
    return f"{connection.parent}: jobs can be listed"
