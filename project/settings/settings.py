"""A project's settings: the table `[tool.vertex-training]` in its pyproject.toml. Every setting has a default."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

from ...core.errors import ProjectError
from ...core.security.parsed_text import parse_toml
from ...core.security.secret_sources import BUILD_FORMS, FORMS, SecretSource
from .choose_entry import choose_entry
from .data_settings import DataSetting, check_places, data_sets
from .entry import Entry
from .fallback_settings import FALLBACK_KEYS, FallbackSettings, fallback_settings
from .import_path import import_path
from .job_settings import JOB_KEYS, JobSettings, job_settings
from .python_version import choose_python
from .readers import (
    Keys,
    arguments,
    build_secrets,
    command,
    environment,
    flag,
    inside,
    insides,
    matching,
    names,
    number,
    one_of,
    output_patterns,
    patterns,
    read_table,
    secret_sources,
    table,
    text,
)
from .sweep_settings import SweepSettings, sweep_settings
from .toml_lines import place_of

TABLE = "tool.vertex-training"

Builder = Literal["direct", "docker"]
Verify = Literal["here", "locked", "image", "off"]
LocalStorage = Literal["here", "real"]
Preflight = Literal["on", "warn", "off"]
Freeze = Literal[
    "auto", "uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.txt", "pyproject.toml",
    "conda", "setup.cfg", "setup.py", "script", "environment",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """A project's settings; the key in TOML is the field's name with `-` for `_`.

    Attributes:
        root: The project's folder, absolute, links resolved.
        name: Name of the image: lowercase letters, digits, `-`, `_`, `.`.
        script: The file that trains, relative to the project: a script, a module's file, a notebook or the file that a
            command runs; empty for a command without one.
        python: Python minor version that runs the script, such as "3.11".
        args: Arguments of every run, before those of the command line.
        verify_args: Arguments of the local run; None uses the run's own, limited to a small workload.
        verify: `here` runs the script in the user's own Python if it meets the requirements; `locked` always in a
            clean environment of the frozen dependencies; `image` in the image of the project's own Dockerfile; `off`
            sends it without a local run.
        verify_timeout: Time limit of the local run, in seconds.
        verify_resume: Whether the local run is stopped after its first checkpoint and started again, and must continue.
        preflight: Whether a run in the cloud first checks its Google Cloud project, and stops if a check fails.
        prices: A file with prices of machines, which comes before all others; relative to the project.
        directories: Empty folders to create in the working directory.
        base: Base image; None lets the builder choose.
        base_python: Absolute path of the base's Python; None finds it in the base's layers.
        include: Patterns, as in .gitignore, of files that go into the image although another rule ignores them.
        exclude: Patterns of files that stay out of the image.
        env: Environment variables of the script, here and in the cloud; none is in the image.
        import_path: Variables by which the script finds the project's modules; they are in the image, too.
        secret_env: Variables whose values are secrets, and where these come from.
        requirements: The requirements file, relative to the project; None looks for a dependency list.
        freeze: The dependency list to freeze; `auto` takes the first that exists.
        extras: Extras (optional dependencies) of the list that are installed too.
        groups: Dependency groups of the list that are installed too.
        translate: Whether a conda list is translated for pip; if not, conda makes the image.
        model_dir_argument: A flag of the script, such as "--output", that gets the model's folder.
        outputs: Patterns of files that the script writes in its working directory and that become part of the model.
        builder: How the image is built; None takes Docker if there is a Dockerfile.
        build_args: Values for the Dockerfile's ARG lines.
        build_secrets: Secrets that the Dockerfile mounts, by their ids, and where their values come from.
        build_target: The Dockerfile's stage to build; None builds the last.
        size_limit_mb: Megabytes (10^6 bytes) that all files together may have.
        allow_secrets: Patterns of files that may look like secrets, and `path#id` of single findings.
        data: The data sets that the script reads and that don't go into the image.
        data_limit_gb: Gigabytes (10^9 bytes) that all data sets of this machine together may have.
        local_storage: `here`: what the local run writes to gs:// stays on this machine; `real`: it reaches the buckets.
        sweep: How the script's parameters are searched.
        job: The settings of the job.
        fallback: Where else the job may run.
        entry: How the training is started; None runs `script` by its path.
    """

    root: Path
    name: str
    script: str
    python: str
    args: tuple[str, ...] = ()
    verify_args: tuple[str, ...] | None = None
    verify: Verify = "here"
    verify_timeout: float = 600.0
    verify_resume: bool = False
    preflight: Preflight = "on"
    prices: str | None = None
    directories: tuple[str, ...] = ()
    base: str | None = None
    base_python: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    import_path: Mapping[str, str] = field(default_factory=dict)
    secret_env: Mapping[str, SecretSource] = field(default_factory=dict)
    requirements: str | None = None
    freeze: Freeze = "auto"
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    translate: bool = False
    model_dir_argument: str | None = None
    outputs: tuple[str, ...] = ()
    builder: Builder | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    build_secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    build_target: str | None = None
    size_limit_mb: float = 500.0
    allow_secrets: tuple[str, ...] = ()
    data: tuple[DataSetting, ...] = ()
    data_limit_gb: float = 100.0
    local_storage: LocalStorage = "here"
    sweep: SweepSettings = field(default_factory=SweepSettings)
    job: JobSettings = field(default_factory=JobSettings)
    fallback: FallbackSettings = field(default_factory=FallbackSettings)
    entry: Entry | None = None

    @property
    def runtime_features(self) -> tuple[str, ...]:
        """The settings that need the runtime in the image; none where the script is started without it."""
        wanted = {
            "outputs": self.outputs,
            "data": self.data,
            "secret-env": self.secret_env,
            "launcher": self.job.launcher != "none",
            'engine = "vertex"': self.sweep.engine == "vertex",
        }
        return tuple(name for name, value in wanted.items() if value)

    @property
    def starts(self) -> Entry:
        """How the training is started."""
        return self.entry or Entry("script", self.script)

    @property
    def title(self) -> str:
        """What trains, for messages: the file, or a command without one."""
        return self.script or " ".join(self.starts.command)


def load(folder: Path) -> Settings:
    """Reads the settings of the project in `folder`; a folder with only `train.py` gets the defaults.

    Raises:
        ProjectError: The folder doesn't exist, it has no script or several, or a setting is unknown or invalid.
    """
    root = _root(folder)
    document = _document(root)
    file = root / "pyproject.toml"
    values = read_table(_table(document, root), _KEYS, TABLE, file)
    sweep = sweep_settings(values.pop("sweep", {}), file)
    asked = {key: values.pop(key) for key in ("script", "module", "command") if key in values}
    entry = choose_entry(root, document, **asked)
    script = entry.source
    check_places(values.get("data", ()), script, root)
    python = values.pop("python", None) or choose_python(root, document, script)
    name = values.pop("name", None) or image_name(root.name)
    values["import_path"] = import_path(root, document, script)
    values["env"] = {**values["import_path"], **values.get("env", {})}
    _refuse_two_values(values["env"], values.get("secret_env", {}), file)
    fallback = fallback_settings(values, TABLE, file)
    job = job_settings(values, TABLE, file)
    values["entry"] = None if entry.kind == "script" else entry
    return Settings(
        root=root, name=name, script=script, python=python, sweep=sweep, job=job, fallback=fallback, **values
    )


def _refuse_two_values(env: Mapping[str, str], secret_env: Mapping[str, SecretSource], file: Path) -> None:
    if both := sorted(env.keys() & secret_env.keys()):
        raise ProjectError(
            f"{both[0]} is set by env and by secret-env in [{TABLE}]",
            where=place_of(file, f"{TABLE}.secret-env", both[0]),
            next_step="Remove one of them",
        )


def image_name(text: str) -> str:
    """A valid image name made from `text`: "My Project (é)" gives "my-project-e"."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only)[:63].strip("-") or "project"


