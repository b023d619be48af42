"""Runs a project's script with a small workload, in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...core import output_folders
from ...core.placeholders import expand, expand_variables, fill, folder_values
from ..files.project_file import ProjectFile
from ..settings.notebooks.notebook import read_notebook
from ..settings.settings import Settings
from . import failure_cause
from .asked_files import AskedFiles
from .own_place import files_in
from .own_sources import own_sources
from .places import data_links
from .places.run_storage import RunStorage, bucket_storage, folder_storage
from .processes import process
from .processes.self_starts import SelfStarts
from .rehearsal.job_nodes import rehearsed, world_of_one
from .rehearsal.restart import GRACE, CheckpointWatch, ReadCheck, check_continued, no_checkpoint
from .script_interpreter import Chosen
from .script_options import Options, declared_options, help_options, is_help, may_parse_flags, texts_of
from .smoke_arguments import SmokeArguments, needs_help, redirected_variables, refuses, smoke_arguments

_KEPT = re.compile(
    r"^(PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|\w+_(?i:proxy)|CUDA_\w+|NVIDIA_\w+|GOOGLE_\w+|CLOUDSDK_\w+|\w+_NUM_THREADS)$"
)
"""This machine's variables that the script gets: they locate programs, networks, GPUs and Google's credentials.
All others would be missing in the cloud, so they are missing here too."""
_HELP_SECONDS = 60.0
"""Time limit for `--help`: importing a framework takes most of it; a script that starts to train is stopped."""
_CLOCK = 0.05
"""Seconds by which the times of files may lag behind the clock."""
_LONG = 60.0
"""Seconds after which a workload that wasn't limited is said to be so."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One run of the project's image.

    Attributes:
        args: The arguments of the training.
        env: Its variables.
        outputs: What the script saves; arguments and variables name this folder, and it holds it afterwards.
        changed: Gets what the script writes in its working directory.
        timeout: Time limit, in seconds.
        reminder: A number of seconds, and what to call once when the script still runs after them.
    """

    args: tuple[str, ...]
    env: Mapping[str, str]
    outputs: Path
    changed: Path
    timeout: float
    reminder: tuple[float, Callable[[], None]] | None


InImage = Callable[[Workload, Callable[[str], None]], process.Ended]
"""Runs a workload in the project's image; the function is called with each line of its output."""


