"""Packages that are no release become wheels, which travel with the code."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fixtures.projects.packages import write_package
from prefect_vertex_training.core.errors import DependencyError
from prefect_vertex_training.images.wheels.lockfile import read_lock
from prefect_vertex_training.project.dependencies.freeze import freeze, missing_wheels, request_key
from prefect_vertex_training.project.local_run.virtualenv import environment
from prefect_vertex_training.project.settings.python_version import this_python
from prefect_vertex_training.project.settings.settings import load


def lock(root, cache, **options):
    """Freezes the project in `root`."""
    return freeze(root, load(root), cache=cache, **options)


def git(folder: Path, *words: str) -> str:
    """Runs git as somebody."""
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.com", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, **package: str) -> str:
    """Commits a package's source; returns the commit."""
    write_package(folder, **package)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "more")
    return git(folder, "rev-parse", "HEAD")


def test_a_local_package_is_built_and_shipped_with_what_it_needs(make_project, wheelhouse, tmp_path):
    """The lock holds its wheel by hash, an image finds it, and an environment can be made of it."""
    wheelhouse.add("low", "1")
    root = make_project({"requirements.txt": "-e ./libs/features\n"})
    source = write_package(root / "libs" / "features", "features", "0.3", requires=["low"])
    before = {path.name for path in source.iterdir()}
    frozen = lock(root, tmp_path / "cache")

    assert frozen.packages == (("features", "0.3"), ("low", "1"))
    assert {path.name for path in source.iterdir()} == before  # the build wrote elsewhere
    wheels = {wheel.name: wheel for wheel in read_lock(frozen.text, this_python(), root)}
    assert hashlib.sha256(Path(wheels["features"].source).read_bytes()).hexdigest() == wheels["features"].sha256
    interpreter = environment(root, load(root), cache=tmp_path / "cache")
    subprocess.run([interpreter, "-c", "import features, low; assert features.version == '0.3'"], check=True)
    assert [(entry.action, entry.place) for entry in frozen.changes] == [("built", "requirements.txt:1")]


def test_a_changed_package_changes_the_digest_and_changing_it_back_restores_it(make_project, wheelhouse, tmp_path):
    """The wheel's bytes are a function of its source: times and places play no part."""
    root = make_project({"requirements.txt": "./lib\n"})
    digests = []
    for body in ("x = 1\n", "x = 22\n", "x = 1\n"):
        write_package(root / "lib", "lib", "1", body=body)
        digests.append(lock(root, tmp_path / "cache").digest)

    assert digests[0] == digests[2] != digests[1]


def test_a_wheel_in_the_project_is_shipped_as_it_is(make_project, wheelhouse, tmp_path):
    """Its path counts from the project, so that the lock doesn't tell where that lies."""
    root = make_project({"requirements.txt": "./wheels/tiny-1-py3-none-any.whl\n"})
    (root / "wheels").mkdir()
    wheelhouse.add("tiny", "1").rename(root / "wheels" / "tiny-1-py3-none-any.whl")
    frozen = lock(root, tmp_path / "cache")

    assert tomllib.loads(frozen.text)["packages"][0]["archive"]["path"] == "wheels/tiny-1-py3-none-any.whl"
    assert read_lock(frozen.text, this_python(), root)[0].source == root / "wheels" / "tiny-1-py3-none-any.whl"
    subprocess.run([environment(root, load(root), cache=tmp_path / "cache"), "-c", "import tiny"], check=True)


def test_a_commit_is_kept(make_project, wheelhouse, tmp_path):
    """The wheel is that commit's, whatever the branch is at now."""
    first = commit(tmp_path / "repo", name="tool", version="1")
    commit(tmp_path / "repo", name="tool", version="2")
    root = make_project({"requirements.txt": f"tool @ git+file://{tmp_path}/repo@{first}\n"})
    frozen = lock(root, tmp_path / "cache")

    assert frozen.packages == (("tool", "1"),)
    assert frozen.changes[0].result == f"a wheel of commit {first}"


def test_a_branch_becomes_a_commit_until_it_is_refreshed(make_project, wheelhouse, tmp_path):
    """Like any other version it doesn't move by itself; the report names the commit."""
    first = commit(tmp_path / "repo", name="tool", version="1")
    root = make_project({"requirements.txt": f"git+file://{tmp_path}/repo@main\n"})
    frozen = [lock(root, tmp_path / "cache")]
    second = commit(tmp_path / "repo", name="tool", version="2")
    frozen += [lock(root, tmp_path / "cache"), lock(root, tmp_path / "cache", refresh=True)]

    assert [dict(it.packages)["tool"] for it in frozen] == ["1", "1", "2"]
    commits = [it.changes[0].result.rpartition(" ")[2] for it in frozen]
    assert commits == [first, first, second]


def test_a_package_below_the_repositorys_root(make_project, wheelhouse, tmp_path):
    """`subdirectory` in the address says where."""
    repo = tmp_path / "repo"
    repo.mkdir()
    write_package(repo / "python" / "tool", "tool", "1")
    git(repo, "init", "--quiet")
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "--message", "one")
    root = make_project({"requirements.txt": f"-e git+file://{repo}#egg=tool&subdirectory=python/tool\n"})

    assert lock(root, tmp_path / "cache").packages == (("tool", "1"),)


def test_a_wheel_that_the_cache_lost_is_built_again(make_project, wheelhouse, tmp_path, monkeypatch):
    """The cache may be emptied: the lock says so, and the next freeze mends it with the same bytes."""
    root = make_project({"requirements.txt": "./lib\n"})
    write_package(root / "lib", "lib", "1")
    first = lock(root, tmp_path / "cache")
    for wheel in (tmp_path / "cache" / "built").glob("*/*.whl"):
        wheel.unlink()

    assert missing_wheels(first)
    assert lock(root, tmp_path / "cache").digest == first.digest
    assert not missing_wheels(first)


