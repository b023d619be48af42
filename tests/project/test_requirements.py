from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import DependencyError
from prefect_vertex_training.project.requirements import read
from prefect_vertex_training.project.settings import load


def lines(root: Path) -> list[tuple[str, str | None]]:
    """Place and package of every requirement."""
    return [(line.place, line.name) for line in read(root.resolve(), load(root)).lines]


def test_lines_are_read_as_pip_reads_them(make_project):
    """Comments, continuations, extras, markers, hashes and options; numbers count the file's own lines."""
    root = make_project(
        {
            "requirements.txt": "# first\n\nNumPy>=1 # why\n--extra-index-url https://x/#frag\n"
            "a-b[c]==1.0 \\\n    --hash=sha256:00\nZ_z; sys_platform == 'linux'\nw @ https://x/w-1-py3-none-any.whl\n"
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


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("numpy @ file:///croot/numpy_1668593740598/work", ["points at a file on this machine", "numpy==VERSION"]),
        ("file:///tmp/x.whl", ["points at a file on this machine"]),
        ("-e .", ["editable install", "Delete the line"]),
        ("-e git+https://github.com/a/b#egg=b", ["editable install"]),
        ("--editable=./lib", ["editable install"]),
        ("git+https://github.com/a/b@main", ["comes from a repository", "released version"]),
        ("b @ git+ssh://git@github.com/a/b", ["comes from a repository"]),
        ("./vendor/pkg", ["is a path on this machine"]),
        ("../lib", ["is a path on this machine"]),
        ("/opt/x-1.0-py3-none-any.whl", ["is a path on this machine"]),
        ("wheels/x-1.0-py3-none-any.whl", ["is a path on this machine"]),
        (r"C:\wheels\x.whl", ["is a path on this machine"]),
        ("numpy=>1", ["is not a requirement", "NAME==VERSION"]),
        ("numpy=1.26.4=py311h_0", ["is not a requirement", "pip wants numpy==1.26.4"]),
        ("numpy 1.26", ["is not a requirement"]),
        ("-r missing.txt", ["names a file that does not exist"]),
    ],
)
def test_a_line_that_cannot_travel_is_named(make_project, line, words):
    """File and line number, the text, and what to write instead: in one line."""
    root = make_project({"requirements.txt": f"joblib\n{line}\n"})

    with pytest.raises(DependencyError) as caught:
        lines(root)

    message = str(caught.value)
    for word in [*words, "requirements.txt:2", line]:
        assert word in message
    assert "\n" not in message
    assert not caught.value.transient


def test_a_bad_line_in_an_included_file_names_that_file(make_project):
    """The place is where the line stands, not where it is included."""
    root = make_project({"requirements.txt": "-r deps/base.txt\n", "deps/base.txt": "a\n\n-e ./x\n"})

    with pytest.raises(DependencyError, match=r"deps/base\.txt:3"):
        lines(root)


def test_utf16_is_told(make_project):
    """What PowerShell writes can't be read by uv; the message says how to save it."""
    with pytest.raises(DependencyError, match=r"requirements\.txt is not UTF-8.*Out-File -Encoding utf8"):
        lines(make_project({"requirements.txt": "numpy==1\n".encode("utf-16")}))


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
    with pytest.raises(DependencyError, match=r"pyproject\.toml:5"):
        lines(make_project({"pyproject.toml": text}))

    root = make_project({"pyproject.toml": text.replace('  "b @ file:///x",\n', "")})
    assert lines(root) == [("pyproject.toml:4", "numpy")]


@pytest.mark.parametrize(
    ("file", "step"),
    [
        ("environment.yml", "pip can't install conda packages"),
        ("conda.yaml", "pip can't install conda packages"),
        ("Pipfile", "pipenv requirements > requirements.txt"),
        ("poetry.lock", "poetry export"),
    ],
)
def test_other_tools_lists_are_not_guessed(make_project, file, step):
    """A list that pip can't install stops the run and tells how to get one that it can."""
    with pytest.raises(DependencyError) as caught:
        lines(make_project({file: ""}))

    assert file in str(caught.value)
    assert step in str(caught.value)


def test_no_requirements_at_all(make_project):
    """A script that needs only the standard library has none."""
    assert lines(make_project()) == []
