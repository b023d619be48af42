"""The Dockerfile of a project that has none, and the requirements file that it installs."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from ..core.errors import DependencyError, DockerError
from .model import ImageRequest

REQUIREMENTS = "requirements.frozen.txt"
CONDA = "conda.frozen.txt"
WHEELS = "wheels"
HOME = "/opt/app"
USER = "trainer"

_HEADER = """\
# What `vertex-training run --builder docker` builds for this project. To change it, save it as the project's
# Dockerfile; {frozen} is added to the build by itself.
FROM {base}
"""

_PIP = f"""\
# Dependencies come before the code: an edited line keeps this layer.
COPY {REQUIREMENTS} ./
RUN {{mount}}python3 -m pip install --no-cache-dir --no-deps --require-hashes --requirement {REQUIREMENTS}
"""
# Wheels from this machine are lent to the step, not copied: a copy would stay in the layer.
_MOUNT = f"--mount=type=bind,source={WHEELS},target={WHEELS} "

_CONDA = f"""\
# Dependencies come before the code: an edited line keeps this layer. The file names each package by URL and hash.
COPY {CONDA} ./
RUN conda create --yes --prefix /opt/conda/envs/training --file {CONDA} && conda clean --all --yes
ENV PATH=/opt/conda/envs/training/bin:$PATH
"""

_CODE = f"""\
# Training needs no root; the directories it writes to are its own.
RUN useradd --create-home {USER} && mkdir -p {{directories}} && chown {USER}: {{directories}}
COPY . .
USER {USER}
ENTRYPOINT {{entrypoint}}
"""


@dataclass(frozen=True, slots=True)
class Frozen:
    """The frozen dependencies as files of the build's context.

    Attributes:
        name: Of the file that lists them; empty if there are none.
        text: What it holds.
        wheels: Files on this machine that it names, each as `wheels/FILENAME` in the context.
    """

    name: str = ""
    text: str = ""
    wheels: tuple[Path, ...] = ()


def render(request: ImageRequest) -> str:
    """The Dockerfile for `request`, which has none of its own; `request.base` must be set.

    Raises:
        DependencyError: The lock holds something that pip can't install by hash.
    """
    assert request.base
    frozen = freeze(request.lock)
    parts = [_HEADER.format(base=request.base, frozen=frozen.name or REQUIREMENTS)]
    env = {"PYTHONUNBUFFERED": "1", **request.env}
    parts.append("".join(f"ENV {name}={_quoted(value)}\n" for name, value in env.items()))
    parts.append(f"WORKDIR {HOME}\n")
    if frozen.name == CONDA:
        parts.append(_CONDA)
    elif frozen.name:
        parts.append(_PIP.format(mount=_MOUNT if frozen.wheels else ""))
    directories = " ".join(shlex.quote(folder) for folder in (".", *request.directories))
    parts.append(_CODE.format(directories=directories, entrypoint=json.dumps(["python3", request.script])))
    return "\n".join(parts)


def freeze(lock: str) -> Frozen:
    """The lock as what pip or conda reads: every file by its hash.

    Args:
        lock: `pylock.toml`, or conda's explicit list (`conda list --explicit`), whose text holds "@EXPLICIT".

    Raises:
        DependencyError: A package without a hash, or from version control.
    """
    if not lock.strip():
        return Frozen()
    if "@EXPLICIT" in lock.splitlines():
        return Frozen(CONDA, lock)
    packages = [_Package(entry) for entry in tomllib.loads(lock).get("packages", [])]
    if not packages:
        return Frozen()
    indexes = sorted({package.index for package in packages if package.index})
    lines = [f"--extra-index-url {index}" for index in indexes]
    lines += [package.requirement() for package in packages]
    wheels = tuple(path for package in packages for path in package.local_files())
    return Frozen(REQUIREMENTS, "\n".join(lines) + "\n", wheels)


class _Package:
    """One `[[packages]]` of a pylock.toml."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.name: str = entry["name"]
        self.version: str = entry.get("version", "")
        self.marker: str = entry.get("marker", "")
        self.index = _without_password(entry.get("index", ""))
        self.archive: dict[str, Any] | None = entry.get("archive")
        self.files: list[dict[str, Any]] = [
            *entry.get("wheels", []),
            *([entry["sdist"]] if "sdist" in entry else []),
            *([self.archive] if self.archive else []),
        ]

    def requirement(self) -> str:
        """One entry of a requirements file.

        All hashes are listed and pip takes the file that fits: the image's Python knows best which one.
        """
        hashes = [f"--hash=sha256:{file['hashes']['sha256']}" for file in self.files if "sha256" in file["hashes"]]
        if not hashes:
            raise DependencyError(
                f"{self.name} can't be installed by hash",
                where="the lock",
                next_step="Require a released version of it instead of a folder or a repository",
            )
        local = list(self.local_files())
        if local:
            what = f"./{WHEELS}/{local[0].name}"
        elif self.archive:
            what = f"{self.name} @ {_without_password(self.archive['url'])}"
        else:
            what = f"{self.name}=={self.version}"
        return " \\\n    ".join([f"{what} ; {self.marker}" if self.marker else what, *hashes])

    def local_files(self) -> Iterator[Path]:
        """The wheels of it that lie on this machine."""
        for file in self.files:
            url = urlsplit(file.get("url", ""))
            if file.get("path"):
                yield Path(file["path"])
            elif url.scheme == "file":
                yield Path(unquote(url.path))


def _without_password(url: str) -> str:
    """The URL as it may stand in an image, which others can read."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _quoted(value: str) -> str:
    """A value of ENV, in which Docker would expand `$`."""
    if "\n" in value:
        raise DockerError(
            "an environment variable with a line break can't stand in a Dockerfile",
            where=value[:40],
            next_step="Take the line break out, or build with --builder direct",
        )
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'