def test_a_known_answer_builds_nothing(make_project, wheelhouse, tmp_path, monkeypatch):
    """The second freeze runs no program; an edited package is another question."""
    root = make_project({"requirements.txt": "./lib\n"})
    write_package(root / "lib", "lib", "1")
    first, key = lock(root, tmp_path / "cache"), request_key(root, load(root))
    monkeypatch.setattr("subprocess.run", lambda *words, **_: pytest.fail(f"{words} was run"))

    assert lock(root, tmp_path / "cache") == first
    assert request_key(root, load(root)) == key
    (root / "lib" / "body.py").write_text("more = True\n")
    assert request_key(root, load(root)) != key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backend.py": "raise ValueError('no compiler')\n"}, r"lib can't be built as a wheel: .*requirements\.txt:1"),
        ({"package.txt": "other\n1\n\n"}, r"lib builds a package called other .*Name it other"),
    ],
)
def test_a_package_that_cannot_be_built_is_named(make_project, wheelhouse, tmp_path, change, message):
    """In one line with its place; what the build wrote is in the detail, and nothing half-made is kept."""
    root = make_project({"requirements.txt": "lib @ file:./lib\n"})
    write_package(root / "lib", "lib", "1")
    for name, text in change.items():
        (root / "lib" / name).write_text(text)

    with pytest.raises(DependencyError, match=message) as caught:
        lock(root, tmp_path / "cache")

    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").rglob("*.whl"))


def test_a_wheel_for_this_machine_only_is_refused(make_project, wheelhouse, tmp_path):
    """Compiled code can't be known to run in the image."""
    root = make_project({"requirements.txt": "./lib\n"})
    write_package(root / "lib", "lib", "1")
    backend = root / "lib" / "backend.py"
    backend.write_text(backend.read_text().replace("-py3-none-any.whl", "-cp311-cp311-linux_x86_64.whl"))

    with pytest.raises(DependencyError, match=r"contains code for this machine only.*Dockerfile"):
        lock(root, tmp_path / "cache")


def test_a_repository_that_cannot_be_fetched_is_named(make_project, wheelhouse, tmp_path):
    """Without the password in its address; one that is out of reach is worth another try."""
    commit(tmp_path / "repo", name="tool", version="1")
    root = make_project({"requirements.txt": f"tool @ git+file://{tmp_path}/repo@{'0' * 40}\n"})
    with pytest.raises(DependencyError, match=r"repo can't be fetched at 0000.*requirements\.txt:1") as missing:
        lock(root, tmp_path / "cache")

    root = make_project({"requirements.txt": "tool @ git+http://user:hunter2@127.0.0.1:9/repo@main\n"}, name="away")
    with pytest.raises(DependencyError, match=r"127\.0\.0\.1:9/repo can't be fetched") as away:
        lock(root, tmp_path / "cache")

    assert (missing.value.transient, away.value.transient) == (False, True)
    assert "hunter2" not in str(away.value)


def test_hashes_of_the_list_are_held_against_the_wheel(make_project, wheelhouse, tmp_path):
    """A file that changed under its version is refused, with the line."""
    wheel = wheelhouse.add("pkg", "1")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    root = make_project({"requirements.txt": f"pkg==1 --hash=sha256:{'0' * 64} --hash=sha256:{digest}\n"})

    assert lock(root, tmp_path / "cache").packages == (("pkg", "1"),)
    (root / "requirements.txt").write_text(f"pkg==1 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(DependencyError, match=r"wheel of pkg 1 is not one of requirements\.txt's hashes .*txt:1"):
        lock(root, tmp_path / "cache")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which an HTTP server offers its files."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's signature
            """Nothing: standard error is the test's."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    with server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("gztar", "tiny @ {url}/tiny-1.tar.gz"),
        ("zip", "tiny @ {url}/tiny-1.zip"),
        ("gztar", "{url}/tiny-1.tar.gz"),
        ("gztar", "tiny @ {url}/tiny-1.tar.gz#sha256={sha256}"),
        ("zip", "{url}/tiny-1.zip#egg=tiny"),
    ],
)
def test_an_archive_of_sources_is_built(make_project, wheelhouse, tmp_path, served, kind: str, line: str):
    """Such as a repository's zip file, or an sdist that is in no index."""
    folder, url = served
    write_package(tmp_path / "sources" / "tiny-1", "tiny", "1")
    file = Path(shutil.make_archive(str(folder / "tiny-1"), kind, tmp_path / "sources", "tiny-1"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    root = make_project({"requirements.txt": line.format(url=url, sha256=digest) + "\n"})

    assert lock(root, tmp_path / "cache").packages == (("tiny", "1"),)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("other-1.tar.gz", r"can't download other-1\.tar\.gz: HTTP 404 \(requirements\.txt:1\)"),
        ("broken-1.tar.gz", r"no archive that can be unpacked.*\(requirements\.txt:1\)"),
        (f"broken-1.tar.gz#sha256={'0' * 64}", r"another sha256.*\(requirements\.txt:1\)"),
    ],
)
def test_an_archive_that_cannot_be_used(make_project, wheelhouse, tmp_path, served, path: str, message: str):
    """The message has the line of the list."""
    folder, url = served
    (folder / "broken-1.tar.gz").write_text("no archive")
    root = make_project({"requirements.txt": f"broken @ {url}/{path}\n"})

    with pytest.raises(DependencyError, match=message):
        lock(root, tmp_path / "cache")
