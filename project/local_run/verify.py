"""Step 1: a small local run of the script, in the user's Python or in a clean environment."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ...core import output_folders
from ...core.errors import ProjectError, VerifyError, storage_errors
from ..dependencies.find_list import read
from ..dependencies.formats.requirements_txt import Requirements
from ..dependencies.freeze import request_key as freeze_key
from ..dependencies.verified import users_interpreter
from ..files.project_file import ProjectFile
from ..settings.settings import Settings
from . import failure_cause, process
from .machine_paths import local_path_warnings
from .script_interpreter import Chosen, choose_interpreter
from .smoke_arguments import declared_flags, help_flags, may_parse_flags, needs_help, smoke_arguments, texts_of
from .virtualenv import forget_unused

_KEPT = re.compile(
    r"^(PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|\w+_(?i:proxy)|CUDA_\w+|NVIDIA_\w+|GOOGLE_\w+|CLOUDSDK_\w+|\w+_NUM_THREADS)$"
)
"""This machine's variables that the script gets: they locate programs, networks, GPUs and Google's credentials.
All others would be missing in the cloud, so they are missing here too."""
_HELP_SECONDS = 60.0
"""Time limit for `--help`: importing a framework takes most of it; a script that starts to train is stopped."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """A local run that succeeded.

    Attributes:
        seconds: Running time of the script.
        command: The command that was run, as a user would type it in the project's folder.
        python: Minor version that ran it.
        model_files: The files in the model's folder, relative to it, sorted.
        warnings: What worked here and will fail in the cloud; one line each.
        peak_memory: Peak memory of the script and its child processes, in bytes; None if it can't be measured.
        interpreter: The Python that ran it: the path of the user's own, or "a clean environment".
    """

    seconds: float
    command: tuple[str, ...]
    python: str
    model_files: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    peak_memory: int | None = None
    interpreter: str = ""

    @property
    def memory(self) -> str:
        """The peak memory as text."""
        return "unknown" if self.peak_memory is None else f"{self.peak_memory / 1e6:,.0f} MB"


def verify(
    root: Path,
    files: Sequence[ProjectFile],
    settings: Settings,
    args: Sequence[str],
    *,
    cache: Path,
    log: Callable[[str], None],
    listed: Requirements | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> VerifyReport:
    """Runs the script once with a small workload, in a copy of `files`; the project's folder is not changed.

    However this ends, by an interruption too, the script's processes and the copy are gone afterwards.

    Args:
        root: The project's folder.
        files: Returned by `list_files`.
        settings: The project's settings.
        args: The arguments of the run, those of the settings included.
        cache: Folder for environments and for the copy.
        log: Called with each line that the script writes.
        listed: The project's dependency list; None reads it.
        clock: Seconds, monotonic.

    Raises:
        VerifyError: The script failed, exceeded its time limit, or saved no model; its last lines are in `detail`.
        DependencyError: Its requirements can't be installed.
        StorageError: The disk is full.
    """
    root = root.resolve()
    listed = listed or read(root, settings)
    chosen = choose_interpreter(root, settings, listed, cache=cache, log=log)
    with storage_errors(cache), _work_folder(cache / "verify") as folder:
        copy, outputs = folder / "project", folder / "outputs"
        _copy(files, settings, copy)
        variables = _variables(os.environ, settings, chosen, outputs)
        flags = _flags(files, settings, [str(chosen.path), settings.script, "--help"], copy, variables)
        shutil.rmtree(outputs, ignore_errors=True)
        arguments = smoke_arguments(flags, settings, args, outputs)
        (outputs / output_folders.MODEL).mkdir(parents=True)
        ended = process.run(
            [str(chosen.path), settings.script, *arguments],
            cwd=copy,
            env=variables,
            timeout=settings.verify_timeout,
            log=lambda line: log(failure_cause.shown_path(line, copy)),
            clock=clock,
        )
        report = _report(ended, settings, files, arguments, folder=folder, chosen=chosen, listed=listed)
        report = replace(report, interpreter=chosen.title, warnings=(*chosen.warnings, *report.warnings))
        for warning in report.warnings:
            log(f"warning: {warning}")
        return report


def request_key(root: Path, settings: Settings, args: Sequence[str], listed: Requirements | None = None) -> str:
    """A hash of everything that decides the result of `verify`, apart from the files' content.

    Args:
        root: The project's folder.
        settings: The project's settings.
        args: The arguments of the run.
        listed: The project's dependency list; None reads it.

    Raises:
        DependencyError: A requirement that can't be frozen.
    """
    root = root.resolve()
    listed = listed or read(root, settings)
    interpreter = None if settings.verify == "locked" else users_interpreter(root, settings, listed)[0]
    facts = [freeze_key(root, settings, listed), interpreter.signature() if interpreter else "", list(args)]
    facts += [settings.verify_args, settings.model_dir_argument]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _flags(
    files: Sequence[ProjectFile], settings: Settings, command: Sequence[str], copy: Path, env: Mapping[str, str]
) -> frozenset[str]:
    """The script's flags: those that its source declares, or if those are not enough, those in its `--help`."""
    declared = declared_flags(settings.root / settings.script)
    if not needs_help(declared, settings) or not may_parse_flags(file.source for file in files):
        return declared
    lines: list[str] = []
    ended = process.run(command, cwd=copy, env=env, timeout=_HELP_SECONDS, log=lines.append)
    return declared | help_flags(lines) if ended.code == 0 else declared


