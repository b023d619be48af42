"""The metadata of a project's own package."""

from __future__ import annotations

import subprocess
import sys

import pytest
from prefect_vertex_training.project.files.listing import scan
from prefect_vertex_training.project.files.own_metadata import with_own_metadata
from prefect_vertex_training.project.settings.settings import load

ASKS = "from importlib.metadata import version\nprint(version('my-pkg'))\n"


def added(project, cache):
    """The files that were added."""
    settings = load(project)
    listed = scan(project, settings)[0]
    return [file for file in with_own_metadata(listed, settings, cache) if file not in listed]


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({"pyproject.toml": '[project]\nname = "my-pkg"\nversion = "1.2"\n'}, "1.2"),
        ({"pyproject.toml": '[project]\nname = "My_Pkg"\ndynamic = ["version"]\n'}, "0"),
        ({"pyproject.toml": '[tool.poetry]\nname = "my-pkg"\nversion = "0.3.0"\n'}, "0.3.0"),
        ({"setup.cfg": "[metadata]\nname = my-pkg\nversion = attr: my.version\n"}, "0"),
        ({"setup.py": "from setuptools import setup\nsetup(name='my-pkg', version='4')\n"}, "4"),
    ],
)
def test_a_package_finds_its_own_version(make_project, tmp_path, files, version):
    """Where the code asks for it, Python finds the project's name and version beside the code."""
    project = make_project({"train.py": ASKS, **files}, name="asks")
    for file in added(project, tmp_path / "cache"):
        (project / file.path).parent.mkdir()
        (project / file.path).write_bytes(file.source.read_bytes())
    finished = subprocess.run([sys.executable, "train.py"], cwd=project, capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == version


def test_nothing_is_added_where_nobody_asks(make_project, tmp_path):
    """A project that reads no metadata, or is no package, keeps its files."""
    named = {"pyproject.toml": '[project]\nname = "my-pkg"\nversion = "1.2"\n'}
    assert added(make_project({"train.py": "print(1)\n", **named}, name="silent"), tmp_path / "cache") == []
    assert added(make_project({"train.py": ASKS}, name="nameless"), tmp_path / "cache") == []


def test_a_package_is_looked_at_where_its_version_usually_stands(make_project, tmp_path):
    """`__init__.py` of a package in src counts as well as the script."""
    files = {"src/my_pkg/__init__.py": ASKS, "pyproject.toml": '[project]\nname = "my-pkg"\nversion = "1.2"\n'}
    found = added(make_project({"train.py": "import my_pkg\n", **files}, name="package"), tmp_path / "cache")
    assert [file.path for file in found] == ["my_pkg-1.2.dist-info/METADATA"]
