import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.suite.hypothesis_profile import examples
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.project.files import contents
from prefect_vertex_training.project.files.fingerprint import fingerprint
from prefect_vertex_training.project.files.listing import list_files
from prefect_vertex_training.project.files.project_file import ProjectFile
from prefect_vertex_training.project.settings.settings import load

NAMES = st.text("ab.é", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."})
TREES = st.dictionaries(NAMES, st.tuples(st.binary(max_size=5), st.booleans()), max_size=5)


def write(root: Path, tree: dict[str, tuple[bytes, bool]]) -> tuple[ProjectFile, ...]:
    """Writes a tree and lists it."""
    files = []
    for name, (content, executable) in tree.items():
        (root / name).write_bytes(content)
        files.append(ProjectFile(name, root / name, len(content), executable))
    return tuple(files)


@pytest.fixture
def project(make_project):
    """The settings of a bare project."""
    return load(make_project())


@hypothesis_settings(max_examples=examples(80))
@given(TREES, TREES)
def test_equal_exactly_when_the_content_is(tmp_path_factory, project, one, other):
    """Two trees have one fingerprint if, and only if, paths, bytes and executable bits are equal."""
    first = fingerprint(write(tmp_path_factory.mktemp("one"), one), project)
    second = fingerprint(write(tmp_path_factory.mktemp("other"), other)[::-1], project)

    assert (one == other) == (first == second)


PLACES = st.tuples(
    st.integers(0, 0o77), st.integers(0, 2**31), st.permutations(range(5)), st.sampled_from(["a", "x y", "é"])
)
"""A umask's bits, a time, an order and a folder's name."""


@given(st.dictionaries(NAMES, st.tuples(st.binary(max_size=5), st.booleans()), min_size=5, max_size=5), PLACES)
def test_place_umask_time_and_order_play_no_part(tmp_path_factory, tree, place):
    """The same tree, written elsewhere under another umask, at another time, in another order, from its own listing."""
    umask, moment, order, name = place
    root = tmp_path_factory.mktemp("one")
    other = tmp_path_factory.mktemp("other") / name
    other.mkdir()
    before = os.umask(umask)
    try:
        for folder, names in ((root, list(tree)), (other, [list(tree)[place] for place in order])):
            for file in names:
                content, executable = tree[file]
                (folder / file).write_bytes(content)
                (folder / file).chmod((0o777 if executable else 0o666) & ~(umask if folder is other else 0o22))
    finally:
        os.umask(before)
    for folder in (root, other):
        (folder / "train.py").write_text("")
    for path in other.iterdir():
        os.utime(path, (moment, moment))

    one, two = ((folder, replace(load(folder), include=("*",))) for folder in (root, other))

    assert fingerprint(list_files(*one), one[1]) == fingerprint(list_files(*two), two[1])


@given(st.dictionaries(NAMES, st.binary(min_size=1, max_size=5), min_size=1, max_size=4), st.data())
def test_any_byte_changes_it_and_changing_back_restores_it(tmp_path_factory, project, tree, data):
    """With the cache at work: edit one byte, keep size and mtime, and the fingerprint still differs."""
    root, cache = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("cache")
    write(root, {name: (content, False) for name, content in tree.items()})
    own = replace(project, root=root, script=next(iter(tree)), allow_secrets=("*",), include=("*",))
    name = data.draw(st.sampled_from(sorted(tree)))
    position = data.draw(st.integers(0, len(tree[name]) - 1))
    changed = bytearray(tree[name])
    changed[position] ^= 1

    def now() -> str:
        later = time.time_ns() + 10**10
        return fingerprint(list_files(root, own), own, cache=cache, clock=lambda: later)

    first = now()
    status = (root / name).stat()
    (root / name).write_bytes(changed)
    os.utime(root / name, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = now()
    (root / name).write_bytes(tree[name])

    assert second != first
    assert first == now()


def test_place_owner_and_times_play_no_part(make_project, tmp_path):
    """A copy elsewhere, with other times and a stricter umask, has the same fingerprint."""
    root = make_project({"pkg/a.py": "1", "run.sh": "x"})
    (root / "run.sh").chmod(0o755)
    copy = tmp_path / "elsewhere" / "demo"
    shutil.copytree(root, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700 if path.is_dir() or path.name == "run.sh" else 0o600)

    assert fingerprint(list_files(root, load(root)), load(root)) == fingerprint(
        list_files(copy, load(copy)), load(copy)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"script": "other.py"},
        {"python": "3.9"},
        {"base": "python:3.12"},
        {"directories": ("x",)},
        {"env": {"A": "1"}},
        {"outputs": ("out/*",)},
    ],
)
def test_settings_that_shape_the_image_count(project, change):
    """Script, Python, base, directories and environment change it; limits and names don't."""
    assert fingerprint((), project) != fingerprint((), replace(project, **change))
    assert fingerprint((), project) == fingerprint((), replace(project, verify_timeout=1.0, name="x"))


