"""A project is opened with the run's choices, and its dependency list is read once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.project.dependencies import find_list
from prefect_vertex_training.project.dependencies.freeze import freeze, request_key
from prefect_vertex_training.project.local_run.verify import request_key as verify_key
from prefect_vertex_training.project.local_run.verify import verify
from prefect_vertex_training.project.snapshot import Project

SCRIPT = """
import os, pathlib
pathlib.Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"), "model.bin").touch()
"""


def test_the_fingerprint_is_of_the_adjusted_settings(make_project, tmp_path: Path) -> None:
    """A choice that changes the image changes the fingerprint, as if the project's own table had it."""
    home, root = Home(tmp_path / "home"), make_project()
    plain = Project.open(root, home)
    chosen = Project.open(root, home, adjust=lambda settings: replace(settings, base="python:3.12"))
    (root / "pyproject.toml").write_text('[tool.vertex-training]\nbase = "python:3.12"\nexclude = ["pyproject.toml"]\n')

    assert chosen.settings.base == "python:3.12"
    assert plain.fingerprint != chosen.fingerprint
    assert Project.open(root, home).fingerprint == chosen.fingerprint


def test_the_choices_of_a_run_decide_what_is_listed(make_project, tmp_path: Path) -> None:
    """They are in force before the files are listed."""
    root = make_project({"notes.md": ""})
    project = Project.open(root, Home(tmp_path / "home"), adjust=lambda own: replace(own, exclude=("*.md",)))

    assert [file.path for file in project.files] == ["train.py"]


def test_the_dependency_list_is_read_once_for_all_steps(
    make_project, wheelhouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both steps and their keys work on the list that the project read first, even if the file changes meanwhile."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    wheelhouse.add("tiny", "1")
    root = make_project({"requirements.txt": "tiny\n", "train.py": SCRIPT})
    project = Project.open(root, Home(tmp_path / "home"))
    read, calls = find_list.read_file, []
    monkeypatch.setattr(find_list, "read_file", lambda *arguments: calls.append(arguments) or read(*arguments))
    listed = project.dependencies
    keys = (request_key(root, project.settings, listed), verify_key(root, project.settings, [], listed))
    (root / "requirements.txt").write_text("other\n")

    report = verify(
        root, project.files, project.settings, [], cache=tmp_path / "cache", log=lambda _: None, listed=listed
    )
    lock = freeze(root, project.settings, cache=tmp_path / "cache", listed=project.dependencies)

    assert (report.model_files, lock.packages) == (("model.bin",), (("tiny", "1"),))
    assert keys == (request_key(root, project.settings, listed), verify_key(root, project.settings, [], listed))
    assert len(calls) == 1
