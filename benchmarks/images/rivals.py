"""Other tools that build and push, with the commands that their users type."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from projects import DOCKERFILE, DOCKERFILE_UV, Project

# What lets pip and uv in a build see the indexes that this machine uses.
PASSED_ON = [name for name in os.environ if name.startswith(("PIP_INDEX", "PIP_EXTRA", "UV_INDEX", "UV_DEFAULT"))]


def run(*command: str | Path, env: Mapping[str, str] | None = None) -> None:
    """Runs a command; its output is shown if it fails."""
    done = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {(done.stdout + done.stderr)[-1500:]}")


class Rival:
    """One way to build and push.

    Attributes:
        name: In the table.
    """

    name = ""

    def missing(self) -> str:
        """What this machine lacks for this tool; empty if nothing."""
        return ""

    def prepare(self, project: Project, base: str) -> None:
        """Writes the Dockerfile."""
        (project.folder / "Dockerfile").write_text(DOCKERFILE.format(base=base))

    def forget(self, base: str) -> None:
        """Empties every cache, and keeps the base."""
        raise NotImplementedError

    def build_and_push(self, project: Project, image: str) -> None:
        """Builds and pushes: the part that is timed."""
        raise NotImplementedError


def _docker() -> str:
    """A docker client that supports BuildKit: 20.10's, or a newer one with buildx."""
    for path in ("/usr/bin/docker", shutil.which("docker") or ""):
        if Path(path).exists():
            version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
            if "version 20." in version or "version 19." in version:
                return path
            if subprocess.run([path, "buildx", "version"], capture_output=True, check=False).returncode == 0:
                return path
    return ""


def build_arguments() -> list[str]:
    """Build arguments for pip's and uv's settings."""
    return [word for name in PASSED_ON for word in ("--build-arg", name)]


class Docker(Rival):
    """The engine's own builders."""

    def __init__(self, *, buildkit: bool) -> None:
        self.name = "BuildKit" if buildkit else "docker classic"
        self.env = {"DOCKER_BUILDKIT": "1" if buildkit else "0"}
        self.docker = _docker()

    def missing(self) -> str:
        if not self.docker:
            return "a docker client of version 20.10, or one with buildx"
        if subprocess.run([self.docker, "version"], capture_output=True, check=False).returncode:
            return "a running Docker engine"
        return ""

    def forget(self, base: str) -> None:
        run(self.docker, "image", "prune", "--all", "--force")
        run(self.docker, "builder", "prune", "--all", "--force")
        run(self.docker, "pull", base)

    def build_and_push(self, project: Project, image: str) -> None:
        words = ["build", "--network", "host", *build_arguments(), "--tag", image, str(project.folder)]
        run(self.docker, *words, env=self.env)
        run(self.docker, "push", image)


class BuildKitUv(Docker):
    """BuildKit with uv instead of pip, as in the fastest Dockerfiles."""

    def __init__(self) -> None:
        super().__init__(buildkit=True)
        self.name = "BuildKit + uv"
        self.uv = ""

    def prepare(self, project: Project, base: str) -> None:
        """Uv comes from its own image, as usual: in the context, `COPY . .` would push it each time."""
        import uv

        super().prepare(project, base)
        self.uv = f"{base.partition('/')[0]}/base/uv:latest"
        with tempfile.TemporaryDirectory() as context:
            shutil.copy(uv.find_uv_bin(), context)
            (Path(context) / "Dockerfile").write_text("FROM scratch\nCOPY uv /uv\n")
            run(self.docker, "build", "--tag", self.uv, context, env=self.env)
        run(self.docker, "push", self.uv)
        (project.folder / "Dockerfile").write_text(DOCKERFILE_UV.format(base=base, uv=self.uv))

    def forget(self, base: str) -> None:
        super().forget(base)
        run(self.docker, "pull", self.uv)


class Buildah(Rival):
    """Buildah, with a layer for each instruction."""

    name = "buildah"

    def missing(self) -> str:
        return "" if shutil.which("buildah") else "buildah"

    def forget(self, base: str) -> None:
        run("buildah", "rm", "--all")
        run("buildah", "rmi", "--all", "--force")
        run("buildah", "pull", "--tls-verify=false", base)

    def build_and_push(self, project: Project, image: str) -> None:
        words = ["--layers", "--tls-verify=false", "--isolation", "chroot", "--network", "host", *build_arguments()]
        run("buildah", "build", *words, "--tag", image, project.folder)
        run("buildah", "push", "--tls-verify=false", image)


class PrefectDocker(Docker):
    """prefect-docker's deployment steps, in one process as in `prefect deploy`, without the time of imports."""

    def __init__(self) -> None:
        super().__init__(buildkit=False)
        self.name = "prefect-docker"

    def missing(self) -> str:
        return super().missing() or ("" if _importable("prefect_docker") else "prefect-docker")

    def build_and_push(self, project: Project, image: str) -> None:
        from prefect_docker.deployments.steps import build_docker_image, push_docker_image

        name, _, tag = image.rpartition(":")
        here = Path.cwd()
        os.chdir(project.folder)  # the step has no other way to name the context
        options: dict[str, Any] = {
            "buildargs": {name: os.environ[name] for name in PASSED_ON},
            "network_mode": "host",
            "rm": True,
        }
        try:
            with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
                build_docker_image(dockerfile="Dockerfile", image_name=name, tag=tag, ignore_cache=True, **options)
                push_docker_image(image_name=name, tag=tag, ignore_cache=True)
        finally:
            os.chdir(here)


def _importable(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None


def rivals() -> list[Rival]:
    """All other tools, in the table's order."""
    return [Docker(buildkit=False), Docker(buildkit=True), BuildKitUv(), Buildah(), PrefectDocker()]


OURS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from ours import Ours
ours = Ours(Path(sys.argv[2]))
ours.build_and_push_project(Path(sys.argv[3]), sys.argv[4], sys.argv[5])
"""


def whole_process(home: Path, folder: Path, image: str, base: str) -> Sequence[str]:
    """The command that does what `Ours` does, in a process of its own."""
    return [sys.executable, "-c", OURS, str(Path(__file__).parent), str(home), str(folder), image, base]
