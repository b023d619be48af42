"""The error of a local run that saved no model where it is looked for: what it saved elsewhere, and what to write."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ...core import output_folders
from ...core.errors import VerifyError
from ..settings.settings import Settings
from .script_options import Options

_NEXT = "Save the model in the folder given by AIP_MODEL_DIR, or set model-dir-argument under [tool.vertex-training]"
_ASIDE = re.compile(r"\.(?:png|jpe?g|gif|svg|pdf|html|log)$|(?:^|/)events\.out\.tfevents\.", re.IGNORECASE)
"""Pictures and logs, which no model lies in."""
_WEIGHTS = re.compile(
    r"\.(?:pth?|ckpt|pkl|pickle|joblib|h5|hdf5|keras|onnx|safetensors|cbm|ubj|msgpack|npz|tflite|pb|gguf|model|bst)$"
)
"""Files that most likely are a model."""
_PLACE = re.compile(r"[-_](?:dir|path|folder|file)$|save|ckpt|checkpoint|out", re.IGNORECASE)
"""A part of an option that may give a place, also where its name doesn't say that it is one for outputs."""
_OF_ONE_RUN = re.compile(
    r"\d{4}[-_.]?\d{2}[-_.]?\d{2}(?:[-_.:T ]{0,3}\d+)*|\d{6,}(?:[-_.:]\d+)*"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}"
)
"""Parts of names that differ from run to run: dates, times, numbers of processes, UUIDs."""
_NO_MODEL = ("log", "tensorboard", "run", "job", "cache")
"""Parts of names of options that give a folder in which no model is saved."""


def no_model(
    settings: Settings,
    written: Sequence[str],
    outputs: Path,
    options: Options,
    *,
    added: Sequence[str] = (),
    outside: Sequence[str] = (),
) -> VerifyError:
    """The error.

    Args:
        settings: The project's settings.
        written: From `written_in` for its working directory.
        outputs: The folder with what it saved.
        options: The script's options.
        added: What limited its work.
        outside: Files that it wrote outside of its working directory.
    """
    stray = [path for path in written if not path.endswith("/")]
    what = f"{settings.title} saved no model"
    models = [path for path in stray if not _ASIDE.search(path)]
    if models:
        more = f" and {len(stray) - 1} more" if len(stray) > 1 else ""
        unmatched = f" outputs = {json.dumps(settings.outputs, ensure_ascii=False)} matched nothing, and"
        first = next(filter(_WEIGHTS.search, models), models[0])
        lost = f" {first}{more} in its working directory would be lost in the cloud"
        what += f":{unmatched if settings.outputs else ''}{lost}"
        return VerifyError(what, where=settings.root, next_step=_advice(stray, options))
    if lost := [path for path in outside if not _ASIDE.search(path)]:
        return VerifyError(
            f"{what}: {lost[0]} outside of its working directory would be lost in the cloud",
            where=settings.root,
            next_step=_inside(lost[0], settings, options),
        )
    if aside := [*stray, *files_in(outputs)]:
        what += f", only {aside[0]}"
    if added:
        what += f" with {' '.join(added)}, which was added for a small run"
        step = (
            f"If it saves only later, give the local run enough work: verify-args = {_with_more(added)} and its other "
            "arguments, under [tool.vertex-training]"
        )
    else:
        flag = next((flag for flag in options.flags if _PLACE.search(flag) and "data" not in flag), None)
        step = f"Give the run the option that makes it save: {flag}={{model-dir}}" if stray and flag else _NEXT
    return VerifyError(what, where=settings.root, next_step=step)


def _inside(path: str, settings: Settings, options: Options) -> str:
    """The step for a file outside: the option whose default leads there, or the script's own folder if it is above."""
    for flag, default in options.defaults.items():
        if "/" in default and path.startswith(f"{os.path.expanduser(default).rstrip('/')}/"):  # noqa: PTH111
            return f"Give the run {flag}={{model-dir}}"
    folder, _, name = settings.script.rpartition("/")
    if path.startswith("../") and folder and settings.starts.kind == "script":
        words = ["sh", "-c", f'cd {folder} && exec python {name} "$@"', name]
        return f"Set command = {json.dumps(words)} under [tool.vertex-training], which runs it in its own folder"
    return _NEXT


def _with_more(added: Sequence[str]) -> str:
    """The added arguments with a larger number, as TOML."""
    return json.dumps([re.sub(r"(^|=)(1|512)$", r"\g<1>1000", word) for word in added], ensure_ascii=False)


def _advice(stray: Sequence[str], options: Options) -> str:
    """The script's own option and the setting that take the files along."""
    setting = f"set outputs = {json.dumps(patterns(stray))} under [tool.vertex-training]"
    if flag := _output_flag(stray, options):
        return f"Give the run {flag}={{model-dir}}{_file_name(flag, stray, options)}, or {setting}"
    return setting[0].upper() + setting[1:]


def _file_name(flag: str, stray: Sequence[str], options: Options) -> str:
    """`/` and the name of the file, for an option that gives one and no folder; else nothing."""
    default = options.defaults.get(flag, "").rpartition("/")[2]
    if default in {path.rpartition("/")[2] for path in stray}:
        return f"/{default}"
    gives_file = re.search(r"(?:path|file|name)$", flag) and len(stray) == 1 and "/" not in stray[0]
    return f"/{stray[0]}" if gives_file and not default else ""


def patterns(stray: Sequence[str]) -> list[str]:
    """Patterns of the setting `outputs` that match the files: a file of the working directory, or a whole folder.

    What each run names anew, a time or a random number, matches any.
    """
    tops = ((_OF_ONE_RUN.sub("*", path.partition("/")[0]), "/" in path) for path in stray)
    return list(dict.fromkeys(f"{top}/**" if is_folder else top for top, is_folder in tops))[:5]


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


def written_in(folder: Path, known: Collection[str], since: float) -> tuple[str, ...]:
    """What the script wrote in its working directory: files, and new empty folders with "/" at the end; sorted.

    Args:
        folder: The working directory, a copy of the project.
        known: The project's files.
        since: When the script was started, seconds since 1970. Files that it wrote anew are younger.
    """
    found: list[str] = []
    folders = {parent for path in known for parent in _parents(path)}
    for place, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if name != "__pycache__"]
        prefix = os.path.relpath(place, folder).removeprefix(".")
        paths = [f"{prefix}/{name}".lstrip("/") for name in names]
        found += [path for path in paths if path not in known or (folder / path).lstat().st_mtime > since]
        if prefix and prefix not in folders and not any(Path(place).iterdir()):
            found.append(f"{prefix}/")
    return tuple(sorted(found))


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def files_in(folder: Path) -> tuple[str, ...]:
    """All files below a folder, relative to it, sorted."""
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return tuple(sorted(path.relative_to(folder).as_posix() for path in paths))
