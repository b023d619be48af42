"""Step 1: the script runs here, on little, in the user's Python or in one that holds the frozen list alone."""

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
from ..dependencies import interpreters, local_sources
from ..dependencies.find_list import read
from ..dependencies.freeze import request_key as freeze_key
from ..files.project_file import ProjectFile
from ..settings.settings import Settings
from . import failure_cause, process, unlisted_imports
from .smoke_arguments import declared_flags, help_flags, may_tell_flags, needs_help, smoke_arguments, texts_of
from .virtualenv import environment, forget_unused

_KEPT = re.compile(
    r"^(PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|\w+_(?i:proxy)|CUDA_\w+|NVIDIA_\w+|GOOGLE_\w+|CLOUDSDK_\w+|\w+_NUM_THREADS)$"
)
"""What the script gets of this machine's environment: what finds programs, networks, GPUs and Google's credentials.
Anything else would be missing in the cloud, and shall be missing here."""
_HELP_SECONDS = 60.0
"""For `--help`: importing a framework takes most of it; a script that trains all the same is stopped."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """A local run that succeeded.

    Attributes:
        seconds: The script ran.
        command: As a person would type it in the project.
        python: Minor version that ran it.
        model_files: What it saved as its model, relative to the model's folder, sorted.
        warnings: What will go wrong in the cloud although it went well here; one line each.
        peak_memory: Bytes the script and its children took at their peak; None where that can't be told.
        interpreter: The Python that ran it: the user's own, or "a clean environment".
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
        """The peak for people."""
        return "unknown" if self.peak_memory is None else f"{self.peak_memory / 1e6:,.0f} MB"


CLEAN = "a clean environment"


