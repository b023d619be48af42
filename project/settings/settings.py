"""A project's own settings: `[tool.vertex-training]` in its pyproject.toml, with a default for everything."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ...core.errors import ProjectError
from .job_settings import JOB_KEYS, JobSettings, job_settings
from .python_version import choose_python
from .readers import Keys, arguments, environment, flag, inside, insides, matching, number, patterns, read_table, text
from .script import choose_script

TABLE = "tool.vertex-training"

Builder = Literal["direct", "docker"]
Verify = Literal["here", "locked"]
Freeze = Literal[
    "auto", "uv.lock", "pylock.toml", "poetry.lock", "requirements.txt", "pyproject.toml", "conda", "environment"
]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a project needs; the TOML key is the field's name with `-` for `_`.

    Attributes:
        root: The project's folder, absolute, links resolved.
        name: The image's name: lowercase letters, digits, `-`, `_`, `.`.
        script: The training script, relative to the project.
        python: Minor version that runs it, as "3.11".
        args: Arguments of every run, before those of the command line.
        verify_args: Arguments of the local run; None shortens the run's own.
        verify: here runs the script in the user's own Python if that has the requirements; locked always in a
            clean environment made from the frozen list.
        verify_timeout: Seconds the local run may take.
        directories: Empty folders to make in the working directory.
        base: Base image; None lets the builder choose.
        include: Patterns, as in .gitignore, of files that go in although something ignores them.
        exclude: Patterns of files that stay out.
        env: Environment of the script, here and in the cloud.
        requirements: The requirements file, relative to the project; None looks for one.
        freeze: Which list of dependencies counts; auto takes what is there.
        translate: Whether a conda list becomes one for pip; else it becomes a conda image.
        model_dir_argument: A flag, as "--output", through which the script is told the model's folder.
        builder: How the image is built; None decides by whether there is a Dockerfile.
        build_args: Arguments of the Dockerfile's ARG lines.
        build_target: The Dockerfile's stage to build; None for the last.
        size_limit_mb: Megabytes (10^6 bytes) that all files together may have.
        allow_secrets: Patterns of files that may go in although they look like secrets, and `path#id` for one finding.
        job: How the job runs.
    """

    root: Path
    name: str
    script: str
    python: str
    args: tuple[str, ...] = ()
    verify_args: tuple[str, ...] | None = None
    verify: Verify = "here"
    verify_timeout: float = 600.0
    directories: tuple[str, ...] = ()
    base: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    requirements: str | None = None
    freeze: Freeze = "auto"
    translate: bool = False
    model_dir_argument: str | None = None
    builder: Builder | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    build_target: str | None = None
    size_limit_mb: float = 500.0
    allow_secrets: tuple[str, ...] = ()
    job: JobSettings = field(default_factory=JobSettings)


def load(folder: Path) -> Settings:
    """Reads the settings of the project in `folder`; a folder with only `train.py` has good ones.

    Raises:
        ProjectError: No such folder, no script or several, or a setting that is unknown or wrong.
    """
    root = _root(folder)
    document = _document(root)
    file = root / "pyproject.toml"
    values = read_table(_table(document, root), _KEYS, TABLE, file)
    script = choose_script(root, values.pop("script", None))
    python = values.pop("python", None) or choose_python(root, document)
    name = values.pop("name", None) or image_name(root.name)
    values["env"] = {**_import_path(root, script), **values.get("env", {})}
    job = job_settings(values, TABLE, file)
    return Settings(root=root, name=name, script=script, python=python, job=job, **values)


def image_name(text: str) -> str:
    """The valid image name nearest to `text`: "My Project (é)" becomes "my-project-e"."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only)[:63].strip("-") or "project"


def _root(folder: Path) -> Path:
    path = folder.expanduser()
    if not path.exists():
        raise ProjectError("there is no such folder", where=folder, next_step="Give your training code's folder")
    if not path.is_dir():
        raise ProjectError("not a folder", where=folder, next_step=f"Give the folder around it: {path.parent}")
    return path.resolve()


def _import_path(root: Path, script: str) -> dict[str, str]:
    """Where modules lie that Python would not find by the script's own folder; counts from the project."""
    folders = []
    if "/" in script and not script.startswith("src/"):
        folders.append(".")  # trainer/task.py, Vertex AI's own layout, imports trainer
    if (root / "src").is_dir() and not (root / "src" / "__init__.py").exists():
        folders.append("src")
    return {"PYTHONPATH": ":".join(folders)} if folders else {}


def _document(root: Path) -> dict[str, Any]:
    path = root / "pyproject.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"not valid TOML: {error}", where=path, next_step="Correct that line") from error
    except OSError as error:
        raise ProjectError(f"can't be read: {error.strerror}", where=path) from error


def _table(document: Mapping[str, Any], root: Path) -> Mapping[str, Any]:
    tool = document.get("tool", {})
    table = tool.get("vertex-training", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ProjectError(
            f"{TABLE} must be a table", where=root / "pyproject.toml", next_step=f"Write it as [{TABLE}]"
        )
    return table


_KEYS: Keys = {
    **JOB_KEYS,
    "name": (
        "an image name (lowercase letters, digits, single '-', '_' or '.')",
        matching(r"[a-z0-9]+([._-][a-z0-9]+)*"),
    ),
    "script": ("the path of a script in the project", text),
    "python": ('a minor version in quotes, as "3.11"', matching(r"3\.\d{1,2}")),
    "args": ("a list of arguments", arguments),
    "verify-args": ("a list of arguments", arguments),
    "verify": ('"here" or "locked"', matching("here|locked")),
    "verify-timeout": ("a number of seconds above 0", number),
    "directories": ("a list of folders inside the project", insides),
    "base": ("an image reference", text),
    "include": ("a list of patterns", patterns),
    "exclude": ("a list of patterns", patterns),
    "env": ("a table of names and texts", environment),
    "requirements": ("the path of a file in the project", inside),
    "freeze": (f"one of {', '.join(get_args(Freeze))}", matching("|".join(map(re.escape, get_args(Freeze))))),
    "translate": ("true or false", flag),
    "model-dir-argument": ('a flag, as "--model-dir"', matching(r"--?[A-Za-z][A-Za-z0-9_.-]*")),
    "builder": ('"direct" or "docker"', matching("direct|docker")),
    "build-args": ("a table of names and texts", environment),
    "build-target": ("a stage's name", text),
    "size-limit-mb": ("a number of megabytes above 0", number),
    "allow-secrets": ("a list of patterns", patterns),
}
