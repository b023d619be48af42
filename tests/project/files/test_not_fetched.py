"""Files that git has not fetched: Git LFS pointers and empty submodules stop a run before anything is built."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.project.files.lfs_pointer import is_pointer
from prefect_vertex_training.project.snapshot import Project

MakeProject = Callable[[Mapping[str, str]], Path]

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d7a' * 16}\nsize 12345\n"
SUBMODULE = '[submodule "lib"]\n\tpath = third_party/lib\n\turl = https://example.com/lib.git\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (POINTER, True),
        (POINTER.replace("git-lfs.github.com", "hawser.github.com"), True),
        (POINTER.replace("oid", f"ext-0-foo sha256:{'ab' * 32}\noid"), True),
        (POINTER.replace("\n", "\r\n"), True),
        (f"A pointer looks like this:\n{POINTER}", False),
        (f"{POINTER}That was a pointer.\n", False),
        ("version https://git-lfs.github.com/spec/v1\n", False),
        (POINTER + " " * 1024, False),
        ("", False),
    ],
)
def test_what_is_a_pointer(text: str, expected: bool) -> None:
    """Pointers of all versions, with extensions and with Windows' line ends; no text that quotes one."""
    assert is_pointer(text.encode()) is expected


def test_pointers_stop_the_run_each_time(make_project: MakeProject, tmp_path: Path) -> None:
    """The second run reads nothing, because no file has changed, and stops as well; the real file is accepted."""
    root, home = make_project({"data/a.bin": POINTER, "data/b.bin": POINTER}), Home(tmp_path / "home")

    for _ in range(2):
        with pytest.raises(ProjectError, match=r"data/a\.bin and 1 more are Git LFS pointers.*git lfs pull") as raised:
            Project.open(root, home)
        assert raised.value.detail == "data/a.bin\ndata/b.bin"
    (root / "data/a.bin").write_bytes(b"\0" * 12345)
    (root / "pyproject.toml").write_text('[tool.vertex-training]\nexclude = ["b.bin"]\n')
    assert [file.path for file in Project.open(root, home).files] == ["data/a.bin", "pyproject.toml", "train.py"]


def test_an_empty_submodule_stops_the_run(make_project: MakeProject, tmp_path: Path) -> None:
    """Whether its folder is missing, empty or holds git's own file; files in it, or a rule, let the run go on."""
    root, home = make_project({".gitmodules": SUBMODULE}), Home(tmp_path / "home")
    lib = root / "third_party/lib"

    _refused(root, home, "third_party/lib")
    lib.mkdir(parents=True)
    _refused(root, home, "third_party/lib")
    (lib / ".git").write_text("gitdir: ../../.git/modules/lib\n")
    _refused(root, home, "third_party/lib")
    (root / ".gitignore").write_text("third_party/\n")
    Project.open(root, home)
    (root / ".gitignore").unlink()
    (lib / "a.py").touch()
    Project.open(root, home)


def test_submodules_of_submodules_and_of_the_folder_above_count(make_project: MakeProject, tmp_path: Path) -> None:
    """A project below the repository's top knows its own submodules there, and not those beside it."""
    root, home = make_project({"lib/.gitmodules": SUBMODULE, "lib/a.py": ""}), Home(tmp_path / "home")
    beside = SUBMODULE.replace("third_party/lib", "beside")
    (root.parent / ".gitmodules").write_text(f"{beside}{SUBMODULE.replace('third_party', root.name)}")

    _refused(root, home, "lib/third_party/lib")


def test_a_submodule_that_was_removed_is_not_missed(make_project: MakeProject, tmp_path: Path) -> None:
    """Git's index has it no longer, though .gitmodules does; one that the index has stops the run."""
    root, home = make_project({".gitmodules": SUBMODULE}), Home(tmp_path / "home")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    Project.open(root, home)

    entry = f"160000,{'1' * 40},third_party/lib"
    subprocess.run(["git", "-C", str(root), "update-index", "--add", "--cacheinfo", entry], check=True)

    _refused(root, home, "third_party/lib")


def _refused(root: Path, home: Home, path: str) -> None:
    with pytest.raises(ProjectError, match="git submodule update --init --recursive") as raised:
        Project.open(root, home)
    assert str(raised.value.detail) == path
