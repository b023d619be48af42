"""Where a run's arguments go in the image of a project's own Dockerfile; nothing is built."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import DockerError
from prefect_vertex_training.flows.image_startup import Placed, place_arguments
from prefect_vertex_training.project.settings.settings import load

ARGS = ["--epochs", "3"]


def placed(folder: Path, dockerfile: str, table: str = "", args: list[str] = ARGS, *, docker: bool = True) -> Placed:
    """What the job gets."""
    (folder / "train.py").write_text("")
    (folder / "Dockerfile").write_text(dockerfile)
    (folder / "pyproject.toml").write_text(f"[tool.vertex-training]\n{table}\n")
    return place_arguments(load(folder), args, docker=docker)


@pytest.mark.parametrize(
    ("dockerfile", "expected"),
    [
        ('FROM b\nENTRYPOINT ["python", "train.py"]', ARGS),
        ('FROM b\nENTRYPOINT ["python", "-m", "pkg.train"]\nCMD ["--epochs", "1"]', ARGS),
        ('FROM b\nCMD ["python", "train.py"]', ["python", "train.py", *ARGS]),
        ('FROM b\nENTRYPOINT ["/entry.sh"]\nCMD ["python", "train.py"]', ["python", "train.py", *ARGS]),
        ('FROM b\nENTRYPOINT ["/entry.sh"]\nCMD ["--help"]', ARGS),
        ('FROM b AS one\nCMD ["python", "train.py"]\nFROM one', ["python", "train.py", *ARGS]),
        ("FROM my/trainer:1", ARGS),
        ('FROM b\nENTRYPOINT ["python", "-u"]\nCMD ["-m", "pkg.train"]', ["-m", "pkg.train", *ARGS]),
        ('FROM b\nENTRYPOINT ["/usr/bin/python3.11"]\nCMD ["train.py"]', ["train.py", *ARGS]),
        ('FROM b\nENTRYPOINT ["/tini", "--"]\nCMD ["python", "train.py"]', ["python", "train.py", *ARGS]),
        ('FROM b\nENTRYPOINT ["sh", "-c", "exec python train.py \\"$0\\" \\"$@\\""]', ARGS),
    ],
)
def test_arguments_stand_where_they_take_effect(tmp_path: Path, dockerfile: str, expected: list[str]) -> None:
    """Behind the program that trains: the image's own, or the one that CMD names and arguments would replace."""
    assert placed(tmp_path, dockerfile) == Placed((), expected)


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [
        ("FROM b\nENTRYPOINT python train.py", r'Dockerfile:2.*exec form: ENTRYPOINT \["python", "train\.py"\]'),
        ("FROM b\n\nCMD python train.py", r'Dockerfile:3.*exec form: CMD \["python", "train\.py"\]'),
        (
            'FROM b\nENTRYPOINT ["sh", "-c", "python train.py"]',
            r'runs sh -c.*exec form: ENTRYPOINT \["python", "train\.py"\]',
        ),
        ('FROM b\nCMD ["/bin/bash", "-lc", "python train.py"]', r'Dockerfile:2.*CMD \["python", "train\.py"\]'),
        (
            'FROM b\nENTRYPOINT ["bash", "-ec", "cd src && python train.py"]',
            r'Pass them on: .*train\.py \\"\$0\\" \\"\$@\\""\]',
        ),
        ("FROM python:3.11", r'neither ENTRYPOINT nor CMD.*ENTRYPOINT \["python", "train\.py"\]'),
        ("FROM docker.io/library/debian", "runs no training"),
        ("FROM registry.example.com:5000/mirror/python:3.11-slim", "runs no training"),
        (f"FROM pytorch/pytorch@sha256:{'a' * 64}", "runs no training"),
        (
            'FROM b\nCMD ["uvicorn", "app:app"]',
            r'starts a server \(uvicorn app:app\).*builder = "direct"',
        ),
        ('FROM b\nENTRYPOINT ["python", "-m", "streamlit", "run", "app.py"]', "starts a server"),
        ("FROM b\nCMD exec /usr/bin/gunicorn app:app", "starts a server"),
        ('FROM b\nCMD ["mlflow", "server"]', "starts a server"),
    ],
)
def test_arguments_that_would_be_lost_stop_the_run(tmp_path: Path, dockerfile: str, message: str) -> None:
    """The message has the line, and what to write there."""
    with pytest.raises(DockerError, match=message):
        placed(tmp_path, dockerfile)


def test_a_server_s_image_can_train(tmp_path: Path) -> None:
    """A project that trains and serves has one Dockerfile: with a command it trains."""
    found = placed(tmp_path, 'FROM b\nCMD ["uvicorn", "app:app"]', 'command = ["python", "train.py"]')

    assert found == Placed(("python", "train.py"), ARGS)


def test_without_arguments_the_shell_form_runs(tmp_path: Path) -> None:
    """It drops nothing then."""
    assert placed(tmp_path, "FROM b\nCMD python train.py", args=[]) == Placed((), [])


@pytest.mark.parametrize(
    ("outputs", "command"),
    [("", ("bash", "run.sh")), ('outputs = ["out/**"]', ())],
)
def test_a_command_is_the_jobs_or_the_images(tmp_path: Path, outputs: str, command: tuple[str, ...]) -> None:
    """The job's command replaces the entry point; with outputs that would skip the runtime, so the image has it."""
    table = f'command = ["bash", "run.sh", "{{model-dir}}"]\n{outputs}'

    assert placed(tmp_path, "FROM b", table) == Placed(command, ["{model-dir}", *ARGS])


def test_an_image_without_a_dockerfile_takes_them_as_they_are(tmp_path: Path) -> None:
    """Its entry point is the script, whatever the Dockerfile says."""
    assert placed(tmp_path, "FROM b\nCMD python train.py", docker=False) == Placed((), ARGS)


@pytest.mark.parametrize(
    ("dockerfile", "line"),
    [
        ('FROM b\nCMD ["python", "evaluate.py"]', 2),
        ('FROM b\n\nENTRYPOINT ["python", "/app/tools/evaluate.py"]\nCMD ["--fast"]', 3),
        ('FROM b\nCMD ["python", "-m", "tools.evaluate"]', 2),
        ("FROM b\nCMD python -u evaluate.py", 2),
    ],
)
def test_an_image_that_starts_another_script_stops_the_run(tmp_path: Path, dockerfile: str, line: int) -> None:
    """The local run tried train.py. A file that starts it may differ, and so may an image that the local run starts."""
    other = tmp_path / ("tools/evaluate.py" if "tools" in dockerfile else "evaluate.py")
    other.parent.mkdir(exist_ok=True)
    other.write_text("print('score')\n")

    with pytest.raises(
        DockerError, match=rf"starts (tools/)?evaluate\.py, and the local run started train\.py.*:{line}"
    ):
        placed(tmp_path, dockerfile, args=[])

    assert placed(tmp_path, dockerfile, 'verify = "image"', args=[]) == Placed((), [])
    other.write_text("import train\ntrain.main()\n")
    assert placed(tmp_path, dockerfile, args=[]) == Placed((), [])