def _root(folder: Path) -> Path:
    path = folder.expanduser()
    if not path.exists():
        raise ProjectError("there is no such folder", where=folder, next_step="Give your training code's folder")
    if not path.is_dir():
        raise ProjectError("not a folder", where=folder, next_step=f"Give the folder around it: {path.parent}")
    return path.resolve()


def _document(root: Path) -> dict[str, Any]:
    path = root / "pyproject.toml"
    try:
        return parse_toml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"not valid TOML: {error}", where=path, next_step="Fix that line") from error
    except OSError as error:
        raise ProjectError(f"can't be read: {error.strerror}", where=path) from error


def _table(document: Mapping[str, Any], root: Path) -> Mapping[str, Any]:
    tool = document.get("tool", {})
    tools = tool if isinstance(tool, dict) else {}
    table = tools.get("vertex-training", {})
    if misspelled := get_close_matches("vertex-training", set(tools) - {"vertex-training"}, n=1, cutoff=0.9):
        raise ProjectError(
            f"unknown table [tool.{misspelled[0]}]",
            where=place_of(root / "pyproject.toml", "tool", misspelled[0]),
            next_step=f"Did you mean [{TABLE}]?",
        )
    if not isinstance(table, dict):
        raise ProjectError(
            f"{TABLE} must be a table", where=root / "pyproject.toml", next_step=f"Write it as [{TABLE}]"
        )
    return table


