"""The kept copy of a large project: always as a new one would be, whatever happened to it and to the project."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect_vertex_training.project.files.project_file import ProjectFile, project_file
from prefect_vertex_training.project.local_run.places.project_copy import KEPT_FROM, ProjectCopy


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project that is large enough for its copy to be kept."""
    folder = tmp_path / "project"
    for number in range(KEPT_FROM):
        path = folder / f"part{number % 7}" / f"module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"value = {number}\n")
    return folder


def listed(root: Path) -> list[ProjectFile]:
    """The project's files as they are now."""
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return [project_file(path.relative_to(root).as_posix(), str(path), path.stat()) for path in found]


def contents(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder; None stands for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


def copied(root: Path, tmp_path: Path, name: str) -> tuple[ProjectCopy, Path]:
    """A run's copy."""
    place = tmp_path / "shelf" / name / "project"
    place.parent.mkdir(parents=True)
    copy = ProjectCopy(root, place, tmp_path / "shelf")
    copy.make(listed(root), ["empty"])
    return copy, place


def rewritten_in_secret(place: Path) -> None:
    """Changes a file, but neither its size nor its time."""
    path = place / "part0" / "module0.py"
    before = path.stat()
    path.write_text("value = 9\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def linked_elsewhere(place: Path) -> None:
    """Replaces a folder by a link to one outside."""
    outside = place.parent / "outside"
    shutil.copytree(place / "part1", outside)
    (outside / "module1.py").write_text("other = 1\n")
    shutil.rmtree(place / "part1")
    (place / "part1").symlink_to(outside)


def file_to_folder(place: Path) -> None:
    """Replaces a file by a folder, and the other way round."""
    (place / "part2" / "module2.py").unlink()
    (place / "part2" / "module2.py" / "deep").mkdir(parents=True)
    shutil.rmtree(place / "part3")
    (place / "part3").write_text("file")


def left_output(place: Path) -> None:
    """Leaves what a script writes."""
    (place / "empty" / "runs").mkdir()
    (place / "empty" / "runs" / "model.bin").write_bytes(b"model")
    (place / "part0" / "__pycache__").mkdir()
    (place / "secret.txt").write_text("hush")


@pytest.mark.parametrize("happens", [rewritten_in_secret, linked_elsewhere, file_to_folder, left_output])
def test_what_a_script_did_to_its_copy_is_gone(root: Path, tmp_path: Path, happens: Callable[[Path], None]) -> None:
    """In the next run, and already while the copy is kept, where what the script wrote has no business."""
    first, place = copied(root, tmp_path, "first")
    untouched = (place / "part6" / "module6.py").stat().st_ino
    wanted = contents(place)

    happens(place)
    first.keep()
    (kept,) = (tmp_path / "shelf").glob("kept-*")
    left = contents(kept / "project")
    _, place = copied(root, tmp_path, "second")

    assert left.items() <= wanted.items()
    assert contents(place) == wanted
    assert (place / "part6" / "module6.py").stat().st_ino == untouched  # it was not copied again


def test_the_projects_changes_reach_the_next_copy(root: Path, tmp_path: Path) -> None:
    """Changed, new, removed and executable files."""
    first, _ = copied(root, tmp_path, "first")
    first.keep()
    (root / "part0" / "module0.py").write_text("value = 9\n")
    (root / "part1" / "module1.py").unlink()
    (root / "new").mkdir()
    (root / "new" / "train.py").write_text("print()\n")
    (root / "part2" / "module2.py").chmod(0o755)

    _, place = copied(root, tmp_path, "second")

    assert contents(place) == {**contents(root), "empty": None}
    assert os.access(place / "part2" / "module2.py", os.X_OK)


def test_runs_at_the_same_time_have_a_copy_each(root: Path, tmp_path: Path) -> None:
    """The second finds none, and what it changes is not seen by the first; one of both is kept."""
    copied(root, tmp_path, "before")[0].keep()
    first, one = copied(root, tmp_path, "first")
    second, other = copied(root, tmp_path, "second")
    (other / "part0" / "module0.py").write_text("")

    assert contents(one) == {**contents(root), "empty": None}
    first.keep()
    second.keep()
    _, place = copied(root, tmp_path, "third")
    assert contents(place) == {**contents(root), "empty": None}


@pytest.mark.parametrize("damage", [b"", b"[1]", b'{"a": 1}', b'{"part0/module0.py": [[], []]}', b"\xff"])
def test_a_damaged_record_is_no_record(root: Path, tmp_path: Path, damage: bytes) -> None:
    """The copy is made anew."""
    copied(root, tmp_path, "first")[0].keep()
    (record,) = (tmp_path / "shelf").glob("kept-*/files.json")
    record.write_bytes(damage)

    _, place = copied(root, tmp_path, "second")

    assert contents(place) == {**contents(root), "empty": None}
