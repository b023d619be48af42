"""The Dockerfile for a project that has none."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import DependencyError, DockerError
from prefect_vertex_training.images.docker.build_context import context_digest, write_context
from prefect_vertex_training.images.docker.docker_build import build
from prefect_vertex_training.images.docker.dockerfile_render import pip_requirements, render
from uv import find_uv_bin

HASH = "0" * 64
LOCK = f"""\
lock-version = "1.0"
created-by = "test"

[[packages]]
name = "numpy"
version = "2.1.0"
marker = "sys_platform == 'linux'"
index = "https://someone:secret@index.example.com/simple"
wheels = [
  {{ url = "https://files.example.com/numpy-1.whl", hashes = {{ sha256 = "{HASH}" }} }},
  {{ url = "https://files.example.com/numpy-2.whl", hashes = {{ sha256 = "{HASH[:-1]}1" }} }},
]

[[packages]]
name = "torch"
version = "2.13.0+cpu"
wheels = [{{ url = "file:///wheels/torch%2Bcpu.whl", hashes = {{ sha256 = "{HASH}" }} }}]
"""


def test_text(request_of) -> None:
    """Dependencies come before code, the user isn't root, and pip keeps no cache."""
    request = request_of(
        {"train.py": ""},
        base="python:3.11-slim",
        lock=LOCK.partition('\n[[packages]]\nname = "torch"')[0],
        directories=("outputs", "tmp files"),
        env={"PRICE": 'a $5 "note"'},
    )

    assert (
        render(request)
        == """\
# What `vertex-training run --builder docker` builds for this project; requirements.frozen.txt is added to its context.
# Saved as the project's Dockerfile it does the same, and is yours to change.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED="1"
ENV PRICE="a \\$5 \\"note\\""
WORKDIR /opt/app

# Dependencies come before the code: an edited line keeps this layer.
COPY requirements.frozen.txt ./
RUN python3 -m pip install --no-cache-dir --no-deps --require-hashes --requirement requirements.frozen.txt

# Training needs no root; the directories that it writes to are its own.
RUN useradd --create-home trainer && mkdir -p outputs 'tmp files' && chown trainer: . outputs 'tmp files'
COPY . .
USER trainer
ENTRYPOINT ["python3", "train.py"]
"""
    )


def test_requirements_name_every_file_by_hash() -> None:
    """A package keeps all its hashes and its marker; an index's password doesn't get into the image."""
    frozen = pip_requirements(LOCK)

    assert frozen.text == (
        "--extra-index-url https://index.example.com/simple\n"
        f"numpy==2.1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{HASH[:-1]}1\n"
        f"./wheels/torch+cpu.whl \\\n    --hash=sha256:{HASH}\n"
    )
    assert frozen.wheels == (Path("/wheels/torch+cpu.whl"),)


def test_no_hash_no_install() -> None:
    """A package from version control can't be named by hash."""
    lock = '[[packages]]\nname = "odd"\nvcs = { type = "git", url = "https://example.com/odd", commit-id = "1" }\n'

    with pytest.raises(DependencyError, match="odd can't be installed by hash"):
        pip_requirements(lock)


@pytest.mark.parametrize(
    ("files", "command"),
    [
        (
            {"environment.yml": "name: x\ndependencies:\n  - numpy=1.26.4\n"},
            "conda env create --yes --prefix /opt/training --file environment.yml",
        ),
        (
            {"requirements.txt": "# platform: linux-64\nnumpy=1.26.4=py311h64a7726_0\n"},
            "conda create --yes --prefix /opt/training --file requirements.txt",
        ),
        (
            {"conda.txt": "@EXPLICIT\nhttps://conda.example.com/linux-64/numpy-1.26.4-0.conda#ab\n"},
            "conda create --yes --prefix /opt/training --file conda.txt",
        ),
    ],
)
def test_conda_freeze(request_of, files: dict[str, str], command: str) -> None:
    """A conda list is installed by conda, into an environment whose Python runs the script, without pip."""
    text = render(request_of({"train.py": "", **files}, base="condaforge/miniforge3"))

    assert command in text
    assert "ENV PATH=/opt/training/bin:$PATH" in text
    assert "pip" not in text


