"""The wheel and the source distribution are whole, and hold nothing else."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from fixtures.suite.module_graph import PACKAGE, ROOT, top_level_folders

UV = Path(sys.executable).with_name("uv")
NOT_THE_SOURCE = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".cache", ".hypothesis"
)
"""What lies in a work tree without being part of the project."""

STALE = Path("build", "lib", PACKAGE, "stale.py")
"""A module that an earlier build left behind."""

FOR_DEVELOPERS = ("benchmarks", "docs", "examples", "tests", "build")
"""Folders at the root that are no part of the package."""


@dataclass(frozen=True)
class Distributions:
    """What was built from a copy of this tree.

    Attributes:
        tree: The copy.
        sdist: The source distribution.
        wheel: The wheel that was built from the source distribution.
        wheel_of_tree: The wheel that was built from the tree.
    """

    tree: Path
    sdist: Path
    wheel: Path
    wheel_of_tree: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """The distributions, built without a network by the setuptools of this environment."""
    folder = tmp_path_factory.mktemp("distributions")
    tree = Path(shutil.copytree(ROOT, folder / "tree", ignore=NOT_THE_SOURCE))
    build(tree, folder / "from-tree", "--wheel")
    stale = tree / STALE
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.write_text('"""Not in the tree."""\n')
    build(tree, folder / "from-sdist")
    (sdist,) = (folder / "from-sdist").glob("*.tar.gz")
    (wheel,) = (folder / "from-sdist").glob("*.whl")
    (wheel_of_tree,) = (folder / "from-tree").glob("*.whl")
    return Distributions(tree, sdist, wheel, wheel_of_tree)


def build(tree: Path, out: Path, *args: str) -> None:
    """Runs `uv build`; without arguments it makes the source distribution, and the wheel from that."""
    command = [UV, "build", *args, "--offline", "--no-build-isolation", "--python", sys.executable, "--out-dir", out]
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    finished = subprocess.run([*command, tree], env=env, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def package_files(tree: Path) -> set[str]:
    """Every file that belongs to the package, by its path in the wheel."""
    paths = [*tree.glob("*.py"), tree / "py.typed"]
    paths += [path for folder in top_level_folders() for path in (tree / folder).rglob("*") if path.is_file()]
    return {f"{PACKAGE}/{path.relative_to(tree).as_posix()}" for path in paths}


def test_the_wheel_holds_the_package_and_nothing_else(built: Distributions) -> None:
    """Each module and data file of the tree; no tests, no documents, nothing that an earlier build left."""
    names = set(zipfile.ZipFile(built.wheel).namelist())
    metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}

    assert package_files(built.tree) == names - metadata
    assert {name.split("/", 1)[1] for name in metadata} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
        "top_level.txt",
    }


def test_both_ways_to_a_wheel_give_the_same_bytes(built: Distributions) -> None:
    """Whoever builds from the source distribution gets what was built from the tree."""
    assert built.wheel.read_bytes() == built.wheel_of_tree.read_bytes()


def test_the_source_distribution_holds_the_whole_project(built: Distributions) -> None:
    """With tests, documents, pins and checks, so that its users can build, test and change it."""
    with tarfile.open(built.sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    tree = {path.relative_to(built.tree).as_posix() for path in built.tree.rglob("*") if path.is_file()}
    generated = {"PKG-INFO", "setup.cfg"}
    not_packed = {name for name in tree if re.match(r"build/|[^/]+\.egg-info/", name)}

    assert {name for name in names if ".egg-info/" not in name} == (tree - not_packed) | generated


def test_metadata_is_complete(built: Distributions) -> None:
    """An installer and a package index learn license, types and supported Pythons."""
    with zipfile.ZipFile(built.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(wheel.read(name))

    assert (metadata["License-Expression"], metadata["License-File"]) == ("Apache-2.0", "LICENSE")
    assert metadata["Requires-Python"] == "<3.14,>=3.11"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert "retryable Prefect tasks" in metadata["Summary"]


@pytest.fixture(scope="session")
def installed(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel alone."""
    folder = tmp_path_factory.mktemp("installed")
    for command in (
        [UV, "venv", "--quiet", "--offline", "--python", sys.executable, folder / "venv"],
        [UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", folder / "venv", built.wheel],
    ):
        subprocess.run(command, check=True)
    return folder / "venv" / "bin" / "python"


def run(python: Path, *args: str | Path, dependencies: bool = False) -> str:
    """Runs the Python of that environment, and returns what it prints.

    Args:
        python: From `installed`.
        args: Its arguments.
        dependencies: Whether it finds the dependencies that are installed here. The package's own editable install is
            not found: `PYTHONPATH` ignores `.pth` files.
    """
    env = {
        **os.environ,
        "PYTHONPATH": sysconfig.get_path("purelib") if dependencies else "",
        "PYTHONWARNINGS": "ignore",
    }
    command = [python, *args]
    finished = subprocess.run(command, env=env, cwd=python.parent, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_what_is_installed_can_be_used(installed: Path) -> None:
    """The command line of the wheel starts, and finds its modules and data files in the wheel."""
    code = f"import {PACKAGE}; print({PACKAGE}.__path__[0])"
    folder = Path(run(installed, "-c", code).strip())

    assert folder.is_relative_to(installed.parents[1])
    assert (folder / "deployments" / "automations" / "notify-on-failure.yaml").is_file()
    assert "train" in run(installed, installed.with_name("vertex-training"), "--help", dependencies=True)


def test_tests_and_documents_are_not_importable(installed: Path) -> None:
    """The root maps to the package, so every folder at the root could slip in."""
    code = (
        "import importlib.util as util\n"
        f"print([name for name in {FOR_DEVELOPERS} if util.find_spec('{PACKAGE}.' + name) or util.find_spec(name)])"
    )

    assert run(installed, "-c", code).strip() == "[]"


def test_an_editable_install_is_this_tree() -> None:
    """The tests run against the working tree."""
    import prefect_vertex_training

    assert Path(prefect_vertex_training.__file__ or "").parent == ROOT