class ScriptRun:
    """One local run of a project in a temporary folder.

    Attributes:
        program: The program and the words before the arguments.
        sources: The project's own Python files that run, the script's first.
        options: The script's options; known after the run.
        asked: The files that the script asks for in vain.

    Args:
        settings: The project's settings.
        files: The project's files.
        folder: The temporary folder: `project` is the copy and working directory, `outputs` what the script saves.
        chosen: The Python that runs the script.
        log: Called with each line.
        clock: Seconds, monotonic.
        secrets: Variables of the script beside those of the settings.
        vertex: The home's folder of local_vertex, whose buckets the script gets; None gives it a folder alone.
        in_image: Runs the project's image instead of the script; None runs the script.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        files: Sequence[ProjectFile],
        folder: Path,
        chosen: Chosen,
        log: Callable[[str], None],
        clock: Callable[[], float],
        secrets: Mapping[str, str] | None = None,
        in_image: InImage | None = None,
        vertex: Path | None = None,
    ) -> None:
        self._settings, self._files, self._folder = settings, files, folder
        self._in_image, self._chosen = in_image, chosen
        given = {} if in_image else _machine_variables(os.environ, chosen)
        here = vertex if settings.local_storage == "here" and not in_image else None
        self.storage: RunStorage = bucket_storage(folder, here, given) if here else folder_storage(folder)
        self._copy, self._outputs = folder / "project", self.storage.outputs
        self._log, self._clock = log, clock
        self._stop: process.Stop | None = None
        self._heard: Callable[[str], object] = str
        self._self_starts = SelfStarts(settings)
        self.asked = AskedFiles(folder / "hook", self._copy, settings.root)
        self.values = {
            **folder_values(self.storage.path, self.storage.uri),
            **data_links.placeholders(settings.data),
        }
        saved = {
            **output_folders.platform_variables(self.storage.uri),
            **output_folders.path_variables(self.storage.path),
            **data_links.variables(settings.data, settings.root),
            **self.storage.variables,
        }
        own, self._places = redirected_variables(
            {name: fill(text, self.values) for name, text in settings.env.items()}, self.storage
        )
        own = {name: text for name, text in own.items() if name not in saved}
        self._env = {**expand_variables({**given, **saved}, own), **(secrets or {})}
        self.program = [expand(fill(word, self.values), self._env) for word in settings.starts.words(str(chosen.path))]
        self.sources = own_sources(files, settings.starts.file)
        self.options = Options()
        self._began = 0.0

    def name_what_is_left_out(self) -> None:
        """Says which parts of a notebook its script doesn't run."""
        entry = self._settings.starts
        if entry.kind == "notebook":
            left_out = read_notebook(self._settings.root / entry.notebook).left_out
            magics = f" without its magics and shell lines: {', '.join(left_out)}" if left_out else ""
            where = ", in its own folder as in Jupyter" if "/" in entry.notebook else ""
            self._log(f"{entry.notebook} runs as the script {entry.file}{where}{magics}")

    def with_small_workload(self, args: Sequence[str]) -> tuple[process.Ended, SmokeArguments]:
        """Runs the script with what limits its work; once more without if it refuses that."""
        self.options = self._find_options(args)
        smoke = smoke_arguments(self.options, self._settings, args, self.storage, self._env)
        if smoke.added:
            self._log(f"added to the arguments, for a small run: {' '.join(smoke.added)}")
        ended = self._run(smoke, smoke.all)
        if ended.code and refuses(ended.tail, ended.code, smoke.added):
            self._log(f"it failed with {' '.join(smoke.added)}: running once more without")
            smoke = replace(smoke, added=(), all=smoke.own)
            ended = self._run(smoke, smoke.own)
        return ended, smoke

    def twice(self, args: Sequence[str]) -> tuple[process.Ended, SmokeArguments, str]:
        """Runs the script with a small workload, stops it after its first checkpoint, and starts it again.

        Returns:
            How the second start ended; or the first one, if it failed by itself. And how the second one went on.

        Raises:
            VerifyError: It saved no checkpoint, or didn't continue from it.
        """
        folder = self._outputs / output_folders.CHECKPOINTS
        watch = CheckpointWatch(folder)
        first, second = [], []

        def tell() -> None:
            self._log(f"first checkpoint {watch.names()[0]}: sent SIGTERM; the script may take {GRACE:.0f} s to end")

        self._stop, self._heard = process.Stop(watch, GRACE, tell), first.append
        ended, smoke = self.with_small_workload(args)
        self._stop, self._heard = None, second.append
        if not watch.seen and ended.code != 0:
            return ended, smoke, ""
        names = watch.names()
        if not names:
            raise no_checkpoint(self._settings, f"{self.storage.uri}/{output_folders.CHECKPOINTS}")
        how = "its end" if ended.code == 0 else "it was killed" if ended.code == -9 else f"its end ({ended.code})"
        self._log(
            f"starting it again after {how}, with {len(names)} file{'s' * (len(names) > 1)} in the checkpoint folder"
        )
        check = ReadCheck(folder, self._outputs / ".read")
        noted = check.is_possible()
        again = self._again(smoke)
        if again.code != 0:
            return again, smoke, ""
        read = check.was_read() if noted else None
        went_on = check_continued(self._settings, first, second, read=read, newest=names[0])
        self._log(f"second start: {went_on}")
        return again, smoke, went_on

    def _again(self, smoke: SmokeArguments) -> process.Ended:
        """Starts the script once more, beside what it has saved."""
        return self._start(
            smoke.all,
            self.asked.variables(self._env),
            timeout=self._settings.verify_timeout,
            log=self._shown,
            rehearse=self._settings.job.launcher != "none",
        )

    def _shown(self, line: str) -> None:
        self._heard(line)
        self._log(failure_cause.shown_path(line, self._copy))
        self._self_starts.read(line)

    def _find_options(self, args: Sequence[str]) -> Options:
        """The options that the sources declare, or if those can't limit the work, those in its `--help`."""
        declared = declared_options(self.sources[:1])
        if not needs_help(declared, self._settings) or not may_parse_flags(file.source for file in self._files):
            return declared
        lines: list[str] = []
        first = next((i for i, word in enumerate(args) if not re.fullmatch(r"[a-z][\w-]*", word)), len(args))
        words = [*args[: min(first, 2)], "--help"]
        ended = self._start(words, self._env, timeout=_HELP_SECONDS, log=lines.append)
        if not is_help(lines, ended.code):
            return declared
        shown, imported = help_options(lines), declared_options(self.sources[1:])
        if ended.code:  # absl shows the flags of the script's own module alone
            shown = replace(shown, flags={**imported.flags, **shown.flags})
        return declared.with_help(shown, imported)

    def _run(self, smoke: SmokeArguments, arguments: Sequence[str]) -> process.Ended:
        shutil.rmtree(self._outputs, ignore_errors=True)
        (self._outputs / output_folders.MODEL).mkdir(parents=True)
        for output, place in {**smoke.places, **self._places}.items():
            (place.parent if output.file else place).mkdir(parents=True, exist_ok=True)
        self._began = time.time() - _CLOCK
        limited = bool(smoke.added) or self._settings.verify_args is not None
        return self._start(
            arguments,
            self.asked.variables(self._env),
            timeout=self._settings.verify_timeout,
            log=self._shown,
            reminder=None if limited else (_LONG, self._remind),
            rehearse=self._settings.job.launcher != "none",
        )

    def _start(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        *,
        timeout: float,
        log: Callable[[str], None],
        reminder: tuple[float, Callable[[], None]] | None = None,
        rehearse: bool = False,
    ) -> process.Ended:
        if self._in_image:
            (self._outputs / output_folders.MODEL).mkdir(parents=True, exist_ok=True)
            env = {**world_of_one(self._settings.job), **self._env}
            work = Workload(tuple(arguments), env, self._outputs, self._copy, timeout, reminder)
            return self._in_image(work, log)
        texts = (text for source in self.sources for text in texts_of(source))
        self.storage.make_buckets([*arguments, *self._env.values(), *texts])
        words = [*self.program, *arguments]
        if rehearse:
            words, env = rehearsed(words, env, self._settings.job, self._chosen.path, self._log)
        command = self.storage.command(words)
        return process.run(
            command,
            cwd=self._copy,
            env=env,
            timeout=timeout,
            log=log,
            clock=self._clock,
            reminder=reminder,
            stop=self._stop,
        )

    def _remind(self) -> None:
        self._log(
            "the script still runs with its whole workload: no option was found that limits it. If it has one, set "
            'verify-args under [tool.vertex-training], for example verify-args = ["--epochs", "1"]; verify = "off" '
            "leaves the local run out"
        )

    def made_outside(self, arguments: Sequence[str], since: float) -> tuple[str, ...]:
        """The files that it wrote outside of its working directory and of the run's own folders.

        Args:
            arguments: With which it ran.
            since: When it was started, seconds since 1970.
        """
        texts = [text for source in self.sources for text in texts_of(source)]
        texts += [*self._settings.env.values(), *(word.rpartition("=")[2] for word in arguments)]
        return self.asked.made_outside([self._outputs], texts, since)

    def model(self, smoke: SmokeArguments) -> tuple[str, ...]:
        """The model's files, relative to its folder: the run's own, or one that the arguments or variables name."""
        places = {**smoke.places, **self._places}
        for output in output_folders.likeliest_first(list(places)):
            places[output] = places.pop(output)
        folders = [place.parent if output.file else place for output, place in places.items()]
        found = next(filter(None, map(files_in, (self._outputs / output_folders.MODEL, *folders))), ())
        return found or self._in_buckets(smoke.all)

    def _in_buckets(self, arguments: Sequence[str]) -> tuple[str, ...]:
        """The new files at an address that stands alone among the arguments, as that of a positional one may.

        Whether it is an input is not known before, so it stays as it is and is looked at afterwards.
        """
        for address in output_folders.bare_addresses(arguments) if self.storage.buckets else ():
            folder = Path(self.storage.buckets or "", address.folder.removeprefix("gs://"))
            if new := [name for name in files_in(folder) if (folder / name).stat().st_mtime >= self._began]:
                return tuple(new)
        return ()


def _machine_variables(variables: Mapping[str, str], chosen: Chosen) -> dict[str, str]:
    """The environment variables that the script gets of this machine."""
    kept = {name: value for name, value in variables.items() if _KEPT.match(name)}
    kept["PATH"] = f"{chosen.path.parent}:{kept.get('PATH', os.defpath)}"
    return {
        **kept,
        "VIRTUAL_ENV": str(chosen.path.parent.parent),
        "PYTHONUNBUFFERED": "1",
        **({"PYTHONNOUSERSITE": "1"} if chosen.is_clean else {}),
    }
