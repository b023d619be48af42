"""The error of a local run that saved no model where it is looked for: what it saved elsewhere, and what to write."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from ...core import output_folders
from ...core.errors import VerifyError
from ..settings.settings import Settings
from .script_options import Options

_NEXT = "Save the model in the folder given by AIP_MODEL_DIR, or set model-dir-argument under [tool.vertex-training]"
_NO_MODEL = ("log", "tensorboard", "run", "job", "cache")
"""Parts of names of options that give a folder in which no model is saved."""


def no_model(settings: Settings, known: Collection[str], folder: Path, options: Options, outputs: Path) -> VerifyError:
    """The error.

    Args:
        settings: The project's settings.
        known: The project's files.
        folder: The local run's folder: `project` is its working directory.
        options: The script's options.
        outputs: The folder with what it saved.
    """
    stray = [path for path in files_in(folder / "project") if path not in known and "__pycache__/" not in path]
    what, step = f"{settings.title} saved no model", _NEXT
    if stray:
        more = f" and {len(stray) - 1} more" if len(stray) > 1 else ""
        unmatched = f" outputs = {json.dumps(settings.outputs, ensure_ascii=False)} matched nothing, and"
        lost = f" {stray[0]}{more} in its working directory would be lost in the cloud"
        what += f":{unmatched if settings.outputs else ''}{lost}"
        step = _advice(stray, options)
    elif saved := files_in(outputs):
        what += f", only {saved[0]}"
    return VerifyError(what, where=settings.root, next_step=step)


def _advice(stray: Sequence[str], options: Options) -> str:
    """The script's own option and the setting that take the files along."""
    setting = f"set outputs = {json.dumps(patterns(stray))} under [tool.vertex-training]"
    if flag := _output_flag(stray, options):
        return f"Give the run {flag}={{model-dir}}, or {setting}"
    return setting[0].upper() + setting[1:]


def patterns(stray: Sequence[str]) -> list[str]:
    """Patterns of the setting `outputs` that match the files: a file of the working directory, or a whole folder."""
    return list(dict.fromkeys(f"{path.partition('/')[0]}/**" if "/" in path else path for path in stray))[:5]


def _output_flag(stray: Sequence[str], options: Options) -> str | None:
    """The option that gives the folder of the files; one whose default is that folder comes first."""
    tops = {path.partition("/")[0] for path in stray}
    flags = [
        flag
        for flag in options.flags
        if output_folders.is_output(flag) and not any(part in flag.lower() for part in _NO_MODEL)
    ]
    by_default = (flag for flag in flags if _top(options.defaults.get(flag, "")) in tops)
    return next(by_default, next(iter(flags), None))


def _top(default: str) -> str:
    return default.removeprefix("./").partition("/")[0]


def files_in(folder: Path) -> tuple[str, ...]:
    """All files below a folder, relative to it, sorted."""
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return tuple(sorted(path.relative_to(folder).as_posix() for path in paths))
