"""The Python interpreters of a machine, made of scripts that answer as they do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from prefect_vertex_training.core.host.pythons import find_python, own_python

OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(autouse=True)
def _bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any Python: an empty home, and an empty PATH."""
    (tmp_path / "bin").mkdir()
    for name in ("PYENV_ROOT", "ASDF_DATA_DIR", "MISE_DATA_DIR", "VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def python(path: Path, answer: str) -> Path:
    """A program that prints `answer`, as an interpreter answers the question for its version and path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(0o755)
    return path


def answering(path: Path, version: str) -> Path:
    """An interpreter of that version."""
    return python(path, f"echo {version}; echo {path}")


@pytest.mark.parametrize(
    "place",
    [
        "bin/python3.9",
        ".pyenv/versions/3.9.18/bin/python3.9",
        ".asdf/installs/python/3.9.1/bin/python3.9",
        ".local/share/mise/installs/python/3.9.20/bin/python3.9",
    ],
)
def test_where_pythons_lie(tmp_path: Path, place: str) -> None:
    """On the PATH, and where version managers keep those that are not selected."""
    wanted = answering(tmp_path / place, "3.9")

    assert find_python("3.9") == wanted


def test_a_shim_that_starts_none_is_passed_over(tmp_path: Path) -> None:
    """Such as pyenv's, which lies on the PATH for each version and fails unless that version is selected."""
    python(tmp_path / "bin/python3.9", "echo 'pyenv: python3.9: command not found' >&2; exit 127")
    answering(tmp_path / "bin/python3.9-other", "3.9")
    wanted = answering(tmp_path / ".pyenv/versions/3.9.18/bin/python3.9", "3.9")

    assert find_python("3.9") == wanted


def test_a_program_of_another_version_is_passed_over(tmp_path: Path) -> None:
    """A name proves nothing."""
    answering(tmp_path / "bin/python3.9", "3.8")

    assert find_python("3.9") is None


@pytest.mark.parametrize("text", ["", "3", "../3.9", "3.9; true", "3.999"])
def test_what_is_no_version_finds_none(text: str) -> None:
    """It is never part of a command."""
    assert find_python(text) is None


def test_this_python() -> None:
    """The program itself, not the link of a virtual environment, which may be removed."""
    assert own_python().name == f"python{OWN}"
    assert not own_python().is_symlink()
