"""Folders that the settings include, and folders that are empty but for a placeholder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from prefect_vertex_training.project.files.listing import list_files
from prefect_vertex_training.project.settings.settings import load

MakeProject = Callable[[Mapping[str, str]], Path]


def paths(root: Path) -> list[str]:
    """The paths of the listed files, without the script and the settings."""
    return [file.path for file in list_files(root, load(root)) if file.path not in {"train.py", "pyproject.toml"}]


@pytest.mark.parametrize("include", ["/data/", "data", "/data", "data/"])
@pytest.mark.parametrize(
    "rules",
    [
        {".gitignore": "*.bin\n"},
        {".gitignore": "data/*\n"},
        {".gitignore": "/data\n"},
        {"data/.gitignore": "*\n"},
        {"data/raw/.gitignore": "*.bin\n"},
        {".dockerignore": "**/*.bin\n"},
    ],
)
def test_an_included_folder_goes_in_whatever_leaves_its_files_out(
    make_project: MakeProject, include: str, rules: dict[str, str]
) -> None:
    """For all spellings of the folder, and all ignore files; files outside of it stay out."""
    settings = {"pyproject.toml": f'[tool.vertex-training]\ninclude = ["{include}"]\n'}
    root = make_project({**settings, **rules, "data/raw/a.bin": "1", "data/b.bin": "2", "other/.cache/c": ""})

    assert paths(root) == ["data/b.bin", "data/raw/a.bin"]


def test_exclude_and_tools_files_stay_out_of_an_included_folder(make_project: MakeProject) -> None:
    """Until `include` names them: bytecode and a local .env are never meant with a folder; earlier results may be."""
    files = {
        "data/.env": "",
        "data/__pycache__/a.pyc": "",
        "data/.cache/x": "",
        "data/mlruns/0": "",
        "data/note.txt": "",
        "data/.DS_Store": "",
    }
    root = make_project(files)
    settings = root / "pyproject.toml"

    settings.write_text('[tool.vertex-training]\ninclude = ["/data/"]\nexclude = ["note.txt"]\n')
    assert paths(root) == ["data/.cache/x", "data/mlruns/0"]
    settings.write_text('[tool.vertex-training]\ninclude = ["/data/", "!/data/mlruns/", "/data/.DS_Store"]\n')
    assert paths(root) == ["data/.DS_Store", "data/.cache/x", "data/note.txt"]


def test_a_placeholder_is_listed_where_its_folder_would_be_missing(make_project: MakeProject) -> None:
    """A folder that has other files needs none, so that the fingerprints of such projects stay as they are."""
    root = make_project(
        {
            "runs/.gitkeep": "",
            "logs/deep/.gitignore": "*\n!.gitignore\n",
            "full/.gitkeep": "",
            "full/a.txt": "",
            "above/.gitkeep": "",
            "above/below/a.txt": "",
            ".gitkeep": "",
        }
    )

    assert paths(root) == ["above/below/a.txt", "full/a.txt", "logs/deep/.gitignore", "runs/.gitkeep"]


def test_a_placeholder_that_a_rule_leaves_out_keeps_no_folder(make_project: MakeProject) -> None:
    """The folders of tools hold a .gitignore that ignores itself."""
    root = make_project(
        {
            "tool/.gitignore": "*\n",
            "out/.gitkeep": "",
            "docker/.gitkeep": "",
            ".dockerignore": "docker/.gitkeep\n",
            "pyproject.toml": '[tool.vertex-training]\nexclude = ["/out/"]\n',
        }
    )

    assert paths(root) == []


def test_the_file_of_a_worktree_or_submodule_stays_out(make_project: MakeProject) -> None:
    """Git writes a file .git there, which points to a folder of this machine; include does not change that."""
    root = make_project(
        {
            ".git": "gitdir: /elsewhere\n",
            "lib/.git": "gitdir: ../.git/modules/lib\n",
            "lib/a.py": "",
            "pyproject.toml": '[tool.vertex-training]\ninclude = ["/lib/", ".git"]\n',
        }
    )

    assert paths(root) == ["lib/a.py"]
