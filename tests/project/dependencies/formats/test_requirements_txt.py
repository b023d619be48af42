from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import DependencyError
from prefect_vertex_training.project.dependencies.find_list import read
from prefect_vertex_training.project.settings.settings import load


def lines(root: Path) -> list[tuple[str, str | None]]:
    """Place and package of every requirement."""
    return [(line.place, line.name) for line in read(root, load(root)).lines]


def test_lines_are_read_as_pip_reads_them(make_project):
    """Comments, continuations, extras, markers, hashes and options; numbers count the file's own lines."""
    root = make_project(
        {
            "requirements.txt": "# first\n\nNumPy>=1 # why\n--extra-index-url https://x/#frag\n"
            f"a-b[c]==1.0 \\\n    --hash=sha256:{'0' * 64}\n"
            "Z_z; sys_platform == 'linux'\nw @ https://x/w-1-py3-none-any.whl\n"
        }
    )

    assert lines(root) == [
        ("requirements.txt:3", "numpy"),
        ("requirements.txt:5", "a-b"),
        ("requirements.txt:7", "z-z"),
        ("requirements.txt:8", "w"),
    ]


def test_includes_are_followed_once(make_project):
    """`-r` and `-c` count from their own file's folder; a circle ends."""
    root = make_project(
        {
            "requirements.txt": "-r deps/base.txt\na\n",
            "deps/base.txt": "-c limits.txt\n-r../requirements.txt\nb\n",
            "deps/limits.txt": "c<2\n",
        }
    )

    assert lines(root) == [("deps/limits.txt:1", "c"), ("deps/base.txt:3", "b"), ("requirements.txt:2", "a")]


def test_a_file_that_an_include_names_must_be_there(make_project):
    """The line is named, where it stands."""
    root = make_project({"requirements.txt": "-r deps/base.txt\n", "deps/base.txt": "a\n\n-r more.txt\n"})

    with pytest.raises(DependencyError, match=r"-r more\.txt names a file that does not exist \(deps/base\.txt:3\)"):
        lines(root)


def test_options_and_hashes_are_kept_apart(make_project):
    """Indexes go to uv; which files may be installed is decided here, by the hashes that the list gives."""
    root = make_project(
        {
            "requirements.txt": "--extra-index-url https://x/simple\n--require-hashes\n--no-binary :all:\n-f ./wheels\n"
            f"a==1 --hash=sha256:{'0' * 64} \\\n    --hash=sha512:{'1' * 128}\nb==2\n",
            "wheels/none": "",
        }
    )
    listed = read(root, load(root))

    assert listed.options == ("--extra-index-url https://x/simple", f"--find-links {root / 'wheels'}")
    assert listed.hashes == {"a": {"0" * 64, f"sha512:{'1' * 128}"}}
    assert [line.text for line in listed.lines] == ["a==1", "b==2"]


def test_what_powershell_writes_is_read(make_project):
    """Its `>` writes UTF-16, which pip reads too."""
    assert lines(make_project({"requirements.txt": "numpy==1\n".encode("utf-16")})) == [("requirements.txt:1", "numpy")]


def test_a_file_that_is_no_text_is_told(make_project):
    """The message says how to save it."""
    with pytest.raises(DependencyError, match=r"requirements\.txt is not UTF-8.*Out-File -Encoding utf8"):
        lines(make_project({"requirements.txt": b"caf\xe9\n"}))


def test_a_byte_order_mark_is_no_part_of_the_first_name(make_project):
    """Windows editors begin UTF-8 files with one."""
    assert lines(make_project({"requirements.txt": b"\xef\xbb\xbfnumpy\n"})) == [("requirements.txt:1", "numpy")]


def test_the_setting_names_the_file(make_project):
    """`requirements` decides over requirements.txt; a missing one is an error."""
    table = '[tool.vertex-training]\nrequirements = "deps.txt"\n'
    root = make_project({"requirements.txt": "a\n", "pyproject.toml": table})

    with pytest.raises(DependencyError, match=r"there is no deps\.txt"):
        lines(root)

    (root / "deps.txt").write_text("b\n")
    assert lines(root) == [("deps.txt:1", "b")]


def test_pyproject_dependencies_count_without_a_requirements_file(make_project):
    """`[project] dependencies` are read, each with the line it stands on."""
    text = '[project]\nname = "x"\ndependencies = [\n  "numpy>=1",\n  "b @ file:///x",\n]\n'
    root = make_project({"pyproject.toml": text})

    assert lines(root) == [("pyproject.toml:4", "numpy"), ("pyproject.toml:5", "b")]


def test_a_pipfile_without_a_lock_stops_the_run(make_project):
    """Its versions are not known without the lock; the message says how to make it."""
    with pytest.raises(DependencyError, match=r"Pipfile has no Pipfile.lock .* pipenv lock"):
        lines(make_project({"Pipfile": ""}))


def test_setup_py_is_read_from_its_source(make_project):
    """A list that stands in setup.py needs no build; each requirement has its line."""
    text = 'from setuptools import setup\nNEEDED = ["a>=1"]\nsetup(name="x", install_requires=NEEDED)\n'

    assert lines(make_project({"setup.py": text})) == [("setup.py:2", "a")]


def test_no_requirements_at_all(make_project):
    """A script that needs only the standard library has none."""
    assert lines(make_project()) == []
