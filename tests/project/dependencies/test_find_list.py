"""Every kind of list is read, and which one counts is decided by what is there or by choice."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import DependencyError
from prefect_vertex_training.project.dependencies import uv
from prefect_vertex_training.project.dependencies.find_list import read
from prefect_vertex_training.project.dependencies.freeze import freeze
from prefect_vertex_training.project.settings.settings import load

POETRY = """\
[[package]]
name = "joblib"
version = "1.3.2"
optional = false
python-versions = ">=3.7"
files = [
    {file = "joblib-1.3.2-py3-none-any.whl", hash = "sha256:aa"},
    {file = "joblib-1.3.2.tar.gz", hash = "sha256:bb"},
]

[[package]]
name = "Tool"
version = "0.1.0"
optional = false
python-versions = "*"
files = []

[package.source]
type = "git"
url = "https://example.com/o/tool.git"
reference = "main"
resolved_reference = "0123456789abcdef0123456789abcdef01234567"
subdirectory = "python"

[[package]]
name = "lib"
version = "2"
files = []

[package.source]
type = "directory"
url = "../lib"

[[package]]
name = "torch"
version = "2.1.0+cpu"
files = []

[package.source]
type = "legacy"
url = "https://example.com/whl/cpu"
reference = "torch"

[[package]]
name = "numpy"
version = "1.24.4"
markers = "python_version < '3.9'"
files = []

[[package]]
name = "numpy"
version = "1.26.4"
files = []

[metadata]
lock-version = "2.1"
python-versions = "^3.8"
"""
POETRY_PROJECT = """\
[tool.poetry.dependencies]
python = "^3.8"
Joblib = "^1.3"
numpy = [{version = "1.24.4", python = "<3.9"}, {version = "^1.26", python = ">=3.9"}]
tool = {git = "https://example.com/o/tool.git", branch = "main", extras = ["fast"]}
lib = {path = "../lib", develop = true}
torch = {version = "2.1.0+cpu", source = "torch", markers = "sys_platform == 'linux'", platform = "linux"}
plots = {version = "*", optional = true}

[tool.poetry.group.dev.dependencies]
pytest = "*"
"""
PYLOCK = """\
lock-version = "1.0"
created-by = "test"

[[packages]]
name = "joblib"
version = "1.3.2"
marker = "python_version >= '3.8'"
index = "https://example.com/simple"
sdist = { url = "https://example.com/joblib-1.3.2.tar.gz", hashes = { sha256 = "bb" } }
wheels = [{ url = "https://example.com/joblib-1.3.2-py3-none-any.whl", hashes = { sha256 = "aa" } }]

[[packages]]
name = "tool"
vcs = { type = "git", url = "https://example.com/tool", commit-id = "0123456789abcdef", subdirectory = "py" }

[[packages]]
name = "lib"
directory = { path = "libs/lib", editable = true }

[[packages]]
name = "local"
version = "1"
wheels = [{ path = "wheels/local-1-py3-none-any.whl", hashes = { sha256 = "cc" } }]

[[packages]]
name = "archived"
archive = { url = "https://example.com/archived-1-py3-none-any.whl", hashes = { sha256 = "dd" } }
"""


def listed(root: Path, **chosen):
    """The project's list."""
    return read(root, replace(load(root), **chosen))


def test_a_poetry_lock_holds_the_projects_dependencies_at_its_versions(make_project):
    """Main dependencies are asked for, every locked version is a limit; groups for development stay out."""
    root = make_project({"poetry.lock": POETRY, "pyproject.toml": POETRY_PROJECT})
    found = listed(root)

    assert [line.text for line in found.lines if not line.constraint] == [
        "joblib",
        "numpy ; (python_version < '3.9')",
        "numpy ; (python_version >= '3.9')",
        "tool[fast] @ git+https://example.com/o/tool.git@0123456789abcdef0123456789abcdef01234567#subdirectory=python",
        f"lib @ {(root / '../lib').resolve().as_uri()}",
        "torch ; (sys_platform == 'linux') and sys_platform == 'linux'",
    ]
    assert [line.text for line in found.lines if line.constraint] == ["joblib==1.3.2", "torch==2.1.0+cpu"]
    assert found.lines[0].place == "poetry.lock:2"
    assert found.options == ("--extra-index-url https://example.com/whl/cpu",)
    assert found.hashes == {"joblib": {"aa", "bb"}}
    assert found.notes == ("numpy is locked in several versions: the newest suitable one is used",)


def test_a_poetry_lock_of_a_project_table(make_project):
    """Poetry 2 reads `[project]`; the older place of hashes is known too."""
    old = '[[package]]\nname = "a"\nversion = "1"\n[metadata.files]\na = [{file = "a", hash = "sha256:00"}]\n'
    table = '[project]\nname = "x"\nversion = "1"\ndependencies = ["a (>=1,<2)"]\n'
    found = listed(make_project({"poetry.lock": old, "pyproject.toml": table}))

    assert [(line.text, line.constraint) for line in found.lines] == [("a (>=1,<2)", False), ("a==1", True)]
    assert found.hashes == {"a": {"00"}}


