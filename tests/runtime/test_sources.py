"""The runtime runs with the Python of any image."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from fixtures.suite.module_graph import ROOT
from prefect_vertex_training.runtime import outputs_variable

SOURCES = sorted((ROOT / "runtime").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_valid_for_python_37(path: Path) -> None:
    """Its syntax is that of Python 3.7."""
    ast.parse(path.read_text(), feature_version=(3, 7))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_imports_only_the_standard_library(path: Path) -> None:
    """An image may have nothing else."""
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    absolute = [node.module or "" for node in imports if isinstance(node, ast.ImportFrom) and not node.level]
    absolute += [alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names]

    assert {name.partition(".")[0] for name in absolute} <= sys.stdlib_module_names
    assert {node.level for node in imports if isinstance(node, ast.ImportFrom)} <= {0, 1}


@pytest.mark.parametrize("patterns", [[], ["out/*.pt"], ["$(HOME)/x", "$$", 'quote"s', "größe/**"]])
def test_patterns_arrive_unchanged(patterns: list[str]) -> None:
    """Vertex AI replaces `$(NAME)` and `$$` in variables, so none of them may hold a dollar sign."""
    variables = outputs_variable.encode(patterns)

    assert outputs_variable.decode(variables) == patterns
    assert "$" not in "".join(variables.values())


@pytest.mark.parametrize("text", ["{}", "[1]", "out/*.pt"])
def test_another_value_is_refused(text: str) -> None:
    """A variable that isn't a list of texts is an error, not an empty list."""
    with pytest.raises(ValueError):  # noqa: PT011 - json's own error, or ours
        outputs_variable.decode({outputs_variable.NAME: text})