def test_pip_requirements_are_no_conda_freeze(request_of) -> None:
    """A requirements.txt for pip isn't taken for conda's, and takes precedence over an environment.yml."""
    environment = "dependencies:\n  - numpy\n"
    files = {"train.py": "", "requirements.txt": "numpy==1.26.4\n", "environment.yml": environment}

    text = render(request_of(files, base="x"))

    assert "conda" not in text


def test_conda_list_with_packages_of_pip(request_of) -> None:
    """`conda list --export` names pip's packages in a form that conda can't install."""
    request = request_of({"train.py": "", "requirements.txt": "joblib=1.2.0=pypi_0\n"}, base="x")

    with pytest.raises(DependencyError, match=r"conda can't install joblib.*conda env export"):
        render(request)


def test_line_break_in_the_environment(request_of) -> None:
    """A value that can't be written in a Dockerfile is refused."""
    with pytest.raises(DockerError, match="line break"):
        render(request_of({"train.py": ""}, base="x", env={"A": "1\n2"}))


def test_it_builds_and_runs(docker_engine, docker_base, request_of, tmp_path: Path) -> None:
    """The rendered Dockerfile builds; the script finds its packages, can write its directories, and isn't root."""
    (tmp_path / "in").write_text("joblib\n")
    lock = subprocess.run(
        [find_uv_bin(), "pip", "compile", "in", "--quiet", "--format", "pylock.toml", "--python-version", "3.11",
         "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    script = (
        "import joblib, os, pathlib; pathlib.Path('outputs/x').write_text('x'); print(os.getuid() > 0, os.getcwd())"
    )
    request = request_of({"train.py": script}, base=docker_base, lock=lock, directories=("outputs",))

    image = build(request, engine=docker_engine, tag="rendered", log=lambda _: None)

    assert docker_engine.containers.run(image.digest, remove=True) == b"True /opt/app\n"

    lines: list[str] = []
    (request.root / "train.py").write_text("print('edited')")
    edited = build(request, engine=docker_engine, tag="rendered", log=lines.append)

    assert docker_engine.containers.run(edited.digest, remove=True) == b"edited\n"
    assert "CACHED" in lines[[line.endswith(".frozen.txt") for line in lines].index(True) + 1]


def test_wheel_from_this_machine(docker_engine, docker_base, request_of, tmp_path: Path) -> None:
    """A wheel that is in no index is mounted for the build, and isn't in a layer."""
    wheel = tmp_path / "own_words-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("own_words.py", "WORD = 'lark'\n")
        archive.writestr("own_words-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: own-words\nVersion: 1.0\n")
        archive.writestr(
            "own_words-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("own_words-1.0.dist-info/RECORD", "")
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = f"""\
[[packages]]
name = "own-words"
version = "1.0"
wheels = [{{ url = "{wheel.as_uri()}", hashes = {{ sha256 = "{sha256}" }} }}]
"""
    script = "import own_words, pathlib; print(own_words.WORD, *pathlib.Path('.').rglob('*.whl'))"
    request = request_of({"train.py": script}, base=docker_base, lock=lock)

    image = build(request, engine=docker_engine, tag="lent", log=lambda _: None)

    assert docker_engine.containers.run(image.digest, remove=True) == b"lark\n"


def test_context_depends_on_contents_only(request_of) -> None:
    """Modes beyond the executable bit and times don't change a context's digest; content and arguments do."""
    request = request_of({"train.py": "1", "Dockerfile": "FROM x\n"})
    first = context_digest(request)
    (request.root / "train.py").chmod(0o600)
    (request.root / "train.py").touch()

    assert context_digest(request) == first
    (request.root / "train.py").chmod(0o700)
    assert context_digest(request) != first


def test_unreadable_context(request_of, tmp_path: Path) -> None:
    """The error names a file that was removed meanwhile."""
    request = request_of({"train.py": "1"}, base="x")
    (request.root / "train.py").unlink()

    with (tmp_path / "context").open("wb") as sink, pytest.raises(DockerError, match=r"train\.py"):
        write_context(request, sink)