def verify(
    root: Path,
    files: Sequence[ProjectFile],
    settings: Settings,
    args: Sequence[str],
    *,
    cache: Path,
    log: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> VerifyReport:
    """Runs the script once, on little, in a copy of `files`; the project's folder stays as it is.

    On any exit, interruption included, the script's processes and the copy are gone.

    Args:
        root: The project's folder.
        files: As `list_files` returned them.
        settings: The project's.
        args: The run's own arguments, those of the settings included.
        cache: Folder for environments and for the copy.
        log: Called with each line the script writes.
        clock: Seconds, monotonic.

    Raises:
        VerifyError: The script failed, did not end in time, or saved no model; its last lines are in `detail`.
        DependencyError: Its requirements can't be installed.
        StorageError: The disk is full.
    """
    root = root.resolve()
    interpreter, shown, unlisted = _interpreter(root, settings, cache, log)
    with storage_errors(cache), _work_folder(cache / "verify") as folder:
        copy, outputs = folder / "project", folder / "outputs"
        _copy(files, settings, copy)
        variables = _variables(os.environ, settings, interpreter, outputs, clean=shown == CLEAN)
        flags = _flags(files, settings, [str(interpreter), settings.script, "--help"], copy, variables)
        shutil.rmtree(outputs, ignore_errors=True)
        arguments = smoke_arguments(flags, settings, args, outputs)
        (outputs / output_folders.MODEL).mkdir(parents=True)
        ended = process.run(
            [str(interpreter), settings.script, *arguments],
            cwd=copy,
            env=variables,
            timeout=settings.verify_timeout,
            log=lambda line: log(failure_cause.shown_path(line, copy)),
            clock=clock,
        )
        report = _report(ended, settings, files, arguments, folder)
        report = replace(report, interpreter=shown, warnings=(*unlisted, *report.warnings))
        for warning in report.warnings:
            log(f"warning: {warning}")
        return report


def request_key(root: Path, settings: Settings, args: Sequence[str]) -> str:
    """A hash of everything but the files' content that decides what `verify` answers.

    Raises:
        DependencyError: A requirement that can't be frozen at all.
    """
    root = root.resolve()
    interpreter = None if settings.verify == "locked" else _users_own(root, settings)[0]
    facts = [freeze_key(root, settings), interpreter.signature() if interpreter else "", list(args)]
    facts += [settings.verify_args, settings.model_dir_argument]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _users_own(root: Path, settings: Settings) -> tuple[interpreters.Interpreter | None, str]:
    listed = read(root, settings)
    if listed.conda:
        return interpreters.conda_environment(os.environ, settings.python), ""
    if not listed.lines:  # an empty environment costs nothing, and shows that the script needs nothing
        return None, ""
    lines = [replace(line, name=line.name or local_sources.name_of(line, root)) for line in listed.lines]
    return interpreters.choose(root, lines, settings.python)


def _interpreter(
    root: Path, settings: Settings, cache: Path, log: Callable[[str], None]
) -> tuple[Path, str, tuple[str, ...]]:
    """The Python that runs the script, its name for people, and warnings of what only it has."""
    if settings.verify != "locked":
        own, reason = _users_own(root, settings)
        if own:
            return own.path, str(own.path), _unlisted(root, settings, own)
        if reason:
            log(f"{reason}: running in {CLEAN} instead")
    return environment(root, settings, cache=cache), CLEAN, ()


def _unlisted(root: Path, settings: Settings, own: interpreters.Interpreter) -> tuple[str, ...]:
    listed = read(root, settings)
    if listed.conda or settings.base or (root / "Dockerfile").is_file():  # an image of their own may bring it
        return ()
    names = [line.name for line in listed.lines if line.name and not line.constraint]
    missing = unlisted_imports.not_listed(root, settings.script, names, own.sites)
    return tuple(
        f"the script imports {module}, which {listed.method} does not bring: add {package} to it"
        for module, package in missing.items()
    )


def _flags(
    files: Sequence[ProjectFile], settings: Settings, command: Sequence[str], copy: Path, env: Mapping[str, str]
) -> frozenset[str]:
    """The script's flags: those it declares itself, else those that its `--help` shows."""
    declared = declared_flags(settings.root / settings.script)
    if not needs_help(declared, settings) or not may_tell_flags(file.source for file in files):
        return declared
    lines: list[str] = []
    ended = process.run(command, cwd=copy, env=env, timeout=_HELP_SECONDS, log=lines.append)
    return declared | help_flags(lines) if ended.code == 0 else declared


@contextmanager
def _work_folder(parent: Path) -> Iterator[Path]:
    """A folder that goes when the block ends; those of runs that were killed go a day later."""
    parent.mkdir(parents=True, exist_ok=True)
    forget_unused(parent, seconds=24 * 3600)
    with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def _copy(files: Sequence[ProjectFile], settings: Settings, folder: Path) -> None:
    """Copies, because a script may change its own files; a hard link would pass that on to the user's."""
    for parent in {file.path.rpartition("/")[0] for file in files} | set(settings.directories):
        (folder / parent).mkdir(parents=True, exist_ok=True)
    for file in files:
        target = folder / file.path
        try:
            shutil.copyfile(file.source, target)
        except FileNotFoundError as error:
            raise ProjectError(f"{file.path} vanished meanwhile", where=settings.root) from error
        target.chmod(0o755 if file.executable else 0o644)


def _variables(
    variables: Mapping[str, str], settings: Settings, interpreter: Path, outputs: Path, *, clean: bool
) -> dict[str, str]:
    kept = {name: value for name, value in variables.items() if _KEPT.match(name)}
    kept["PATH"] = f"{interpreter.parent}:{kept.get('PATH', os.defpath)}"
    return {
        **kept,
        "VIRTUAL_ENV": str(interpreter.parent.parent),
        "PYTHONUNBUFFERED": "1",
        **({"PYTHONNOUSERSITE": "1"} if clean else {}),
        **settings.env,
        **output_folders.platform_variables(str(outputs)),
        **output_folders.path_variables(str(outputs)),
    }


def _report(
    ended: process.Ended,
    settings: Settings,
    files: Sequence[ProjectFile],
    arguments: Sequence[str],
    folder: Path,
) -> VerifyReport:
    copy, outputs = folder / "project", folder / "outputs"
    ended = replace(ended, tail=tuple(failure_cause.shown_path(line, copy) for line in ended.tail))
    if ended.code is None:
        raise failure_cause.timed_out(settings, ended)
    if ended.code != 0:
        raise failure_cause.failed(settings, ended, {file.path for file in files})
    model = _files_in(outputs / output_folders.MODEL)
    if not model:
        raise VerifyError(
            _no_model(settings, files, folder),
            where=settings.root,
            next_step="Save the model in the folder that AIP_MODEL_DIR names, or set model-dir-argument under "
            "[tool.vertex-training]",
            detail="\n".join(ended.tail[-failure_cause.SHOWN :]),
        )
    shown = tuple(failure_cause.shown_path(argument, folder) for argument in arguments)
    return VerifyReport(
        seconds=ended.seconds,
        command=("python", settings.script, *shown),
        python=settings.python,
        model_files=model,
        warnings=_only_here(settings, arguments, outputs),
        peak_memory=ended.peak_memory,
    )


def _no_model(settings: Settings, files: Sequence[ProjectFile], folder: Path) -> str:
    """What to say when nothing was saved where the cloud looks for it; names what was saved elsewhere."""
    known = {file.path for file in files}
    stray = [path for path in _files_in(folder / "project") if path not in known and "__pycache__/" not in path]
    if stray:
        more = f" and {len(stray) - 1} more" if len(stray) > 1 else ""
        return f"{settings.script} saved no model: {stray[0]}{more} in its working directory would be lost in the cloud"
    if outputs := _files_in(folder / "outputs"):
        return f"{settings.script} saved no model, only {outputs[0]}"
    return f"{settings.script} saved no model"


def _only_here(settings: Settings, arguments: Sequence[str], outputs: Path) -> tuple[str, ...]:
    """Warns of files of this machine that the script or its arguments name: they worked here alone."""
    texts = [*texts_of(settings.root / settings.script), *(text.rpartition("=")[2] for text in arguments)]
    paths = [Path(text).expanduser() for text in dict.fromkeys(texts) if text.startswith(("/", "~/"))]
    return tuple(
        f"{path} is on this machine only: put it into the project or a bucket"
        for path in paths
        if not path.is_relative_to(outputs) and path.parts[1:2] not in _EVERYWHERE and _exists(path)
    )


_EVERYWHERE = {(), ("dev",), ("tmp",), ("proc",), ("sys",), ("etc",), ("usr",), ("bin",), ("gcs",)}
"""Top folders of any machine that runs containers."""


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a text that only looks like a path, longer than one may be
        return False


def _files_in(folder: Path) -> tuple[str, ...]:
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return tuple(sorted(path.relative_to(folder).as_posix() for path in paths))
