import io
import os
import re
import shutil
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import ClassVar

import pytest
from fixtures.suite.hypothesis_profile import examples
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prefect_vertex_training.core.dockerignore import DockerIgnore

DOCKERFILE = b"FROM scratch\nCOPY . /\n"
BUILD = ["docker", "build", "--quiet"]


class _Catcher(BaseHTTPRequestHandler):
    """Answers as an engine would, and keeps the names in the context that the docker command sends."""

    protocol_version = "HTTP/1.1"
    names: ClassVar[list[str]] = []

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.send_header("Builder-Version", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815

    def do_POST(self):
        body = io.BytesIO()
        while size := int(self.rfile.readline(), 16):
            body.write(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        body.seek(0)
        with tarfile.open(fileobj=body) as archive:
            type(self).names = [member.name for member in archive if member.isfile()]
        answer = b'{"stream":"sha256:0"}\n'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def address_string(self):
        return "docker"

    def log_message(self, *_arguments):
        pass


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """The files that the docker command sends as a folder's context."""
    if shutil.which("docker") is None:
        pytest.skip("needs the docker command")
    socket = f"{tmp_path_factory.mktemp('s')}/s"
    with _Server(socket, _Catcher) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()

        def send(root: Path) -> list[str]:
            environment = {**os.environ, "DOCKER_HOST": f"unix://{socket}", "DOCKER_BUILDKIT": "0"}
            subprocess.run([*BUILD, root], env=environment, check=True, capture_output=True, timeout=120)
            return sorted(name for name in _Catcher.names if name not in {"Dockerfile", ".dockerignore"})

        yield send
        server.shutdown()
        thread.join()


def make(root: Path, paths: list[str], patterns: list[str]) -> None:
    """Writes a context."""
    for path in [*paths, "Dockerfile"]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(DOCKERFILE)
    (root / ".dockerignore").write_text("".join(f"{pattern}\n" for pattern in patterns))


def kept(paths: list[str], patterns: list[str]) -> list[str]:
    """What our rules let through."""
    rules = DockerIgnore(patterns)
    return sorted(path for path in paths if not rules.ignores(path))


PATHS = [
    *("a", "b.txt", "a.log", ".pyc", "x.pyc", "x y", "[a]", "a+b", "a.b"),
    *("d/a", "d/b.txt", "d/a.log", "d/x.pyc", "d/e/a", "d/e/b.txt", "d/e/f/a.log", "e/d/a", "e/x.pyc", "ad/a"),
]
IGNORE = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "/", "**/", "./", " ", "d/", "d/**/", "*/", "**"]),
    st.sampled_from(
        ["a", "*", "?", "*.log", "*.txt", "d", "e", "d/e", "[ab]", "[^a]", "[a-c]*", "x y", "a\\*", "\\[a\\]"]
    )
    | st.sampled_from(["**", "*.pyc", ".pyc", "a+b", "a.b", "d/../a", "e/**", "#a"]),
    st.sampled_from(["", "", "/", "/**", "/*", " "]),
)
KEEP = st.builds("!{}".format, st.sampled_from(["a", "d", "d/a", "d/e", "d/e/a", " b.txt", "/d/e/b.txt", "d/*", "e/d"]))


@given(st.lists(IGNORE | IGNORE | KEEP, max_size=4))
@example(["**.pyc"])
@example(["d", "!d/e/a"])
@example(["*", "!d", "d/e"])
@example(["d/**", "!d/a"])
@example(["# a", "", "  a  ", "/d/e/"])
@example(["a**"])
@example(["**/a", "!d"])
@example([])
@example(["**/e/**"])
def test_the_docker_command_sends_the_same(tmp_path_factory, sent, patterns):
    """Any list of patterns leaves out what it leaves out in the context that docker itself packs."""
    root = tmp_path_factory.mktemp("context")
    make(root, PATHS, patterns)

    assert sent(root) == kept(PATHS, patterns)


@hypothesis_settings(max_examples=examples(300))
@given(st.lists(IGNORE | IGNORE | KEEP, max_size=4))
def test_a_folder_that_is_passed_over_holds_nothing_to_ignore(patterns):
    """Names are looked at one by one only where one of them can be ignored."""
    rules = DockerIgnore(patterns)

    assert all(rules.may_ignore_in(path.rpartition("/")[0]) for path in PATHS if rules.ignores(path))
    assert not DockerIgnore(["*.log", "d/*.pyc"]).may_ignore_in("d/e")


@pytest.mark.docker
def test_the_engine_copies_the_same(tmp_path, docker_engine):
    """What `COPY . /` puts into an image, as the engine's own export lists it."""
    patterns = ["# comment", "/d/*", "!d/e", "**/*.log", "**.pyc", "[ab].txt", "!d/e/f/a.log", "x y", "a?b"]
    make(tmp_path, PATHS, patterns)
    built = subprocess.run(
        [*BUILD, tmp_path], env={**os.environ, "DOCKER_BUILDKIT": "0"}, check=True, capture_output=True, timeout=120
    )
    image = built.stdout.decode().strip()
    container = docker_engine.containers.create(image, "none")
    try:
        with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as archive:
            there = {member.name for member in archive if member.isfile()}
    finally:
        container.remove()
        docker_engine.images.remove(image, force=True)

    assert sorted(there & set(PATHS)) == kept(PATHS, patterns)


@pytest.mark.parametrize("line", ["!", "[a", "a[]"])
def test_what_docker_refuses_is_refused(line):
    """A pattern that Go can't read would fail the build."""
    with pytest.raises(ValueError, match=re.escape(line)):
        DockerIgnore([line])


def test_an_exception_may_lie_below_an_ignored_folder():
    """A walk has to enter a folder only where an exception can match inside."""
    rules = DockerIgnore(["*", "!a/b/c", "!d/*.py", "!**/keep"])

    assert [DockerIgnore(["*", "!a/b/c"]).may_keep_below(folder) for folder in ("a", "a/b", "x", "a/x")] == [
        True,
        True,
        False,
        False,
    ]
    assert rules.may_keep_below("anything")
    assert not rules.ignores("x/y/keep")


@pytest.mark.parametrize("pattern", ["*a" * 12 + "*b", "**/a" * 10 + "/b", "a/**/" * 8 + "z", "[a-z]*" * 12 + "9"])
@pytest.mark.parametrize("path", ["a" * 200, "a/" * 60 + "a" * 60])
def test_a_pattern_of_many_asterisks_ends(pattern: str, path: str) -> None:
    """As for .gitignore."""
    assert not DockerIgnore([pattern]).ignores(path)


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [("[[]x", "[x", True), ("[--x]", "a", True), ("a[\\]]", "a]", True), ("[^a]", "b", True), ("[!a]", "!", True)],
)
def test_classes_with_signs_of_python_s_own(pattern: str, path: str, ignored: bool) -> None:
    """A bracket, two dashes and escapes in a class mean what they mean to Go."""
    assert DockerIgnore([pattern]).ignores(path) is ignored
