"""Parsing a Dockerfile, and an engine's output."""

from __future__ import annotations

from typing import Any

import pytest
from prefect_vertex_training.core.errors import DockerError
from prefect_vertex_training.core.security.masked_text import mask_from_now_on
from prefect_vertex_training.images.docker.build_output import BuildOutput, json_lines
from prefect_vertex_training.images.docker.dockerfile_parse import (
    Origin,
    Program,
    Startup,
    instructions,
    line_of,
    named_images,
    startup,
)

DOCKERFILE = """\
# syntax = a comment
ARG VERSION=3.11
ARG BASE
FROM --platform=$BUILDPLATFORM docker.io/library/python:${VERSION}-slim AS Build
RUN pip install \\
    # a comment between
    numpy
COPY <<END /file
FROM never
END
FROM ${BASE:-scratch}
COPY --from=build /a /a
COPY --from=0 /b /b
COPY --from=registry.example.com/tools:1 /c /c
RUN --mount=type=bind,from=other:2,target=/x ls
FROM build AS last
"""


def test_images_that_a_dockerfile_names() -> None:
    """Variables are replaced; stages and scratch are left out, and here-documents are not instructions."""
    found = named_images(DOCKERFILE, {})

    assert found.all == ("docker.io/library/python:3.11-slim", "registry.example.com/tools:1", "other:2")
    assert found.final == Origin("docker.io/library/python:3.11-slim", "")


def test_build_arguments_and_stages_choose_the_images() -> None:
    """An argument replaces a default; the image starts from the base of the target stage, not of the last one."""
    found = named_images(DOCKERFILE, {"BASE": "own:1", "VERSION": "3.12"}, target="1")

    assert found.all[:2] == ("docker.io/library/python:3.12-slim", "own:1")
    assert found.final == Origin("own:1")
    assert named_images("FROM --platform=linux/arm64 x\n", {}).final == Origin("x", "linux/arm64")
    assert named_images("", {}).final is None


def test_a_stage_may_be_chosen_by_the_architecture() -> None:
    """BuildKit knows TARGETARCH without an ARG line."""
    text = "FROM python:3.11 AS base-amd64\nFROM other:1 AS base-arm64\nFROM base-${TARGETARCH}\n"

    assert named_images(text, {}).final == Origin("python:3.11")
    assert named_images(f"ARG TARGETARCH\n{text}", {}).final == Origin("python:3.11")


@pytest.mark.parametrize("line", ["ARG NAME=python TAG=3.11", "ARG NAME=\"python\" TAG='3.11'", "ARG NAME TAG=3.11"])
def test_one_arg_may_declare_several_names(line: str) -> None:
    """As BuildKit reads it, with and without quotes."""
    assert named_images(f"{line}\nFROM $NAME:${{TAG}}\n", {"NAME": "python"}).final == Origin("python:3.11")


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("FROM scratch AS tools\nARG BASE=x\nFROM ${BASE}\n", "BASE"),
        ("ARG BASE\nFROM $BASE\n", "BASE"),
        ("ARG TAG\nFROM python:$TAG AS train\n", "TAG"),
        ("FROM ${HOST}/${NAME}\n", "HOST and NAME"),
        ("FROM\n", ""),
    ],
)
def test_a_from_without_an_image_is_named_with_its_line(text: str, variables: str) -> None:
    """Docker says that the name is blank, or invalid; an ARG behind the first FROM does not count for the others."""
    with pytest.raises(DockerError, match=r"FROM.* names no image") as caught:
        named_images(text, {})

    assert caught.value.where == f"the Dockerfile, line {text.count(chr(10))}"
    assert caught.value.what.endswith(f"value of {variables}" if variables else "names no image")


def test_lines_of_instructions() -> None:
    """The line of an instruction is its first line, also for continued lines and in lower case."""
    assert [item.line for item in instructions(DOCKERFILE)][:5] == [2, 3, 4, 5, 8]
    assert line_of(DOCKERFILE, "run pip   install numpy") == 5
    assert line_of(DOCKERFILE, "RUN something else") is None
    assert instructions("# escape=`\nRUN a `\n  b\n")[0].text == "a b"


