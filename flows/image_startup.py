"""Places a run's arguments where the image of the project's own Dockerfile takes them, before anything is built."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..core.errors import DockerError
from ..images.docker.dockerfile_parse import Program, Startup, startup
from ..project.settings.candidates import file_in_image, file_of, serves
from ..project.settings.settings import Settings

_RUN_NOTHING = frozenset(
    ("scratch", "python", "ubuntu", "debian", "alpine", "cuda", "pytorch", "tensorflow",
     "miniconda", "miniconda3", "anaconda", "anaconda3", "miniforge3", "mambaforge", "micromamba")
)  # fmt: skip
"""Last names of bases, also in mirrors, whose images run no training: a shell, an interpreter or nothing."""
_SERVERS = frozenset(
    ("uvicorn", "gunicorn", "hypercorn", "daphne", "waitress-serve", "flask", "streamlit", "gradio", "tensorboard",
     "jupyter", "jupyter-lab", "jupyter-notebook", "torchserve", "tritonserver", "tensorflow_model_server")
)  # fmt: skip
_SERVING = frozenset(
    (("fastapi", "run"), ("fastapi", "dev"), ("mlflow", "server"), ("mlflow", "ui"), ("bentoml", "serve"))
)
"""Programs that answer requests until they are stopped."""
_SHELLS = frozenset(("sh", "bash", "dash", "ash", "zsh"))
_PYTHON = r"(?:python|pypy)[\d.]*"


class Placed(NamedTuple):
    """What a job gets: a command in place of the image's ENTRYPOINT (empty keeps it), and arguments for its CMD."""

    command: tuple[str, ...]
    args: list[str]


def without_runtime(settings: Settings) -> Settings:
    """The settings for an image as Docker built it, before the runtime is added."""
    return replace(
        settings,
        outputs=(),
        data=(),
        secret_env={},
        job=replace(settings.job, launcher="none"),
        sweep=replace(settings.sweep, engine="own"),
    )


def place_arguments(settings: Settings, args: Sequence[str], *, docker: bool) -> Placed:
    """The job's command and arguments.

    Args:
        settings: The project's settings.
        args: The arguments of the training, with placeholders filled.
        docker: Whether the project's own Dockerfile makes the image.

    Raises:
        DockerError: The Dockerfile's ENTRYPOINT or CMD can't take arguments, or it has neither.
    """
    entry = settings.starts
    rest = [*entry.job_words(), *args]
    dockerfile = settings.root / "Dockerfile"
    if not docker:
        return Placed((), rest)
    if entry.kind == "command":  # with the runtime, its words are in the image: a job's command would skip it
        return Placed(() if settings.runtime_features else entry.image_words(), rest)
    try:
        text = dockerfile.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return Placed((), rest)  # the build says what is wrong with it
    found = startup(text, settings.build_args, settings.build_target)
    _require_program(found, dockerfile, settings)
    _refuse_server(found, dockerfile)
    if settings.verify in {"here", "locked"}:
        _refuse_other_script(found, dockerfile, settings)
    return Placed((), _placed(found, rest, dockerfile) if rest else [])


def _placed(found: Startup, args: list[str], dockerfile: Path) -> list[str]:
    entrypoint, cmd = found.entrypoint, found.cmd
    if entrypoint and _shell_text(entrypoint):
        raise _shell_form("ENTRYPOINT", entrypoint, dockerfile)
    if cmd is None or (entrypoint and _runs_training(entrypoint.words)):
        return args
    if _shell_text(cmd):
        raise _shell_form("CMD", cmd, dockerfile)
    first = Path(entrypoint.words[0]).name if entrypoint and entrypoint.words else ""
    is_python = re.fullmatch(_PYTHON, first) is not None
    if cmd.words and (is_python or not cmd.words[0].startswith("-")):
        return [*cmd.words, *args]
    return args  # options by default, which arguments replace as in Docker