_KEYS: Keys = {
    **JOB_KEYS,
    **FALLBACK_KEYS,
    "name": (
        "an image name (lowercase letters, digits, single '-', '_' or '.')",
        matching(r"[a-z0-9]+([._-][a-z0-9]+)*"),
    ),
    "script": ("the path of a script in the project", text),
    "module": ('the name of a module, as "trainer.task"', matching(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?")),
    "command": ("a list of words, the program first", command),
    "python": ('a minor version in quotes, as "3.11"', matching(r"3\.\d{1,2}")),
    "args": ("a list of arguments", arguments),
    "verify-args": ("a list of arguments", arguments),
    "verify": ('"here", "locked", "image" or "off"', one_of(*get_args(Verify))),
    "preflight": ('"on", "warn" or "off"', one_of(*get_args(Preflight))),
    "prices": ("the path of a CSV file with prices", text),
    "verify-resume": ("true or false", flag),
    "verify-timeout": ("a number of seconds above 0", number),
    "directories": ("a list of folders inside the project", insides),
    "base": ("an image reference", text),
    "base-python": ("an absolute path in the base, as /usr/bin/python3.11", matching(r"(/[\w.+-]+)+")),
    "include": ("a list of patterns", patterns),
    "exclude": ("a list of patterns", patterns),
    "env": ("a table of names and texts", environment),
    "secret-env": (f"a table of names and sources, each {FORMS}", secret_sources),
    "requirements": ("the path of a file in the project", inside),
    "freeze": (f"one of {', '.join(get_args(Freeze))}", one_of(*get_args(Freeze))),
    "extras": ("a list of names of extras", names),
    "groups": ("a list of names of dependency groups", names),
    "translate": ("true or false", flag),
    "model-dir-argument": ('a flag, as "--model-dir"', matching(r"--?[A-Za-z][A-Za-z0-9_.-]*")),
    "outputs": ('a list of patterns inside the project, as "out/*.pt"', output_patterns),
    "builder": ('"direct" or "docker"', one_of(*get_args(Builder))),
    "build-args": ("a table of names and texts", environment),
    "build-secrets": (f"a table of ids and sources, each {BUILD_FORMS}", build_secrets),
    "build-target": ("the name of a stage", text),
    "size-limit-mb": ("a number of megabytes above 0", number),
    "allow-secrets": ("a list of patterns", patterns),
    "data": (
        "a table of data sets, each a path, gs://BUCKET/FOLDER, or { path, include = [...], mode = copy or mount }",
        data_sets,
    ),
    "data-limit-gb": ("a number of gigabytes above 0", number),
    "sweep": ("a table, as [tool.vertex-training.sweep]", table),
    "local-storage": ('"here" or "real"', one_of(*get_args(LocalStorage))),
}