def test_classic_output_arrives_in_pieces() -> None:
    """Complete lines are logged, the last state of a progress bar, and no colours."""
    lines: list[str] = []
    output = BuildOutput("FROM x\nRUN false\n", lines.append)
    output.handle({"stream": "Step 2/2 : RUN fa"})
    output.handle({"stream": "lse\n ---> Running\n10%\r100%\n\x1b[31mred\x1b[0m\nlast"})

    with pytest.raises(DockerError, match="returned a non-zero code: 1") as caught:
        output.handle({"error": "x", "errorDetail": {"message": "The command returned a non-zero code: 1"}})

    assert lines == ["Step 2/2 : RUN false", " ---> Running", "100%", "red", "last"]
    assert caught.value.where == "Dockerfile line 2: RUN false"
    assert caught.value.detail.splitlines()[-2] == "last"


@pytest.mark.parametrize("stage", ["", "[2/2] "])
def test_the_failed_step_of_podman(stage: str) -> None:
    """Podman 4.3 writes its steps so, with the stage's number before them where there are several."""
    output = BuildOutput("FROM x\nRUN ls /y\n", lambda _: None)
    output.handle({"stream": f"{stage}STEP 1/2: FROM x\n"})
    output.handle({"stream": f"{stage}STEP 2/2: RUN ls /y\n"})

    with pytest.raises(DockerError, match="exit status 2") as caught:
        output.handle({"error": 'building at STEP "RUN ls /y": while running runtime: exit status 2'})
    assert caught.value.where == "Dockerfile line 2: RUN ls /y"


def test_a_password_that_the_engine_asks_for_needs_dockers_own_client() -> None:
    """A build whose base is pulled with one fails with the reason."""
    output = BuildOutput("FROM x\n", lambda _: None)

    with pytest.raises(DockerError, match="asks for a password"):
        output.handle({"error": "failed to solve with frontend dockerfile.v0: no active sessions"})


def test_what_a_step_prints_of_a_secret_is_masked() -> None:
    """In the log, in the last lines of a failed build, and in its message."""
    mask_from_now_on(["s3cret-of-a-build"])
    lines: list[str] = []
    output = BuildOutput("FROM x\n", lines.append)
    output.handle({"stream": "it is s3cret-of-a-build\n"})

    with pytest.raises(DockerError) as caught:
        output.handle({"error": "s3cret-of-a-build was refused"})
    assert lines == ["it is ********"]
    assert "s3cret" not in f"{caught.value} {caught.value.detail}"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_objects_of_a_stream(size: int) -> None:
    """The chunks of a stream don't change its objects."""
    data = b'{"a": 1}\r\n{"b": "x"}\r\n\r\n{"c": 2}'
    found: list[dict[str, Any]] = list(json_lines(data[at : at + size] for at in range(0, len(data), size)))

    assert found == [{"a": 1}, {"b": "x"}, {"c": 2}]


STAGES = """\
ARG BASE=python:3.11
FROM ${BASE} AS Base
ENTRYPOINT ["python", "train.py"]
FROM base AS gpu
CMD --epochs 10
FROM scratch
CMD ["run"]
"""


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, Startup(None, Program(7, ("run",)), "scratch")),
        ("gpu", Startup(Program(3, ("python", "train.py")), Program(5, shell="--epochs 10"), "python:3.12")),
        ("base", Startup(Program(3, ("python", "train.py")), None, "python:3.12")),
    ],
)
def test_what_a_stage_runs(target: str | None, expected: Startup) -> None:
    """Stages inherit ENTRYPOINT and CMD of the stage that they start from."""
    assert startup(STAGES, {"BASE": "python:3.12"}, target) == expected


@pytest.mark.parametrize("text", ['["python", 3]', "[python, train.py]", '{"a": 1}'])
def test_what_is_no_list_of_texts_is_the_shell_form(text: str) -> None:
    """As Docker reads it."""
    assert startup(f"FROM b\nCMD {text}", {}).cmd == Program(2, shell=text)
