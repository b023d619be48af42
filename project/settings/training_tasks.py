"""What a project's tasks say about how it is trained: `make train`, stages of DVC, scripts of PDM and the like."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...core.security.parsed_text import parse_toml, parse_yaml
from .candidates import file_of

_TRAINS = re.compile(r"(?:^|[-_.:/])(?:train(?:ing)?|fit|main)(?:$|[-_.:/])")
_MAKE_TARGET = re.compile(r"^([\w./-]+) *:(?![=:]).*\n((?:\t.*(?:\n|$))+)", re.MULTILINE)
_YAML_COMMAND = re.compile(r"^  +([\w.-]+):\s*\n(?:    +(?!cmd|command).*\n)*? +(?:cmd|command): *(.+)$", re.MULTILINE)
_JUST_RECIPE = re.compile(r"^@?([\w-]+)(?: +[^:\n]*)?:(?!=).*\n((?:[ \t]+.*(?:\n|$))+)", re.MULTILINE)
_TASKFILE_TASK = re.compile(r"^  ([\w:.-]+):.*\n((?:(?:   +.*)?(?:\n|$))+)", re.MULTILINE)
_TASK_FILES = {
    **dict.fromkeys(("justfile", "Justfile", ".justfile"), _JUST_RECIPE),
    **dict.fromkeys(("Taskfile.yml", "Taskfile.yaml", "taskfile.yml"), _TASKFILE_TASK),
    **dict.fromkeys(("Makefile", "makefile"), _MAKE_TARGET),
    **dict.fromkeys(("dvc.yaml", "MLproject"), _YAML_COMMAND),
}
_PROGRAM = re.compile(r"(?<!\S)-m +([A-Za-z_][\w.]*)|(?<![\w./-])([\w.][\w./-]*\.(?:py|ipynb))\b")
_WRAPPER = re.compile(r"^(?:uv|poetry|pdm|pipenv|pixi|hatch) run +(?:-- +)?")
"""What runs a command in the project's environment, as a job does anyway."""
_SIMPLE = re.compile(r"[A-Za-z][\w ./=:,@+-]*")
"""A command without variables, quotes and what only a shell understands."""
_LIBRARIES = frozenset(("spacy", "rasa", "ludwig", "yolo", "flair", "allennlp", "onmt_train", "fairseq-train", "mim"))
"""Programs of libraries that train what a configuration describes."""
_CALLING = (
    "README*",
    "Makefile",
    "makefile",
    "justfile",
    "dvc.yaml",
    "MLproject",
    "pyproject.toml",
    "*.sh",
    "scripts/*.sh",
)
"""Files that may say how the script is called."""
_WORDS = r"((?:[ \t]+[^\s`|&;#\"'$()<>{}\[\]*…]+)+)[ \t]*(?:[`|&;#)>\"']|$)"
_VARIABLE = re.compile(r"\$\{vars\.([\w.-]+)\}")


def in_tasks(root: Path, document: Mapping[str, Any]) -> list[str]:
    """What the tasks named after training run: paths of Python files and names of modules of the project, each once.

    Tasks are targets of a Makefile, recipes of a justfile, those of a Taskfile, stages of dvc.yaml, entry points of
    MLproject, and the scripts or tasks of PDM, poe, pixi, taskipy and Hatch in pyproject.toml, or in pixi.toml.
    """
    commands = [command for name, command in _tasks(root, document) if _TRAINS.search(name)]
    found: list[str] = []
    for module, path in _PROGRAM.findall("\n".join(commands)):
        if path and (root / path).is_file():
            found.append(os.path.normpath(path))
        elif module and file_of(root, module):
            found.append(module)
    return list(dict.fromkeys(found))


def command_of_library(root: Path, document: Mapping[str, Any]) -> tuple[str, ...]:
    """The words of the only task named after training that runs no file of the project: `spacy train config.cfg`.

    Empty if there is none, or if it needs a shell.
    """
    named = [command for name, command in _tasks(root, document) if _TRAINS.search(name)]
    found = {command for text in named if (command := _WRAPPER.sub("", text.strip().lstrip("@")))}
    command = found.pop() if len(found) == 1 else ""
    if not _SIMPLE.fullmatch(command):
        return ()
    words = shlex.split(command)
    program = words[2] if words[:2] in (["python", "-m"], ["python3", "-m"]) and len(words) > 2 else words[0]
    is_trainer = program.partition(".")[0] in _LIBRARIES and "train" in command
    return tuple(words) if is_trainer else ()


def _tasks(root: Path, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and commands."""
    for name, pattern in _TASK_FILES.items():
        yield from pattern.findall(_read(root / name).decode(errors="replace"))
    tools: Any = document.get("tool")
    for name in ("pdm", "poe", "pixi", "taskipy", "hatch") if isinstance(tools, dict) else ():
        yield from _texts_in(tools.get(name), "")
    yield from _texts_in(_toml(root / "pixi.toml"), "")
    yield from _of_spacy(root)


def called_with(root: Path, script: str, wanted: Iterable[str]) -> tuple[str, list[str]] | None:
    """A file of the project that calls the script with some of the wanted options, and all arguments of that call.

    A README, a task or a shell script; None if none does, or only with placeholders such as `<path>`.

    Args:
        root: The project's folder.
        script: The script, relative to the project.
        wanted: Options, of which the call has one; any call counts if none are known.
    """
    names = set(wanted)
    module = script.removesuffix(".py").removesuffix("/__main__").replace("/", ".")
    called = rf"(?:{re.escape(script)}|-m +{re.escape(module)}|{re.escape(Path(script).name)})"
    call = re.compile(rf"(?:^|[\s`/]){called}{_WORDS}", re.MULTILINE)
    for path in (path for pattern in _CALLING for path in sorted(root.glob(pattern)) if path.is_file()):
        for found in call.finditer(_read(path).decode(errors="replace").replace("\\\n", " ")):
            words = found[1].split()
            options = {word.partition("=")[0] for word in words}
            if names & options if names else words[0].startswith("-"):
                return path.relative_to(root).as_posix(), words
    return None


def _of_spacy(root: Path) -> Iterator[tuple[str, str]]:
    """The commands of a project of spaCy (https://github.com/explosion/weasel), with its variables replaced."""
    if not (root / "project.yml").is_file():
        return
    import yaml

    try:
        document: Any = parse_yaml((root / "project.yml").read_text(encoding="utf-8"))
        variables, commands = document.get("vars") or {}, document.get("commands") or []
        found = [(str(command["name"]), command.get("script") or []) for command in commands]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError, KeyError):
        return
    for name, lines in found:
        if len(lines) == 1 and isinstance(lines[0], str):
            yield name, _VARIABLE.sub(lambda match: str(variables.get(match[1], match[0])), lines[0])


def _toml(path: Path) -> dict[str, Any]:
    try:
        return parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _texts_in(value: Any, name: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - whatever TOML holds
    """All texts below a table, each with the name of the task: its own key, or that of the table for `cmd`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts_in(inner, name if key in {"cmd", "shell", "script", "command"} else str(key))
    elif isinstance(value, list):
        yield name, " ".join(item for item in value if isinstance(item, str))
    elif isinstance(value, str):
        yield name, value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
