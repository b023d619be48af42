"""The folders of a project's own modules."""

from __future__ import annotations

import tomllib

import pytest
from prefect_vertex_training.project.settings.import_path import import_path


def found(folder, files, script="train.py", document=""):
    """The folders for a project of these files."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return import_path(folder, tomllib.loads(document), script).get("PYTHONPATH", "").split(":")


@pytest.mark.parametrize(
    "document",
    [
        '[tool.setuptools.packages.find]\nwhere = ["lib"]',
        '[tool.setuptools]\npackage-dir = {"" = "lib"}',
        '[tool.setuptools]\npackage-dir = {pkg = "lib/pkg"}',
        '[[tool.poetry.packages]]\ninclude = "pkg"\nfrom = "lib"',
        '[tool.pdm.build]\npackage-dir = "lib"',
        '[tool.hatch.build.targets.wheel]\npackages = ["lib/pkg"]',
        '[tool.hatch.build.targets.wheel]\nsources = ["lib"]',
        '[tool.uv.build-backend]\nmodule-root = "lib"',
        '[tool.maturin]\npython-source = "lib"',
    ],
)
def test_a_build_says_where_its_packages_are(tmp_path, document):
    """Each tool's own key is understood: the image has the code and does not install it."""
    assert found(tmp_path, {"lib/pkg/__init__.py": ""}, document=document) == ["lib"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("setup.py", "setup(package_dir={'': 'lib'})"),
        ("setup.py", 'setup(packages=find_packages("lib"))'),
        ("setup.py", "setup(packages=find_packages(where='lib'))"),
        ("setup.cfg", "[options]\npackage_dir =\n    = lib\n"),
        ("setup.cfg", "[options.packages.find]\nwhere = lib\n"),
    ],
)
def test_older_files_of_setuptools_say_it_too(tmp_path, file, text):
    """setup.py and setup.cfg."""
    assert found(tmp_path, {"lib/pkg/__init__.py": "", file: text}) == ["lib"]


def test_a_folder_that_is_no_part_of_the_project_is_left_out(tmp_path):
    """Folders that don't exist, absolute ones and those above are no places of the image."""
    document = '[tool.setuptools.packages.find]\nwhere = ["gone", "/usr", "..", "."]'
    assert found(tmp_path, {"train.py": ""}, document=document) == [""]


def test_values_of_another_form_are_left_to_the_tool_that_reads_them(tmp_path):
    """A table of another tool that is wrong stops no run."""
    assert found(tmp_path, {}, document='[tool]\nsetuptools = 1\npoetry = {packages = "x"}\npdm = []') == [""]


def test_a_script_in_a_folder_finds_the_projects_own_packages(tmp_path):
    """trainer/task.py imports trainer, src/train.py imports src, as with PYTHONPATH=. in many a Makefile."""
    assert found(tmp_path, {"src/train.py": ""}, "src/train.py") == ["src", "."]
    assert found(tmp_path, {"src/pkg/__init__.py": ""}, "scripts/train.py") == [".", "src"]
    (tmp_path / "src" / "__init__.py").touch()
    assert found(tmp_path, {}, "src/models/train.py") == ["."]