def _shell_text(program: Program) -> str:
    """What a shell runs that doesn't pass the words behind it on; empty if they arrive."""
    if program.shell:
        return program.shell
    words = program.words
    if len(words) < 3 or Path(words[0]).name not in _SHELLS or not re.fullmatch("-[a-z]*c", words[1]):
        return ""
    return "" if re.search(r"\$(?:@|\*|\{@)", words[2]) else words[2]


def _runs_training(words: Sequence[str]) -> bool:
    """Whether an ENTRYPOINT names a Python file or module itself, so that arguments belong behind it."""
    return "-m" in words or any(word.endswith(".py") for word in words)


def _require_program(found: Startup, dockerfile: Path, settings: Settings) -> None:
    if found.entrypoint or found.cmd or not found.base:
        return
    name = re.split("[:@]", found.base.rpartition("/")[2])[0]
    if name in _RUN_NOTHING:
        raise DockerError(
            f"the Dockerfile has neither ENTRYPOINT nor CMD, and {found.base} runs no training",
            where=dockerfile,
            next_step=f"Add: ENTRYPOINT {json.dumps(settings.starts.typed())}",
        )


def _refuse_server(found: Startup, dockerfile: Path) -> None:
    """A job whose program serves never ends, and nothing is trained."""
    program = found.entrypoint or found.cmd
    paths = list(program.words) or program.shell.split() if program else []
    words = [Path(word).name for word in paths if word != "exec"]
    first = words[2] if words[1:2] == ["-m"] and len(words) > 2 else next(iter(words), "")
    named = (file_in_image(dockerfile.parent, path) for path in paths if path.endswith(".py"))
    is_app = any(serves(dockerfile.parent / name) for name in named if name)
    if program and (first in _SERVERS or tuple(words[:2]) in _SERVING or is_app):
        raise DockerError(
            f"the Dockerfile's image starts a server ({' '.join(words[:2])}), which trains nothing and never ends",
            where=f"{dockerfile}:{program.line}",
            next_step='Set builder = "direct" under [tool.vertex-training]: the training gets an image of its own',
        )


def _refuse_other_script(found: Startup, dockerfile: Path, settings: Settings) -> None:
    """A job that starts another file of the project than the local run did does something that nobody tried."""
    program = found.entrypoint if found.entrypoint and _runs_training(found.entrypoint.words) else found.cmd
    words = list(program.words) or program.shell.split() if program else []
    root, script = settings.root, settings.starts.file
    files = [file_in_image(root, word) for word in words if word.endswith(".py")]
    files += [file_of(root, words[at + 1]) for at, word in enumerate(words[:-1]) if word == "-m"]
    named = [file for file in files if file]
    same_name = any(Path(name).name == Path(script).name for name in named)  # in the image it may lie elsewhere
    if not program or not named or same_name or _may_start(root / named[0], script):
        return
    raise DockerError(
        f"the Dockerfile's image starts {named[0]}, and the local run started {settings.starts.source}",
        where=f"{dockerfile}:{program.line}",
        next_step=f'If {named[0]} trains, set script = "{named[0]}" under [tool.vertex-training]; else set builder = '
        '"direct" there, which gives the training an image of its own',
    )


def _may_start(file: Path, script: str) -> bool:
    """Whether a file names the script, as one that imports or starts it does."""
    text = file.read_text(encoding="utf-8", errors="replace")
    stem = Path(script).stem
    name = Path(script).parent.name if stem == "__main__" else stem
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def _shell_form(name: str, program: Program, dockerfile: Path) -> DockerError:
    text = _shell_text(program)
    how = "is in shell form" if program.shell else f"runs {' '.join(program.words[:2])}"
    step = f"Write it in exec form: {name} {json.dumps(text.split())}"
    if not program.shell and re.search(r"[$&|;<>*?'\"`]", text):
        words = [*program.words[:2], f'{text} "$0" "$@"']
        step = f"Pass them on: {name} {json.dumps(words)}"
    return DockerError(
        f"{name} in the Dockerfile {how}, which drops the run's arguments",
        where=f"{dockerfile}:{program.line}",
        next_step=step,
    )
