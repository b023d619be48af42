"""Renders the Dockerfile of a project without one, and the requirements file that it installs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from ...core.errors import DependencyError, DockerError
from ...core.security.parsed_text import parse_toml
from ..oci.image_types import ImageRequest, SourceFile

REQUIREMENTS = "requirements.frozen.txt"
WHEELS = "wheels"

_HEADER = """\
# What `vertex-training run --builder docker` builds for this project{added}.
# Saved as the project's Dockerfile it does the same, and is yours to change.
{code}FROM {base}
"""

_WORK = """\
{env}
WORKDIR /opt/app
"""

# Wheels from this machine are mounted for the step that installs them: a copy would stay in a layer.
_CODE_STAGE = f"""\

# Wheels from this machine come with the code; this stage keeps them out of the image.
FROM {{base}} AS code
COPY . /code
RUN rm -r /code/{WHEELS}

"""
_WHEELS_MOUNT = f"--mount=type=bind,source={WHEELS},target={WHEELS} "

_PIP = f"""\
# Dependencies come before the code: an edited line keeps this layer.
COPY {REQUIREMENTS} ./
RUN {{mount}}python3 -m pip install --no-cache-dir --no-deps --require-hashes --requirement {REQUIREMENTS}
"""

_CONDA = """\
# Dependencies come before the code: an edited line keeps this layer.
COPY {file} ./
RUN conda {create} --yes --prefix /opt/training --file {file} && conda clean --all --force-pkgs-dirs --yes
ENV PATH=/opt/training/bin:$PATH
"""

_CODE = """\
# Training needs no root; the directories that it writes to are its own.
RUN useradd --create-home trainer && {directories}
COPY {copy} .
USER trainer
ENTRYPOINT {entrypoint}
"""

_CONDA_FILES = ("environment.yml", "environment.yaml", "conda.yml", "conda.yaml", "conda.txt")
# "numpy=1.26.4=py311h64a7726_0", as `conda list --export` writes; pip writes two equal signs.
_CONDA_LINE = re.compile(r"^([\w.-]+)=([^=\s]+)=([^=\s]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PipRequirements:
    """The frozen dependencies as files of the build context.

    Attributes:
        text: The requirements file, with hashes; empty for no dependencies.
        wheels: Files on this machine that it names, each `wheels/FILENAME` in the context.
    """

    text: str = ""
    wheels: tuple[Path, ...] = ()


def render(request: ImageRequest) -> str:
    """Renders the Dockerfile for a request without one; `request.base` must be set.

    Raises:
        DependencyError: A package of the lock can't be installed by hash.
        DockerError: A setting can't be written in a Dockerfile.
    """
    assert request.base
    conda = None if request.lock.strip() else find_conda_file(request.files, request.conda)
    requirements = PipRequirements() if conda else pip_requirements(request.lock)
    env = {"PYTHONUNBUFFERED": "1", **request.env}
    folders = " ".join(map(shlex.quote, request.directories))
    parts = [
        _HEADER.format(
            added=f"; {REQUIREMENTS} is added to its context" if requirements.text else "",
            code=_CODE_STAGE.format(base=request.base) if requirements.wheels else "",
            base=request.base,
        ),
        _WORK.format(env="\n".join(f"ENV {name}={_quoted(value)}" for name, value in env.items())),
        _conda(conda) if conda else _pip(requirements),
        _CODE.format(
            directories=f"mkdir -p {folders} && chown trainer: . {folders}" if folders else "chown trainer: .",
            copy="--from=code /code" if requirements.wheels else ".",
            entrypoint=json.dumps(_entry_point(request)),
        ),
    ]
    return "\n".join(part for part in parts if part)


def _entry_point(request: ImageRequest) -> list[str]:
    first, *rest = request.entry or ("python", request.script)
    return ["python3" if first == "python" else first, *rest]


def _pip(requirements: PipRequirements) -> str:
    return _PIP.format(mount=_WHEELS_MOUNT if requirements.wheels else "") if requirements.text else ""


def _conda(name: str) -> str:
    return _CONDA.format(file=name, create="env create" if name.endswith((".yml", ".yaml")) else "create")


def find_conda_file(files: Sequence[SourceFile], chosen: str | None = None) -> str | None:
    """The project's list of conda packages; None without one, or beside a list for pip, which takes precedence.

    Args:
        files: The project's files.
        chosen: The file that was frozen, if known.

    Raises:
        DependencyError: The file lists pip packages in a form that conda can't install.
    """
    known = {file.path: file for file in files}
    if chosen in known:
        return chosen if _is_conda(known[chosen]) else None
    if "requirements.txt" in known:
        return "requirements.txt" if _is_conda(known["requirements.txt"]) else None
    return next((name for name in _CONDA_FILES if name in known and _is_conda(known[name])), None)


def _is_conda(file: SourceFile) -> bool:
    text = file.source.read_text(encoding="utf-8", errors="replace")
    if file.path.endswith((".yml", ".yaml")):
        return re.search(r"^dependencies:", text, re.MULTILINE) is not None
    lines = _CONDA_LINE.findall(text)
    if foreign := [name for name, _, build in lines if build == "pypi_0"]:
        raise DependencyError(
            f"conda can't install {foreign[0]}, which pip installed",
            where=file.source,
            next_step="Freeze with `conda env export --no-builds > environment.yml`, which keeps pip's packages apart",
        )
    return bool(lines) or "@EXPLICIT" in text.splitlines()


def pip_requirements(lock: str) -> PipRequirements:
    """Translates a `pylock.toml` into a requirements file for the pip in the image.

    Raises:
        DependencyError: A package has no hash: it is a folder, or from version control.
    """
    packages = [_Package(entry) for entry in parse_toml(lock).get("packages", [])]
    if not packages:
        return PipRequirements()
    lines = [f"--extra-index-url {index}" for index in sorted({p.index for p in packages if p.index})]
    lines += [package.requirement() for package in packages]
    return PipRequirements(
        "\n".join(lines) + "\n", tuple(path for package in packages for path in package.local_files())
    )


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
        """The package's entry in the requirements file.

        It lists all hashes, and the pip in the image chooses the file that fits its Python.
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
        """The package's wheels on this machine."""
        for file in self.files:
            url = urlsplit(file.get("url", ""))
            if file.get("path"):
                yield Path(file["path"])
            elif url.scheme == "file":
                yield Path(unquote(url.path))


def _without_password(url: str) -> str:
    """The URL without credentials, which others could read in the image."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _quoted(value: str) -> str:
    """A value for ENV, quoted: Docker would expand `$`."""
    if "\n" in value:
        raise DockerError(
            "an environment variable with a line break can't be written in a Dockerfile",
            where=value[:40],
            next_step="Remove the line break, or build with --builder direct",
        )
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'