def test_extra_facts_count(project):
    """The lock's and the base's digests are part of it, each under its name."""
    seen = {fingerprint((), project, extra) for extra in ({}, {"a": "1"}, {"b": "1"}, {"a": "1", "b": "1"})}

    assert len(seen) == 4


def test_unchanged_files_are_not_read_again(make_project, tmp_path, monkeypatch):
    """The second fingerprint opens none of the project's files."""
    root = make_project({"a.py": "1"})
    settings = load(root)
    files = list_files(root, settings)
    later = time.time_ns() + 10**10
    first = fingerprint(files, settings, cache=tmp_path, clock=lambda: later)
    monkeypatch.setattr("prefect_vertex_training.project.files.contents._read", lambda file, *_: pytest.fail(file.path))

    assert first == fingerprint(list_files(root, settings), settings, cache=tmp_path, clock=lambda: later)


def test_a_file_touched_just_now_is_read_again(make_project, tmp_path):
    """Within 2 s a file can change under the same time stamps; its hash is not kept."""
    root = make_project({"a.py": "1"})
    settings = load(root)
    files = list_files(root, settings)
    fingerprint(files, settings, cache=tmp_path)

    assert all("a.py" not in store.read_text() for store in tmp_path.rglob("contents/*.json"))


def test_one_unsettled_file_is_read_again_and_no_other(make_project, tmp_path, monkeypatch):
    """Beside a file that may still change under its time stamps, the settled ones stay known."""
    root = make_project({"a.py": "1", "b.py": "2"})
    settings = load(root)
    later = time.time_ns() + 10**10
    os.utime(root / "a.py", ns=(later, later))
    first = fingerprint(list_files(root, settings), settings, cache=tmp_path, clock=lambda: later)
    read, seen = contents._read, []
    monkeypatch.setattr(contents, "_read", lambda file, *others: seen.append(file.path) or read(file, *others))

    assert first == fingerprint(list_files(root, settings), settings, cache=tmp_path, clock=lambda: later)
    assert seen == ["a.py"]


def test_an_executable_bit_counts_with_the_cache_too(make_project, tmp_path):
    """A file that only became executable gives another fingerprint, and the old one when it is none again."""
    root = make_project({"a.py": "1"})
    settings = load(root)
    seen = []
    for mode in (0o644, 0o755, 0o644):
        (root / "a.py").chmod(mode)
        files = list_files(root, settings)
        seen += [fingerprint(files, settings, cache=tmp_path, clock=lambda: 10**20) for _ in range(2)]

    assert seen[:2] == seen[4:] != seen[2:4]
    assert seen[2] == seen[3]


def test_many_files_are_read_in_their_order(make_project, tmp_path):
    """A changed file among many gets its own hash, and the first one that is missing is the one named."""
    root = make_project({f"part/{number:03}.py": str(number) for number in range(250)})
    settings = load(root)
    files = list_files(root, settings)
    whole = fingerprint(files, settings, cache=tmp_path, clock=lambda: 10**20)
    (root / "part" / "150.py").write_text("0")
    (root / "part" / "150.py").write_text("150")

    assert whole == fingerprint(list_files(root, settings), settings, cache=tmp_path, clock=lambda: 10**20)
    for number in (249, 30, 120):
        (root / "part" / f"{number:03}.py").unlink()
    with pytest.raises(ProjectError, match=r"can't read part/030\.py: No such file"):
        fingerprint(files, settings)


@pytest.mark.parametrize("damage", [b"", b"[]", b"{", b'{"train.py": 3}', b"\xff"])
def test_a_damaged_cache_is_ignored(make_project, tmp_path, damage):
    """Whatever the cache holds, the fingerprint is right."""
    root = make_project({"a.py": "1"})
    settings = load(root)
    files = list_files(root, settings)
    later = time.time_ns() + 10**10
    first = fingerprint(files, settings, cache=tmp_path, clock=lambda: later)
    for store in tmp_path.rglob("*.json"):
        store.write_bytes(damage)

    assert first == fingerprint(files, settings, cache=tmp_path, clock=lambda: later)


def test_the_cache_keeps_few_projects(make_project, tmp_path, monkeypatch):
    """Old projects' hashes go when there are too many."""
    monkeypatch.setattr("prefect_vertex_training.project.files.contents_cache._PROJECTS_KEPT", 3)
    later = time.time_ns() + 10**10
    for number in range(6):
        root = make_project(name=f"p{number}")
        fingerprint(list_files(root, load(root)), load(root), cache=tmp_path, clock=lambda: later)

    assert len(list(tmp_path.rglob("*.json"))) == 3


def test_a_file_that_vanished_is_named(make_project):
    """Between listing and reading a file may go; the message says which."""
    root = make_project({"a.py": "1"})
    settings = load(root)
    files = list_files(root, settings)
    (root / "a.py").unlink()

    with pytest.raises(ProjectError, match=r"can't read a\.py: No such file"):
        fingerprint(files, settings)
