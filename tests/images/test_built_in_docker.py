"""Images made without an engine, run by docker and read by skopeo, umoci and buildah."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ContainerError
from fixtures.suite.external_tools import missing
from prefect_vertex_training.core.errors import BaseImageError
from prefect_vertex_training.images.base.resolve import Base, resolve_base
from prefect_vertex_training.images.oci.image_types import BuiltImage
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.push import push
from prefect_vertex_training.images.registry.auth import Credentials
from prefect_vertex_training.images.registry.repository import Repository
from uv import find_uv_bin

DIGITS = Path(__file__).parents[2] / "examples/digits"


@pytest.fixture
def base(python_base: Any, docker_registry: Any, tmp_path: Path) -> Base:
    """The base image, as the registry has it."""
    user = Credentials.fixed(docker_registry.username, docker_registry.password)
    return resolve_base(python_base.name, cache=tmp_path / "bases", credentials=lambda _: user)


@pytest.fixture
def publish(docker_registry: Any, base: Base) -> Callable[..., tuple[BuiltImage, str]]:
    """Builds a project on the base and pushes it; returns the image and its name."""

    def run(demo_project: Any, name: str, *, base: Base = base, **changes: Any) -> tuple[BuiltImage, str]:
        user = Credentials.fixed(docker_registry.username, docker_registry.password)
        target = Repository(Reference(docker_registry.host, name), credentials=user)
        image = demo_project.build(upload_to=target, base=base, **changes)
        assert (
            image.digest
            == push(image, demo_project.store, target, tags=["v1"], base=base, cache=demo_project.cache).digest
        )
        return image, f"{docker_registry.host}/{name}:v1"

    return run


@pytest.fixture
def run(docker_engine: Any, docker_registry: Any) -> Callable[..., str]:
    """Runs a published image with docker; returns its output."""

    def start(name: str, *command: str, **options: Any) -> str:
        auth = {"username": docker_registry.username, "password": docker_registry.password}
        docker_engine.images.pull(name, auth_config=auth)
        output = docker_engine.containers.run(name, list(command) or None, remove=True, stderr=True, **options)
        return output.decode()

    return start


def test_packages_of_every_kind(demo_project, make_wheel, publish, run, tmp_path: Path) -> None:
    """Console scripts, `.pth` files and shared namespaces work, and folders can be written."""
    wheels = tmp_path / "wheels"
    demo_project.wheels += [
        make_wheel(wheels, {"nsp/one/__init__.py": b"X = 1\n"}, name="nsp_one"),
        make_wheel(wheels, {"nsp/two/__init__.py": b"X = 2\n"}, name="nsp_two"),
        make_wheel(
            wheels, {"hook.pth": b"import hooked\n", "hooked.py": b"import sys\nsys.hooked = 'by pth'\n"}, name="hook"
        ),
        make_wheel(
            wheels,
            {
                "tool/__init__.py": b"def main():\n    print('tool runs')\n",
                "tool-1.0.data/scripts/raw": b"#!python\nprint('raw runs')\n",
            },
            name="tool",
            entry_points="[console_scripts]\ntool = tool:main\n",
        ),
    ]
    demo_project.write(
        "train.py",
        "import sys, os, importlib.metadata as m\n"
        "import nsp.one, nsp.two, big\n"
        "open('output/model', 'w').write('x')\n"
        "print(nsp.one.X + nsp.two.X, sys.hooked, m.version('tool'), sys.prefix, os.getcwd(), sys.argv[1:])\n",
    )
    _, name = publish(demo_project, "kinds", directories=["output"])

    assert run(name, "--epochs", "3", user="1234") == "3 by pth 1.0 /opt/vertex-training/venv /app ['--epochs', '3']\n"
    assert (
        run(name, "-c", "tool && raw && python3 -c 'import big; print(big.X)'", entrypoint="sh")
        == "tool runs\nraw runs\n1\n"
    )


def test_every_tool_reads_it(demo_project, publish, docker_registry, tmp_path: Path) -> None:
    """Skopeo copies it, umoci unpacks what skopeo copyable, buildah pulls it."""
    for tool in ("skopeo", "umoci", "buildah"):
        if shutil.which(tool) is None:
            missing("registry", f"{tool} is not here; apt-get install {tool}")
    image, name = publish(demo_project, "tools", directories=["output"])
    user = f"{docker_registry.username}:{docker_registry.password}"
    copied = f"oci:{tmp_path}/copied:v1"
    _tool("skopeo", "copy", "--src-tls-verify=false", "--src-creds", user, f"docker://{name}", copied)
    _tool("umoci", "unpack", "--image", f"{tmp_path}/copied:v1", str(tmp_path / "bundle"))
    storage = ["--root", str(tmp_path / "buildah"), "--runroot", str(tmp_path / "run"), "--storage-driver", "overlay"]
    _tool("buildah", *storage, "pull", "--tls-verify=false", "--creds", user, f"docker://{name}")

    assert (tmp_path / "bundle/rootfs/app/train.py").read_bytes() == (demo_project.root / "train.py").read_bytes()
    assert (tmp_path / "bundle/rootfs/opt/vertex-training/venv/bin/python").is_symlink()
    seen = json.loads(_tool("skopeo", "inspect", "--tls-verify=false", "--creds", user, f"docker://{name}"))
    assert seen["Digest"] == image.digest
    assert len(seen["Layers"]) == len(image.layers)


def test_digits_trains(demo_project, publish, run, tmp_path: Path) -> None:
    """The example project with scikit-learn, scipy and numpy trains in the image."""
    for name in ("train.py", "requirements.txt"):
        demo_project.write(name, (DIGITS / name).read_bytes())
    lock = _tool(
        *(
            find_uv_bin(),
            "pip",
            "compile",
            "--format",
            "pylock.toml",
            "--python-version",
            "3.11",
            "--only-binary",
            ":all:",
        ),
        *("--python-platform", "x86_64-manylinux_2_28", "--no-header", str(DIGITS / "requirements.txt")),
    )
    image, name = publish(demo_project, "digits", lock=lock, directories=["model"])

    output = run(name, "--epochs", "2")

    assert '{"epoch": 2, "epochs": 2, ' in output
    assert "saved model.joblib" in output
    assert {"scipy", "numpy", "scikit-learn"} <= {layer.title.split()[0] for layer in image.layers}


def test_wrong_python(demo_project, base: Base, publish, run) -> None:
    """Packages for another Python are refused; if the base's version is wrong, the job's first line says so."""
    with pytest.raises(BaseImageError, match=r"the base has Python 3\.11, and the dependencies are frozen for 3\.12"):
        demo_project.build(base=base, python="3.12")

    _, name = publish(
        demo_project,
        "lying",
        base=replace(base, read=lambda: base.contents._replace(python_version="3.12")),
        python="3.12",
    )
    with pytest.raises(ContainerError, match=r"for Python 3\.12, and its base has another version"):
        run(name)


def _tool(*command: str) -> str:
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout
