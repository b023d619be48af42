"""Building with a real Docker engine."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from dataclasses import replace
from uuid import uuid4

import pytest
from prefect_vertex_training.core.errors import DockerError
from prefect_vertex_training.images.docker.docker_build import build, find_built, resolve_bases
from prefect_vertex_training.images.docker.engine_errors import engine_errors
from prefect_vertex_training.images.registry.auth import Credentials


def test_own_dockerfile_with_arguments_and_a_stage(docker_engine, docker_base, request_of) -> None:
    """The build uses the given arguments and stage, and logs its output line by line."""
    word = uuid4().hex  # what an earlier run built is cached and prints nothing
    request = request_of(
        {
            "train.py": "print('trained')\n",
            "Dockerfile": f"""\
                ARG BASE={docker_base}
                FROM $BASE AS first
                ARG WORD=none
                RUN echo "the word is $WORD" && echo "$WORD" > /word
                FROM first AS second
                RUN echo never
            """,
        },
        build_args={"WORD": word},
        target="first",
    )
    request = replace(request, labels={**request.labels, "org.opencontainers.image.revision": "abc"})
    lines: list[str] = []

    image = build(request, engine=docker_engine, tag="arguments", log=lines.append)

    assert docker_engine.containers.run(image.digest, ["cat", "/word"], remove=True) == f"{word}\n".encode()
    assert f"the word is {word}" in lines
    assert "never" not in "\n".join(lines)
    assert docker_engine.images.get("docker-way:arguments").labels["org.opencontainers.image.revision"] == "abc"
    assert image.reference == f"docker-daemon:docker-way@{image.digest}"


def test_ignore_file_and_its_exceptions(docker_engine, docker_base, request_of) -> None:
    """.dockerignore leaves files out, `!` includes some again, and case matters."""
    request = request_of(
        {
            "train.py": "",
            "README.md": "",
            "data/big.bin": "",
            "data/keep/small.bin": "",
            "deep/er/notes.txt": "",
            ".dockerignore": "# comment\ndata\n!data/keep\n**/notes.txt\nreadme.md\n",
            "Dockerfile": f"FROM {docker_base}\nWORKDIR /x\nCOPY . .\n",
        }
    )

    image = build(request, engine=docker_engine, tag="ignore", log=lambda _: None)

    listing = docker_engine.containers.run(image.digest, ["find", "/x", "-type", "f"], remove=True).decode()
    assert sorted(listing.split()) == [
        "/x/.dockerignore",
        "/x/Dockerfile",
        "/x/README.md",
        "/x/data/keep/small.bin",
        "/x/train.py",
    ]


def test_mounts_of_buildkit(docker_engine, docker_base, request_of) -> None:
    """`RUN --mount`, which the classic builder refuses, works."""
    dockerfile = f"FROM {docker_base}\nRUN --mount=type=cache,target=/cache touch /cache/x && echo done\n"

    lines: list[str] = []
    build(request_of({"train.py": "", "Dockerfile": dockerfile}), engine=docker_engine, tag="mount", log=lines.append)

    assert lines


def test_failing_line_and_last_output(docker_engine, docker_base, request_of) -> None:
    """A Dockerfile that fails: its line in the error, its last output in the detail, no container left."""
    dockerfile = (
        f"# a comment\nFROM {docker_base}\n\nRUN echo fine\nRUN echo 'last words' \\\n    && python3 -c 'exit(3)'\n"
    )

    with pytest.raises(DockerError) as caught:
        build(
            request_of({"train.py": "", "Dockerfile": dockerfile}),
            engine=docker_engine,
            tag="fails",
            log=lambda _: None,
        )

    assert "Dockerfile line 5: RUN echo 'last words'" in str(caught.value)
    assert "exit code: 3" in str(caught.value)
    assert "last words" in caught.value.detail
    assert "\n" not in str(caught.value)
    assert not caught.value.transient
    commands = [container["Command"] for container in docker_engine.api.containers(all=True)]
    assert not [command for command in commands if "last words" in command]


@pytest.mark.parametrize(
    ("dockerfile", "says"),
    [
        ("FROM BASE\nRUM echo\n", "line 2"),
        ("FROM BASE\nCOPY missing.txt .\n", "missing.txt"),
        ("FROM 127.0.0.1:1/nowhere:1\n", "127.0.0.1:1/v2/nowhere"),
        ("", "Dockerfile"),
    ],
)
def test_broken_dockerfiles(docker_engine, docker_base, request_of, dockerfile: str, says: str) -> None:
    """The message says in one line what is wrong, and where."""
    request = request_of({"train.py": "", "Dockerfile": dockerfile.replace("BASE", docker_base)})

    with pytest.raises(DockerError, match=says) as caught:
        build(request, engine=docker_engine, tag="broken", log=lambda _: None)

    assert "failed to solve" not in str(caught.value)
    assert not docker_engine.images.list("docker-way:broken")


@pytest.mark.parametrize(
    "dockerfile",
    [
        "FROM --platform=linux/arm64 BASE\nCOPY train.py /\n",
        "FROM docker-way-arm64:1\nCOPY train.py /\n",
        "FROM docker-way-arm64:1 AS first\nFROM first\nCOPY train.py /\n",
    ],
)
def test_image_for_another_platform(docker_engine, docker_base, request_of, dockerfile: str) -> None:
    """An arm64 image is refused with the reason, also where BuildKit would call it amd64."""
    docker_engine.images.load(_arm64_archive("docker-way-arm64:1"))
    request = request_of({"train.py": "", "Dockerfile": dockerfile.replace("BASE", docker_base)})

    with pytest.raises(DockerError, match="linux/arm64, and Vertex AI runs linux/amd64 only; nothing was pushed"):
        build(request, engine=docker_engine, tag="arm64", log=lambda _: None)

    docker_engine.images.remove("docker-way-arm64:1", force=True)


def test_no_engine(request_of) -> None:
    """Without an engine the error proposes the direct builder."""
    from prefect_docker import DockerHost

    with (
        pytest.raises(DockerError, match=r"no Docker engine answers .*--builder direct"),
        engine_errors(),
    ):
        DockerHost(base_url="unix:///nowhere/docker.sock").get_client()


def test_find_built(docker_engine, request_of) -> None:
    """An image that the engine has is found by its tag."""
    request = request_of({"train.py": "", "Dockerfile": "FROM scratch\nCOPY train.py /\n"})

    assert find_built(request, engine=docker_engine, tag="never") is None
    image = build(request, engine=docker_engine, tag="before", log=lambda _: None)
    assert find_built(request, engine=docker_engine, tag="before") == image


def test_bases_by_digest(docker_engine, docker_base, python_base, request_of) -> None:
    """A base whose tag moved in its registry is pulled by the digest that is part of the fingerprint."""
    repository = python_base.name.rpartition(":")[0]
    docker_engine.images.get(docker_base).tag(repository, "moved")
    request = request_of({"train.py": "", "Dockerfile": f"FROM {repository}:moved\nCOPY train.py /\n"})

    bases = resolve_bases(request, lambda _: python_base.digest)
    build(request, engine=docker_engine, tag="bases", log=lambda _: None, bases=bases)

    assert bases == {f"{repository}:moved": python_base.digest}


def test_base_behind_a_password(docker_engine, docker_registry, python_base, request_of, monkeypatch) -> None:
    """A base that the engine doesn't have is pulled by digest with the registry's credentials."""
    host = docker_registry.host
    subprocess.run(
        ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"dir:{python_base.folder}", f"docker://{host}/private:1",
         "--dest-creds", f"{docker_registry.username}:{docker_registry.password}"],
        check=True,
    )  # fmt: skip
    request = request_of({"train.py": "", "Dockerfile": f"FROM {host}/private:1\nCOPY train.py /\n"})
    bases = {f"{host}/private:1": python_base.digest}
    asker = Credentials.fixed(docker_registry.username, docker_registry.password)

    with pytest.raises(DockerError, match="refused to provide a base image"):
        build(request, engine=docker_engine, tag="private", log=lambda _: None, bases=bases, credentials=lambda _: None)
    build(request, engine=docker_engine, tag="private", log=lambda _: None, bases=bases, credentials=lambda _: asker)

    assert f"{host}/private:1" in docker_engine.images.get(f"{host}/private@{python_base.digest}").tags


def test_base_that_only_the_engine_has(docker_engine, docker_base, request_of) -> None:
    """An image that is in no registry is identified by its id."""
    from prefect_vertex_training.core.errors import RegistryError

    docker_engine.images.get(docker_base).tag("docker-way-local", "1")

    def nowhere(reference: str) -> str:
        raise RegistryError("no such image", where=reference)

    request = request_of({"train.py": "", "Dockerfile": "FROM docker-way-local:1\nCOPY train.py /\n"})
    bases = resolve_bases(request, nowhere, lambda: docker_engine)
    build(request, engine=docker_engine, tag="local", log=lambda _: None, bases=bases)

    assert bases == {"docker-way-local:1": docker_engine.images.get(docker_base).id}
    with pytest.raises(RegistryError, match="docker-way-absent"):
        resolve_bases(
            replace(request, dockerfile=_rewrite(request, "FROM docker-way-absent:1\n")),
            nowhere,
            lambda: docker_engine,
        )
    docker_engine.images.remove("docker-way-local:1", force=True)


def _rewrite(request, text: str):
    request.dockerfile.write_text(text)
    return request.dockerfile


def _arm64_archive(name: str) -> bytes:
    """`docker load`'s archive of an image with one empty layer that says it is for arm64."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w"):
        pass
    import hashlib

    config = {
        "architecture": "arm64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()]},
        "history": [{"created": "1970-01-01T00:00:00Z"}],
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for member, data in (
            ("config.json", json.dumps(config).encode()),
            ("manifest.json", json.dumps(manifest).encode()),
            ("layer.tar", layer.getvalue()),
        ):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive.getvalue()