def test_a_pylock_is_read_from_where_it_has_each_package(make_project):
    """Releases by version and hash; repositories by commit, folders and wheels of the project by path."""
    root = make_project({"pylock.toml": PYLOCK}).resolve()
    found = listed(root)

    assert [line.text for line in found.lines] == [
        'joblib==1.3.2 ; python_version >= "3.8"',
        "tool @ git+https://example.com/tool@0123456789abcdef#subdirectory=py",
        f"lib @ {root.as_uri()}/libs/lib",
        f"local @ {root.as_uri()}/wheels/local-1-py3-none-any.whl",
        "archived @ https://example.com/archived-1-py3-none-any.whl",
    ]
    assert found.options == ("--extra-index-url https://example.com/simple",)
    assert found.hashes == {"joblib": {"aa", "bb"}, "local": {"cc"}, "archived": {"dd"}}
    assert found.lines[1].place == "pylock.toml:13"


def test_a_uv_lock_is_exported_as_it_stands(make_project, wheelhouse, tmp_path):
    """Versions stay though newer ones exist; development's groups and the project itself stay out."""
    for name in ("main", "low", "dev"):
        wheelhouse.add(name, "1")
    table = (
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["main"]\n'
        '[dependency-groups]\ndev = ["dev"]\n'
    )
    root = make_project({"pyproject.toml": table})
    finished = uv.run(["lock", "--find-links", str(wheelhouse.folder)], cwd=root)
    assert finished.returncode == 0, finished.stderr
    wheelhouse.add("main", "2")
    found = listed(root)

    assert (found.method, [line.text for line in found.lines]) == ("uv.lock", ["main==1"])
    lines = (root / "uv.lock").read_text().splitlines()
    assert lines[found.lines[0].number - 1] == 'name = "main"'
    assert freeze(root, load(root), cache=tmp_path / "cache").packages == (("main", "1"),)


def test_the_environment_is_frozen_as_it_is(make_project, wheelhouse, tmp_path, monkeypatch):
    """What is installed in the project's own Python, pinned."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    wheelhouse.add("tiny", "1")
    root = make_project({"requirements.txt": "other\n"})
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    installed = uv.run(["pip", "install", "--python", str(root / ".venv/bin/python"), "tiny==1"], cwd=root)
    assert installed.returncode == 0, installed.stderr
    wheelhouse.add("tiny", "2")
    settings = replace(load(root), freeze="environment")
    found = freeze(root, settings, cache=tmp_path / "cache")

    assert (found.packages, found.method) == ((("tiny", "1"),), "environment")
    assert found.notes[0] == f"frozen from {root}/.venv/bin/python"
    with pytest.raises(DependencyError, match=r"is Python 3\.\d+, and the project wants 3\.98.*Set python"):
        read(root, replace(settings, python="3.98"))


PROJECT = '[project]\nname = "x"\nversion = "1"\ndependencies = ["p"]\n'


def test_what_is_there_decides_and_a_choice_decides_over_it(make_project):
    """Locks before lists, lists before conda's files; `requirements` and `freeze` name one."""
    files = {
        "pylock.toml": PYLOCK,
        "poetry.lock": '[[package]]\nname = "p"\nversion = "1"\n',
        "requirements.txt": "r\n",
        "pyproject.toml": PROJECT,
        "environment.yml": "dependencies: [c]\n",
    }
    root = make_project({**files, "deps.txt": "d\n"})
    seen = []
    for name in files:
        seen.append(listed(root).method)
        assert listed(root, freeze="conda").method == "environment.yml"
        if name != "pyproject.toml":
            (root / name).unlink()
        else:
            (root / name).write_text("")

    assert seen == list(files)
    assert listed(root, requirements="deps.txt").method == "deps.txt"
    assert listed(root).lines == ()


@pytest.mark.parametrize(
    "method", ["uv.lock", "pylock.toml", "poetry.lock", "requirements.txt", "pyproject.toml", "conda"]
)
def test_a_chosen_list_must_be_there(make_project, method):
    """The way to make it is told."""
    with pytest.raises(DependencyError, match=f"nothing to freeze as {method} .*(Create it|List the dependencies)"):
        listed(make_project(), freeze=method)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("poetry.lock", "{", "not valid TOML"),
        ("pylock.toml", "lock-version = 3", "can't be read"),
        ("uv.lock", "version = 1", "has no pyproject.toml beside it"),
    ],
)
def test_a_broken_lock_is_one_line(make_project, file, text, message):
    """The file is named, with what makes it again."""
    with pytest.raises(DependencyError, match=message) as caught:
        listed(make_project({file: text}))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("line", "noted"), [("-e .", False), (".[train]  # own", False), ("./lib", True)])
def test_a_list_that_names_the_project_uses_its_own_list(make_project, line, noted):
    """pyproject.toml is not called unused where requirements.txt says -e ."""
    own = '[project]\nname = "x"\nversion = "1"\ndependencies = ["six"]\n'
    root = make_project({"requirements.txt": f"{line}\n", "pyproject.toml": own, "lib/setup.py": ""}, name="itself")
    assert any("pyproject.toml" in note for note in read(root, load(root)).notes) == noted
