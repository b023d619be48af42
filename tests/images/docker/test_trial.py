"""A built image that runs once in the engine, and what comes back of it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect_vertex_training.core.errors import DockerError
from prefect_vertex_training.images.docker.trial import OUTPUTS, Trial, run_trial

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.docker, pytest.mark.registry]

SCRIPT = f"""\
import os, sys, time
print(os.getuid(), *sys.argv[1:], os.environ["A"], flush=True)
open("{OUTPUTS}/model/model.txt", "w").write("trained")
open("kept.txt", "a").write("and more")
os.makedirs("runs/1")
open("runs/1/log.txt", "w").write("log")
os.symlink("/etc/passwd", "runs/link")
open("/tmp/elsewhere", "w").write("x")
if "wait" in sys.argv:
    time.sleep(600)
sys.exit(int("fail" in sys.argv) * 3)
"""


@pytest.fixture(scope="module")
def image(docker_engine: DockerClient, docker_base: str) -> Iterator[str]:
    """An image whose user may write in its working directory, and whose CMD is an argument."""
    lines = [
        f"FROM {docker_base}",
        "RUN mkdir /job && echo kept > /job/kept.txt && chmod -R 777 /job",
        "USER 1001",
        "WORKDIR /job",
        f"ENTRYPOINT {json.dumps(['python3', '-c', SCRIPT])}",
        'CMD ["default"]',
    ]
    built, _ = docker_engine.images.build(fileobj=io.BytesIO("\n".join(lines).encode()), rm=True)
    yield str(built.id)
    docker_engine.images.remove(str(built.id), force=True)


def trial(image: str, folder: Path, *args: str, **options: Any) -> Trial:
    """A trial whose folders lie in `folder`."""
    (folder / "outputs/model").mkdir(parents=True)
    given = {"command": (), "timeout": 120.0, **options}
    return Trial(image, args=args, env={"A": "b"}, outputs=folder / "outputs", changed=folder / "changed", **given)


def containers(engine: DockerClient, image: str) -> list[Any]:
    """The containers of the image that exist."""
    return engine.containers.list(all=True, filters={"ancestor": image})


@pytest.mark.parametrize(("args", "code", "line"), [((), 0, "1001 default b"), (("fail", "--x"), 3, "1001 fail --x b")])
def test_what_comes_back(
    docker_engine: DockerClient, image: str, tmp_path: Path, args: tuple[str, ...], code: int, line: str
) -> None:
    """The model, what changed in the working directory, the output and the exit code; no link, and no container."""
    said: list[str] = []
    end = run_trial(docker_engine, trial(image, tmp_path, *args), said.append)

    assert (end.code, said, end.tail) == (code, [line], (line,))
    assert (tmp_path / "outputs/model/model.txt").read_text() == "trained"
    found = {path.relative_to(tmp_path / "changed").as_posix() for path in (tmp_path / "changed").rglob("*.*")}
    assert found == {"kept.txt", "runs/1/log.txt"}
    assert (tmp_path / "changed/kept.txt").read_text() == "kept\nand more"
    assert containers(docker_engine, image) == []


def test_a_time_limit(docker_engine: DockerClient, image: str, tmp_path: Path) -> None:
    """It is said once that the image still runs, and the container is gone after its time."""
    now = [0.0]
    said: list[str] = []

    def log(line: str) -> None:
        said.append(line)
        now[0] = 61.0

    def remind() -> None:
        said.append("it still runs")
        now[0] = 121.0

    end = run_trial(docker_engine, trial(image, tmp_path, "wait", clock=lambda: now[0], reminder=(60.0, remind)), log)

    assert (end.code, said) == (None, ["1001 wait b", "it still runs"])
    assert containers(docker_engine, image) == []


def test_a_program_that_the_image_lacks(docker_engine: DockerClient, image: str, tmp_path: Path) -> None:
    """The engine's own reason is said, and nothing is left."""
    with pytest.raises(DockerError, match=r"refused to run the image.*no-such-program"):
        run_trial(docker_engine, trial(image, tmp_path, command=("no-such-program",)), print)
    assert containers(docker_engine, image) == []


def test_data_is_where_the_script_opens_it(image: str, docker_engine: DockerClient, tmp_path: Path) -> None:
    """A file beside the script and a folder at an absolute path, which another user reads; links are followed."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_text("one")
    (tmp_path / "link.csv").symlink_to(tmp_path / "images" / "1.png")
    data = {"data/train.csv": tmp_path / "link.csv", "/mnt/images": tmp_path / "images"}
    said: list[str] = []
    command = ("sh", "-c", "cat data/train.csv /mnt/images/1.png")
    end = run_trial(docker_engine, trial(image, tmp_path, command=command, data=data), said.append)

    assert end.code == 0, said
    assert said == ["oneone"]