@contextmanager
def _work_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder; folders that killed runs left behind are deleted after a day."""
    parent.mkdir(parents=True, exist_ok=True)
    forget_unused(parent, seconds=24 * 3600)
    with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def _copy(files: Sequence[ProjectFile], settings: Settings, folder: Path) -> None:
    """Copies the project's files. Hard links would not do: a script may change its files, which are the user's then."""
    for parent in {file.path.rpartition("/")[0] for file in files} | set(settings.directories):
        (folder / parent).mkdir(parents=True, exist_ok=True)
    for file in files:
        target = folder / file.path
        try:
            shutil.copyfile(file.source, target)
        except FileNotFoundError as error:
            raise ProjectError(f"{file.path} was deleted during the run", where=settings.root) from error
        target.chmod(0o755 if file.executable else 0o644)


def _variables(variables: Mapping[str, str], settings: Settings, chosen: Chosen, outputs: Path) -> dict[str, str]:
    """The environment variables of the script."""
    kept = {name: value for name, value in variables.items() if _KEPT.match(name)}
    kept["PATH"] = f"{chosen.path.parent}:{kept.get('PATH', os.defpath)}"
    return {
        **kept,
        "VIRTUAL_ENV": str(chosen.path.parent.parent),
        "PYTHONUNBUFFERED": "1",
        **({"PYTHONNOUSERSITE": "1"} if chosen.is_clean else {}),
        **settings.env,
        **output_folders.platform_variables(str(outputs)),
        **output_folders.path_variables(str(outputs)),
    }


def _report(
    ended: process.Ended,
    settings: Settings,
    files: Sequence[ProjectFile],
    arguments: Sequence[str],
    *,
    folder: Path,
    chosen: Chosen,
    listed: Requirements,
) -> VerifyReport:
    copy, outputs = folder / "project", folder / "outputs"
    ended = replace(ended, tail=tuple(failure_cause.shown_path(line, copy) for line in ended.tail))
    if ended.code is None:
        raise failure_cause.timed_out(settings, ended)
    if ended.code != 0:
        raise failure_cause.failed(settings, ended, {file.path for file in files}, chosen.path, listed.method)
    model = _files_in(outputs / output_folders.MODEL)
    if not model:
        raise VerifyError(
            _no_model(settings, files, folder),
            where=settings.root,
            next_step="Save the model in the folder given by AIP_MODEL_DIR, or set model-dir-argument under "
            "[tool.vertex-training]",
            detail="\n".join(ended.tail[-failure_cause.SHOWN :]),
        )
    texts = [*texts_of(settings.root / settings.script), *(text.rpartition("=")[2] for text in arguments)]
    shown = tuple(failure_cause.shown_path(argument, folder) for argument in arguments)
    return VerifyReport(
        seconds=ended.seconds,
        command=("python", settings.script, *shown),
        python=settings.python,
        model_files=model,
        warnings=local_path_warnings(texts, outputs),
        peak_memory=ended.peak_memory,
    )


def _no_model(settings: Settings, files: Sequence[ProjectFile], folder: Path) -> str:
    """The error's text if the model's folder is empty; it names a file that was saved elsewhere."""
    known = {file.path for file in files}
    stray = [path for path in _files_in(folder / "project") if path not in known and "__pycache__/" not in path]
    if stray:
        more = f" and {len(stray) - 1} more" if len(stray) > 1 else ""
        return f"{settings.script} saved no model: {stray[0]}{more} in its working directory would be lost in the cloud"
    if outputs := _files_in(folder / "outputs"):
        return f"{settings.script} saved no model, only {outputs[0]}"
    return f"{settings.script} saved no model"


def _files_in(folder: Path) -> tuple[str, ...]:
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return tuple(sorted(path.relative_to(folder).as_posix() for path in paths))
