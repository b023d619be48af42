"""The kept code of an earlier replica saves time, and never changes what the next replica sees."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures.suite.hypothesis_profile import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import TrainingError
from prefect_vertex_training.local_vertex.execution.process import code_folder
from prefect_vertex_training.local_vertex.execution.process.code_folder import CodeFolder, NotOnlyCode
from prefect_vertex_training.local_vertex.execution.replica.image import Image
from prefect_vertex_training.local_vertex.execution.replica.image import Images as ImageFinder


@pytest.fixture(autouse=True)
def small_folders_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few files are enough."""
    monkeypatch.setattr(code_folder, "KEPT_FROM", 1)


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests of the layers that were unpacked."""
    digests: list[str] = []
    real = code_folder.unpack_layer

    def spy(source: Any, layer: Any, *rest: Any) -> None:
        digests.append(layer.digest)
        real(source, layer, *rest)

    monkeypatch.setattr(code_folder, "unpack_layer", spy)
    return digests


def test_only_other_layers_and_those_with_changed_files_are_unpacked(
    images: Any, unpacked: list[str], tmp_path: Path
) -> None:
    """The rest is taken from the folder of the job before."""
    data, more, old, new = [("app/data/", None), ("app/data/1", b"1")], [("app/more", b"2")], b"old", b"new"
    first, second = (found(images, [data, more, [("app/train.py", text)]]) for text in (old, new))
    code = unpack(first, tmp_path / "first", tmp_path / "kept")
    (code / "more").write_text("changed")
    (code / "model.pt").write_bytes(b"model")
    (code / "data" / "cache").mkdir()
    CodeFolder(code, tmp_path / "kept").keep()
    kept = tree(tmp_path / "kept" / "code")
    unpacked.clear()
    code = unpack(second, tmp_path / "second", tmp_path / "kept")

    assert {path: facts[1] for path, facts in kept.items()} == {"data": "", "data/1": "1", "train.py": "old"}
    assert unpacked == [second.layers[1].digest, second.layers[2].digest]
    assert tree(code) == tree(unpack(second, tmp_path / "fresh", tmp_path / "none"))


@pytest.mark.parametrize(
    "change", [lambda code: rewritten(code / "data" / "1"), lambda code: (code / "data").chmod(0o700)]
)
def test_a_change_that_hides_itself_is_noticed(images: Any, tmp_path: Path, change: Callable[[Path], object]) -> None:
    """A file of the same size and time, and the permissions of a folder."""
    image, kept = found(images, [[("app/data/", None), ("app/data/1", b"1")]]), tmp_path / "kept"
    code = unpack(image, tmp_path / "one", kept)
    before = tree(code)
    change(code)
    CodeFolder(code, kept).keep()

    assert tree(unpack(image, tmp_path / "two", kept)) == before


def test_one_folder_is_kept_and_used_once(images: Any, unpacked: list[str], tmp_path: Path) -> None:
    """Replicas that run at the same time each have their own."""
    image, kept = found(images, [[("app/train.py", b"x")]]), tmp_path / "kept"
    one, two = unpack(image, tmp_path / "one", kept), unpack(image, tmp_path / "two", kept)
    CodeFolder(one, kept).keep()
    CodeFolder(two, kept).keep()
    unpack(image, tmp_path / "three", kept)
    unpack(image, tmp_path / "four", kept)

    assert len(unpacked) == 3
    assert not one.exists()


def test_a_damaged_record_is_not_believed(images: Any, unpacked: list[str], tmp_path: Path) -> None:
    """All layers are unpacked."""
    image, kept = found(images, [[("app/train.py", b"x")]]), tmp_path / "kept"
    CodeFolder(unpack(image, tmp_path / "one", kept), kept).keep()
    record = kept / "files.json"
    record.write_bytes(record.read_bytes().replace(b"train", b"brain"))
    code = unpack(image, tmp_path / "two", kept)

    assert len(unpacked) == 2
    assert (code / "train.py").read_bytes() == b"x"


NAMES = ["a", "a/b", "d", ".wh.a", "d/.wh..wh..opq"]
LAYER = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from(["file", "file", "folder", "link"]), min_size=1, max_size=3
)


def replaced(path: Path) -> None:
    """A file in the place of what was there."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    path.write_text("1")


def linked(path: Path) -> None:
    """A link in the place of what was there."""
    replaced(path)
    path.unlink()
    path.symlink_to("d")


def rewritten(path: Path) -> None:
    """The same size and time, another content."""
    status = path.stat()
    path.write_bytes(b"?" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: list[Callable[[Path], object]] = [replaced, linked, rewritten, lambda path: path.chmod(0o700)]


@settings(max_examples=examples(150))
@given(
    layers=st.lists(LAYER, min_size=3, max_size=3),
    before=st.sampled_from([[0, 1], [0, 1, 2]]),
    after=st.permutations([0, 1, 2]),
    count=st.integers(1, 3),
    changes=st.lists(st.tuples(st.sampled_from(["a", "a/b", "d"]), st.sampled_from(CHANGES)), max_size=2),
)
def test_a_replica_sees_what_its_image_holds(
    images: Any,
    tmp_path_factory: pytest.TempPathFactory,
    layers: list[dict[str, str]],
    before: list[int],
    after: list[int],
    count: int,
    changes: list[tuple[str, Callable[[Path], object]]],
) -> None:
    """Whatever the layers of two images are, and whatever the first one's job changes in its folder."""
    folder = tmp_path_factory.mktemp("code")
    entries = [[entry(path, kind, str(i)) for path, kind in layer.items()] for i, layer in enumerate(layers)]
    first, second = (found(images, [entries[i] for i in chosen]) for chosen in (before, after[:count]))
    kept = folder / "kept"
    if isinstance(code := attempt(first, folder / "first", kept), Path):
        for path, change in changes:
            try:
                change(code / path)
            except OSError:
                continue  # nothing is there, or a link to nothing
        CodeFolder(code, kept).keep()

    expected = attempt(second, folder / "fresh", folder / "none")
    result = attempt(second, folder / "second", kept)

    assert isinstance(result, Path) == isinstance(expected, Path)
    if isinstance(result, Path) and isinstance(expected, Path):
        assert tree(result) == tree(expected)


def found(images: Any, layers: Any) -> Image:
    """An image of these layers, whose working directory is /app."""
    return ImageFinder().find(images.image(layers, WorkingDir="/app"))


def unpack(image: Image, place: Path, kept: Path) -> Path:
    """The folder with the image's code, in a job's folder."""
    place.mkdir()
    CodeFolder(place / "code", kept).unpack(image, image.layers)
    return place / "code"


def attempt(image: Image, place: Path, kept: Path) -> Path | Exception:
    """The folder, or why there is none."""
    try:
        return unpack(image, place, kept)
    except (TrainingError, NotOnlyCode) as error:
        return error


def entry(path: str, kind: str, content: str) -> Any:
    """An entry of a layer."""
    if kind == "link":
        member = tarfile.TarInfo(f"app/{path}")
        member.type, member.linkname = tarfile.SYMTYPE, "d"
        return member
    return (f"app/{path}/", None) if kind == "folder" else (f"app/{path}", content.encode())


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """What is in a folder: permissions, and the content of a file or the target of a link, by path."""
    return {
        path.relative_to(folder).as_posix(): (
            stat.S_IMODE(path.lstat().st_mode),
            str(path.readlink()) if path.is_symlink() else "" if path.is_dir() else path.read_text(),
        )
        for path in sorted(folder.rglob("*"))
    }
