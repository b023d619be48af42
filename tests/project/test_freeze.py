import tomllib

import pytest
from prefect_vertex_training.core.errors import DependencyError
from prefect_vertex_training.project import freeze as module
from prefect_vertex_training.project.freeze import freeze
from prefect_vertex_training.project.pythons import this_python
from prefect_vertex_training.project.requirements import Line
from prefect_vertex_training.project.resolution import explain
from prefect_vertex_training.project.settings import load


def lock(root, cache, **options):
    """Freezes the project in `root`."""
    return freeze(root, load(root), cache=cache, **options)


def test_dependencies_of_dependencies_are_frozen_with_hashes(make_project, wheelhouse, tmp_path):
    """Every package has its version, wheel and sha256; the newest that fits wins."""
    wheelhouse.add("top", "1.0", requires=["low>=1"])
    for version in ("0.9", "1.1", "1.2"):
        wheelhouse.add("low", version)
    root = make_project({"requirements.txt": "top\n-c limits.txt\n", "limits.txt": "low<1.2\n"})

    frozen = lock(root, tmp_path / "cache")

    assert frozen.packages == (("low", "1.1"), ("top", "1.0"))
    packages = tomllib.loads(frozen.text)["packages"]
    assert all(len(wheel["hashes"]["sha256"]) == 64 for package in packages for wheel in package["wheels"])
    assert frozen.python == this_python()


def test_no_requirements_is_an_empty_lock(make_project, tmp_path):
    """A script without dependencies freezes to nothing, without uv."""
    frozen = lock(make_project(), tmp_path)

    assert (frozen.text, frozen.packages) == ("", ())


def test_the_place_of_the_project_does_not_show(make_project, wheelhouse, tmp_path):
    """A copy elsewhere freezes to the same text, also with wheels inside the project."""
    wheelhouse.add("outer", "1")
    texts = []
    for name in ("one", "two"):
        root = make_project({"requirements.txt": "--find-links ./wheels\nouter\ninner\n"}, name=name)
        (root / "wheels").mkdir()
        wheelhouse.add("inner", "2").rename(root / "wheels" / "inner-2-py3-none-any.whl")
        texts.append(lock(root, tmp_path / f"cache-{name}").text)

    assert texts[0] == texts[1]
    assert str(root) not in texts[0]
    assert 'path = "wheels/inner-2-py3-none-any.whl"' in texts[0]


def test_the_answer_stays_until_it_is_refreshed(make_project, wheelhouse, tmp_path):
    """A new release in the index doesn't move a frozen project; changed requirements or `refresh` do."""
    index = tmp_path / "index"
    index.mkdir()
    first = wheelhouse.add("pkg", "1")
    root = make_project({"requirements.txt": f"--find-links {first.as_uri().rpartition('/')[0]}/\npkg\n"})
    before = lock(root, tmp_path / "cache")
    # The listing of a local folder is part of the question; an index on the network is not: simulate the latter.
    known = next((tmp_path / "cache" / "locks").glob("*.toml"))
    wheelhouse.add("pkg", "2")
    after = lock(root, tmp_path / "cache")

    assert before.packages == (("pkg", "1"),)
    assert after.packages == (("pkg", "2"),)  # a wheel put into a local folder is seen
    known.touch()
    assert lock(root, tmp_path / "cache", refresh=True) == after


def test_a_known_answer_needs_no_uv(make_project, wheelhouse, tmp_path, monkeypatch):
    """The second freeze of the same requirements runs no program."""
    wheelhouse.add("pkg", "1")
    root = make_project({"requirements.txt": "pkg\n"})
    first = lock(root, tmp_path / "cache")
    monkeypatch.setattr(module.uv, "run", lambda *_, **__: pytest.fail("uv was run"))

    assert lock(root, tmp_path / "cache") == first


@pytest.mark.parametrize("damage", ["", "[[packages]]\nname = 3\n", "{", 'packages = "x"'])
def test_a_damaged_answer_is_resolved_again(make_project, wheelhouse, tmp_path, damage):
    """A cache that was cut off or edited never becomes a lock."""
    wheelhouse.add("pkg", "1")
    root = make_project({"requirements.txt": "pkg\n"})
    first = lock(root, tmp_path / "cache")
    for store in (tmp_path / "cache" / "locks").iterdir():
        store.write_text(damage)

    assert lock(root, tmp_path / "cache") == first


def test_the_digest_is_of_what_gets_installed(make_project, wheelhouse, tmp_path):
    """The same wheels from another place give the same digest; other bytes don't."""
    wheelhouse.add("pkg", "1")
    root = make_project({"requirements.txt": "pkg\n"})
    first = lock(root, tmp_path / "cache")
    moved = wheelhouse.folder.rename(tmp_path / "moved")
    (root / "requirements.txt").write_text(f"--find-links {moved}\npkg\n")
    second = lock(root, tmp_path / "cache")
    wheelhouse.folder = moved
    wheelhouse.add("pkg", "1", body="changed = True\n")
    third = lock(root, tmp_path / "cache", refresh=True)

    assert first.text != second.text
    assert first.digest == second.digest
    assert second.digest != third.digest


