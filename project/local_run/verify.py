"""Step 1: a small local run of the script, in the user's Python or in a clean environment."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ...core import output_folders
from ...core.errors import VerifyError, storage_errors
from ..dependencies.find_list import read
from ..dependencies.formats.requirements_txt import Requirements
from ..dependencies.freeze import request_key as freeze_key
from ..dependencies.verified import users_interpreter
from ..files.project_file import ProjectFile
from ..settings.settings import Settings
from . import asked_files, failure_cause, virtualenv
from .local_outputs import LocalOutputs
from .machine_paths import local_path_warnings
from .own_place import no_model, written_in
from .places.data_links import link_data
from .places.project_copy import ProjectCopy
from .processes import process
from .processes.self_starts import started_itself, starts_itself
from .rehearsal.job_nodes import nodes
from .script_interpreter import IMAGE, Chosen, choose_interpreter
from .script_options import commands_in, shows_usage, texts_of
from .script_run import InImage, ScriptRun
from .smoke_arguments import SmokeArguments
from .virtualenv import forget_unused

_NO_GPU = re.compile(
    r"CUDA (?:GPUs? (?:are|is)|is|driver)\b.*(?:not |un)available|No CUDA GPUs|not compiled with CUDA|no NVIDIA driver"
    r"|Found no NVIDIA|(?:no|needs? an?|requires? an?|could not find an?y?) (?:\w+ )?GPU\b|no CUDA-capable device"
    r"|GPU (?:device )?(?:is )?(?:not found|not available|required)|torch\.cuda\.is_available\(\)",
    re.IGNORECASE,
)
"""What a script says that needs a GPU and finds none."""


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
        written: What the script wrote in its working directory; an empty folder ends in "/".
        resumed: How a second start went on from the first one's checkpoint; empty if it wasn't tried.
    """

    seconds: float
    command: tuple[str, ...]
    python: str
    model_files: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    peak_memory: int | None = None
    interpreter: str = ""
    written: tuple[str, ...] = ()
    resumed: str = ""

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
    secrets: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.monotonic,
    in_image: InImage | None = None,
    vertex: Path | None = None,
) -> VerifyReport:
    """Runs the script once with a small workload, in a copy of `files`; the project's folder is not changed.

    However this ends, by an interruption too, the script's processes and what they wrote are gone afterwards.

    Args:
        root: The project's folder.
        files: Returned by `list_files`.
        settings: The project's settings.
        args: The arguments of the run, those of the settings included.
        cache: Folder for environments and for the copy.
        log: Called with each line that the script writes.
        listed: The project's dependency list; None reads it.
        secrets: The values of the secret variables that the script gets.
        clock: Seconds, monotonic.
        vertex: The home's folder of local_vertex, whose buckets stand for those of the cloud; None gives the script
            a folder alone.
        in_image: Runs the project's image in place of the script.

    Raises:
        VerifyError: The script failed, exceeded its time limit, or saved no model; its output was logged.
        DependencyError: Its requirements can't be installed.
        StorageError: The disk is full.
    """
    root = root.resolve()
    listed = listed or read(root, settings)
    chosen = IMAGE if in_image else choose_interpreter(root, settings, listed, cache=cache, log=log)
    with storage_errors(cache), _work_folder(cache / "verify") as folder, ExitStack() as cleanup:
        copied = () if in_image else files  # an image has its own
        copy = ProjectCopy(root, folder / "project", cache / "verify")
        copy.make(copied, settings.directories)
        cleanup.callback(copy.keep)
        link_data(settings.data, root, folder / "project")
        run = ScriptRun(
            settings,
            files=files,
            folder=folder,
            chosen=chosen,
            log=log,
            clock=clock,
            in_image=in_image,
            vertex=vertex,
            secrets=secrets,
        )
        cleanup.callback(run.storage.remove)
        run.name_what_is_left_out()
        outputs = LocalOutputs(settings.outputs, folder / "project")
        started = time.time()
        if settings.verify_resume:
            ended, smoke, resumed = run.twice(args)
        else:
            (ended, smoke), resumed = run.with_small_workload(args), ""
        if chosen.is_clean:
            virtualenv.was_used(chosen.path)
        if ended.code == 0:
            outputs.save(run.storage.outputs / output_folders.MODEL, log)
        known = {file.path for file in files}
        written = written_in(
            folder / "project",
            {
                *(file.path for file in copied),
                *(f"{name}/" for name in settings.directories),
                *(each.path for each in settings.data),
            },
            started,
        )
        left_out = run.asked.left_out(known, [text for source in run.sources for text in texts_of(source)])
        report = _report(
            run,
            ended,
            smoke,
            settings,
            files=known,
            folder=folder,
            chosen=chosen,
            method=listed.method,
            asked=left_out,
            written=written,
            started=started,
        )
        warnings = (*chosen.warnings, *report.warnings, *asked_files.warning(left_out))
        report = replace(report, interpreter=chosen.title, warnings=warnings, resumed=resumed)
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
    workload = [] if settings.verify_args is not None else list(args)  # fixed arguments are not run again for others
    interpreter = None if settings.verify == "locked" else users_interpreter(root, settings, listed)[0]
    facts = [freeze_key(root, settings, listed), interpreter.signature() if interpreter else "", workload]
    facts += [settings.verify_args, settings.model_dir_argument]
    if settings.data:
        facts.append([[each.name, each.path, each.uri] for each in settings.data])
    if settings.verify_resume:
        facts.append("verify-resume")
    if settings.job.launcher != "none":
        facts.append([settings.job.launcher, str(settings.job.processes), nodes(settings.job)])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


