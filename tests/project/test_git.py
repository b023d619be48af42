"""The commit of a project, which becomes a label of its image."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from prefect_vertex_training.project.git import refusal, revision


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_git_s_refusal_of_another_user_s_repository_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the repository's top and the command; nothing is said once the repository is trusted, or without one."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    top, folder = tmp_path / "other", tmp_path / "other/train"
    folder.mkdir(parents=True)
    assert refusal(folder) == ""
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    assert refusal(folder) == ""

    for path in [top, *top.rglob("*")]:
        os.chown(path, 12345, 12345)

    assert f"git config --global --add safe.directory {top}" in refusal(folder)
    (tmp_path / "gitconfig").write_text(f"[safe]\n\tdirectory = {top}\n")
    assert refusal(folder) == ""