def test_it_resolves_for_linux_whatever_runs_here(make_project, wheelhouse, tmp_path):
    """Markers and wheels are those of linux/amd64 and the image's Python."""
    wheelhouse.add("pkg", "1", tag="cp312-cp312-manylinux_2_17_x86_64")
    wheelhouse.add("pkg", "2", tag="cp312-cp312-macosx_11_0_arm64")
    wheelhouse.add("mac", "1")
    root = make_project(
        {
            "requirements.txt": "pkg\nmac; sys_platform == 'darwin'\n",
            "pyproject.toml": '[tool.vertex-training]\npython = "3.12"\n',
        }
    )

    frozen = lock(root, tmp_path / "cache")

    assert (frozen.packages, frozen.python) == ((("pkg", "1"),), "3.12")


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        ("nosuch>=1", ["there is no package nosuch"]),
        ("pkg==9", ["there is no version pkg==9"]),
        ("maconly", ["maconly 1 has no wheel for linux/amd64", "macosx_11_0_arm64", "sys_platform == 'darwin'"]),
        ("oldpython", [f"oldpython 1 has no wheel for Python {this_python()}", "cp37"]),
        ("needy", ["there is no package missing, which needy needs"]),
    ],
)
def test_what_cannot_be_frozen_is_named_with_its_line(make_project, wheelhouse, tmp_path, requirement, words):
    """The package, what wanted it, the file and the line; all of uv's words in the detail."""
    wheelhouse.add("pkg", "1")
    wheelhouse.add("needy", "1", requires=["missing"])
    wheelhouse.add("maconly", "1", tag="cp311-cp311-macosx_11_0_arm64".replace("cp311", _tag()))
    wheelhouse.add("oldpython", "1", tag="cp37-cp37m-manylinux_2_17_x86_64")
    root = make_project({"requirements.txt": f"# line 1\n{requirement}\n"})

    with pytest.raises(DependencyError) as caught:
        lock(root, tmp_path / "cache")

    for word in [*words, "requirements.txt:2"]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "No solution found" in str(caught.value.detail)
    assert not caught.value.transient
    assert not list((tmp_path / "cache").rglob("*.toml"))


def _tag() -> str:
    return f"cp{this_python().replace('.', '')}"


def test_requirements_that_contradict_each_other(make_project, wheelhouse, tmp_path):
    """Both lines are named."""
    wheelhouse.add("low", "1")
    wheelhouse.add("low", "2")
    wheelhouse.add("top", "1", requires=["low==2"])
    root = make_project({"requirements.txt": "top\nlow==1\n"})

    with pytest.raises(DependencyError, match=r"contradict.*requirements\.txt:1, requirements\.txt:2"):
        lock(root, tmp_path / "cache")


def test_an_index_out_of_reach_is_transient(make_project, wheelhouse, tmp_path, monkeypatch):
    """Trying again can help; the host is named without the password in its URL."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:hunter2@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    root = make_project({"requirements.txt": "some-package\n"})

    with pytest.raises(DependencyError, match=r"can't reach the package index \(127\.0\.0\.1:9\)") as caught:
        lock(root, tmp_path / "cache")

    assert caught.value.transient
    assert "hunter2" not in f"{caught.value}{caught.value.detail}"


LINES = (Line("requirements.txt", 1, "demo>=1", "demo"), Line("requirements.txt", 2, "torch==2.1.0+cu121", "torch"))


MISSING = """error: No solution found when resolving dependencies
  cause: Because demo was not found in the package registry and you
         require demo>=1, we can conclude that your requirements are unsatisfiable."""
NO_VERSION = """error: No solution found when resolving dependencies
  cause: Because there is no version of torch==2.1.0+cu121 and you require torch==2.1.0+cu121, we can
         conclude that your requirements are unsatisfiable."""
NO_WHEEL = """error: No solution found when resolving dependencies
  cause: Because demo==4.9.3 has no usable wheels and you require demo==4.9.3, we can conclude that your
         requirements are unsatisfiable.

hint: Wheels are required for `demo` because building from source is disabled for all packages"""
DENIED = """error: Failed to fetch: `https://host/simple/demo/`
  cause: HTTP status client error (401 Unauthorized) for url (https://host/simple/demo/)"""


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (MISSING, "there is no package demo (requirements.txt:1)"),
        (NO_VERSION, "there is no version torch==2.1.0+cu121 (requirements.txt:2). Versions with a"),
        (NO_WHEEL, "demo==4.9.3 has no wheel for linux/amd64 and Python 3.11 (requirements.txt:1)"),
        (DENIED, "the package index refused: HTTP 401 (host)"),
        ("error: something new", "uv can't resolve the requirements: something new (requirements.txt)"),
    ],
)
def test_uvs_words_become_one_line(output, message):
    """What uv writes about real indexes, recorded; what it may write one day still names the file."""
    error = explain(output, LINES, "3.11")

    assert str(error).startswith(message)
    assert error.detail == output
