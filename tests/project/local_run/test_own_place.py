"""The advice for a script that saves its model in its own place."""

from __future__ import annotations

import pytest
from prefect_vertex_training.project.local_run.own_place import patterns


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["model.joblib"], ["model.joblib"]),
        (["LICENSE2", "MODEL"], ["LICENSE2", "MODEL"]),
        (["out/a.pt", "out/deep/b.pt"], ["out/**"]),
        (["a/x", "b/x", "model.pt"], ["a/**", "b/**", "model.pt"]),
    ],
)
def test_the_patterns_match_the_files(paths: list[str], expected: list[str]) -> None:
    """A folder is taken as a whole, and a file of the working directory by its name."""
    assert patterns(paths) == expected
