"""The commit of a project, which becomes a label of its image."""

from __future__ import annotations

import subprocess
from pathlib import Path

from prefect_vertex_training.project.git import revision


def test_the_commit_of_the_work_tree_is_found_from_any_folder_in_it(tmp_path: Path) -> None:
    """There is none outside of a work tree, nor before the first commit."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    folder = tmp_path / "train"
    folder.mkdir()

    assert revision(folder) == ""
    subprocess.run([*git, "init", "-q"], check=True)
    assert revision(folder) == ""
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    assert len(revision(folder)) == 40