@contextmanager
def _work_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder; folders that killed runs left behind are deleted after a day."""
    parent.mkdir(parents=True, exist_ok=True)
    forget_unused(parent, seconds=24 * 3600)
    with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def _report(
    run: ScriptRun,
    ended: process.Ended,
    smoke: SmokeArguments,
    settings: Settings,
    *,
    files: Collection[str],
    folder: Path,
    chosen: Chosen,
    method: str,
    asked: Collection[str],
    written: tuple[str, ...],
    started: float,
) -> VerifyReport:
    """The report of a run that succeeded.

    Raises:
        VerifyError: It failed, was stopped, or saved no model.
    """
    ended = replace(ended, tail=tuple(failure_cause.shown_path(line, folder / "project") for line in ended.tail))
    if ended.code is None:
        raise failure_cause.timed_out(settings, ended.tail)
    if ended.code != 0:
        error = failure_cause.failed(
            settings,
            ended,
            files,
            python=chosen.path,
            method=method,
            asked=asked,
            addresses=run.asked.addresses(),
        )
        raise _with_advice(error, ended.tail, run.options.commands or commands_in(ended.tail))
    if (folder / "project" / "gs:").is_dir():
        raise VerifyError(
            f"{settings.title} took a gs:// URI for a path and wrote to a folder named gs:, which the cloud would lose",
            where=settings.root,
            next_step='Write uri.replace("gs://", "/gcs/", 1), or use VERTEX_TRAINING_MODEL_DIR',
        )
    model = run.model(smoke)
    if not model:
        if starts_itself(ended.tail):
            raise started_itself(settings)
        if shows_usage(ended.tail) and not written:
            raise _only_usage(settings, run.options.commands or commands_in(ended.tail))
        outside = run.made_outside(smoke.all, started)
        raise no_model(settings, written, run.storage.outputs, run.options, added=smoke.added, outside=outside)
    texts = [text for source in run.sources[:1] for text in texts_of(source)]
    texts += [text.rpartition("=")[2] for text in smoke.all]
    shown = [failure_cause.shown_path(text, folder) for text in (*run.program[1:], *smoke.all)]
    return VerifyReport(
        seconds=ended.seconds,
        command=(settings.starts.typed()[0], *shown),
        python=settings.python,
        model_files=model,
        warnings=local_path_warnings(texts, run.storage.outputs),
        peak_memory=ended.peak_memory,
        written=written,
    )


def _only_usage(settings: Settings, commands: Sequence[str]) -> VerifyError:
    """The error for a script that printed how to call it, and ended as if all was well."""
    wanted = f"Name one of its commands first: {', '.join(commands)}" if commands else "Give it what that asks for"
    return VerifyError(
        f"{settings.title} printed its usage and trained nothing",
        where=settings.root,
        next_step=f"{wanted}, after -- or as args under [tool.vertex-training]",
    )


def _with_advice(error: VerifyError, tail: Sequence[str], commands: Sequence[str]) -> VerifyError:
    """The error with the next step for a script that needs a GPU, or one of its subcommands."""
    if error.next_step == failure_cause.NO_ADVICE and any(_NO_GPU.search(line) for line in tail):
        step = 'If it needs a GPU that only the cloud has, set verify = "off" under [tool.vertex-training]'
        return error.replace(next_step=step)
    if commands and any(re.search(r"required|Missing command", line) for line in (error.what, *tail)):
        return error.replace(next_step=f"Name one of its subcommands first: {', '.join(commands)}")
    return error
