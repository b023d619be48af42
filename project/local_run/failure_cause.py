"""Explains in one line why a script failed, from its last lines of output."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from ...core import output_folders
from ...core.bucket_mount.mounted_command import can_mount
from ...core.errors import VerifyError
from ..settings.settings import Settings
from ..settings.training_tasks import called_with
from . import asked_files
from .missing_modules import missing_module
from .processes.out_of_memory import STEP, memory_reason
from .processes.process import Ended
from .processes.self_starts import started_itself, starts_itself
from .reached.refused_connection import refused_connection
from .script_options import shows_usage

_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+)')
_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|Iteration|NotFound|Timeout|Enabled)"
    r"|[a-z_][\w.]*\.\w*(?:error|timeout))\b(?::.*)?$"
)
_FIELDS = re.compile(r"\d+ validation errors? for")
_NO_FILE = re.compile(r"No such file or directory: '([^']+)'|^FileNotFoundError: (\S+) not found\.?$")
_NO_DISPLAY = re.compile(
    r"\$DISPLAY|no display|(?:connect to|open) (?:\w+ )?display|X server|'headless' is currently running"
)
_WITHOUT_DISPLAY = (
    'A job has no display either. If matplotlib wants it, set MPLBACKEND = "Agg" under [tool.vertex-training.env], '
    "else run the script without one"
)
_OF_HYDRA = re.compile(r"In '.+': |Could not |Error merging |Missing mandatory |You must specify |Key '|Ambiguous ")
_COMPLAINT = re.compile(r"\b(?:error|fatal|missing|required|invalid)\b|no such", re.IGNORECASE)
_INCOMPLETE = re.compile(
    r"are required|Missing (?:option|argument|command|parameter)|Flags parsing error|missing \d* ?required"
    r"|^usage:|\b(?:needs? to|must) be (?:specified|given|provided)",
    re.IGNORECASE,
)
_GIVE = "Give what is missing after --, or as args under [tool.vertex-training]"
_TOO_FEW = re.compile(r"^IndexError: list index|^ValueError: not enough values to unpack")
_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")
_ENV_FILES = (".env", ".envrc", ".env.local")
_VARIABLE = re.compile(r"^KeyError: '([A-Z][A-Z0-9_]+)'$")


def timed_out(settings: Settings, tail: Sequence[str] = ()) -> VerifyError:
    """The error for a script that exceeded its time limit.

    Like the others here it has no detail: the script's output was logged line by line already.
    """
    if starts_itself(tail):
        return started_itself(settings)
    return VerifyError(
        f"{settings.title} did not end within {settings.verify_timeout:g} s and was stopped",
        where=settings.root,
        next_step="Give the local run less to do with verify-args under [tool.vertex-training], or raise "
        "verify-timeout there",
    )


def failed(
    settings: Settings,
    ended: Ended,
    paths: Collection[str],
    *,
    python: Path,
    method: str,
    asked: Collection[str] = (),
    addresses: Sequence[str] = (),
) -> VerifyError:
    """The error for a script that ended with an exit code other than 0.

    Args:
        settings: The project's settings.
        ended: How the script ended.
        paths: Paths of the listed files.
        python: The Python that ran it.
        method: The dependency list that is frozen.
        asked: What it asked for and the ignore rules leave out.
        addresses: What it asked for on the network, in this order.
    """
    if starts_itself(ended.tail):
        return started_itself(settings)
    code = ended.code or 0
    how = f"failed with exit code {code}" if code > 0 else f"was killed by {_signal(-code)}"
    exception = _last_exception(ended.tail)
    if reason := memory_reason(exception, code, ended.tail):
        step = STEP
    elif found := missing_module(exception, settings, paths, python, method):
        reason, step = found
    elif refused := refused_connection(exception or _last_words(ended.tail), ended.tail, addresses):
        reason, step = refused
    else:
        reason, step = _advice(exception or _last_words(ended.tail), 1 if exception else code, settings, ended.tail)
    last = reason or exception or _last_words(ended.tail)
    if asked and not reason:
        why, step = asked_files.why(asked)
        last = f"{_cut(last)}; {why}" if last else why
    return VerifyError(
        f"{settings.title} {how}{': ' if last else ''}{_cut(last)}",
        where=_place(ended.tail, paths) or settings.root,
        next_step=step,
    )


def _last_exception(tail: Sequence[str]) -> str:
    """The last exception in the output; a text that begins in the line behind its name belongs to it."""
    at = next((at for at in reversed(range(len(tail))) if _EXCEPTION.match(tail[at])), None)
    if at is None:
        return ""
    text = tail[at].strip()
    following = [line.strip() for line in tail[at + 1 :] if re.search(r"\w", line)]
    if text.endswith(":"):
        return " ".join([text, *following[:1]])
    if _FIELDS.search(text):  # pydantic's, which names the field and what is wrong with it in two lines
        return " ".join([text, *following[:2]])
    return text


def _last_words(tail: Sequence[str]) -> str:
    """The last line that says what is wrong, without the frame that rich draws; else the last one with a word."""
    lines = [line.strip().strip("│┃|╭╮╰╯─━ ") for line in tail]
    if any("HYDRA_FULL_ERROR" in line for line in lines[-3:]):  # what stands above it explains the configuration
        lines = [line for line in lines if "HYDRA_FULL_ERROR" not in line]
        if found := next((line for line in reversed(lines) if _OF_HYDRA.match(line)), None):
            return found
    spoken = [line for line in lines if re.search(r"\w", line)]
    complaints = (line for line in reversed(spoken[-4:]) if _COMPLAINT.search(line))
    return next(complaints, spoken[-1] if spoken else "")


def _advice(said: str, code: int, settings: Settings, tail: Sequence[str]) -> tuple[str, str]:
    """An explanation that replaces the exception or the last words (may be empty), and the next step."""
    if found := _NO_FILE.search(said):
        path = _from_root(found[1] or found[2], settings)
        if path.startswith("/gcs/"):
            return _missing_in_bucket(path)
        return (_missing_file if (settings.root / path).exists() else _absent_file)(path, settings)
    if step := next((step for pattern, step in _STEPS if re.search(pattern, said)), None):
        return "", (_as_called_elsewhere(said, settings) if step is _GIVE else None) or step
    if (variable := _VARIABLE.match(said)) and (why := _missing_variable(variable[1], settings, tail)):
        return why, _provide(variable[1])
    last = " ".join(tail[-4:])
    if (code == 1 and not _EXCEPTION.match(said) and shows_usage(tail)) or (_TOO_FEW.search(said) and "argv" in last):
        return "", _as_called_elsewhere(said, settings) or _GIVE
    return _BY_CODE.get(code, ("", NO_ADVICE))


def _as_called_elsewhere(said: str, settings: Settings) -> str | None:
    """The step with the arguments with which a README or a task calls the script; None if none does."""
    found = called_with(settings.root, settings.starts.source, _OPTION.findall(said))
    if found is None:
        return None
    return f"{found[0]} calls it with these: set args = {json.dumps(found[1])} under [tool.vertex-training]"


def _missing_variable(name: str, settings: Settings, tail: Sequence[str]) -> str | None:
    """Why the script lacks a variable; None if the key may be that of something else, as a column."""
    if name in os.environ:
        return f"it needs the variable {name}, which is set here but not in the cloud"
    line = re.compile(rf"^\s*(?:export\s+)?{name}\s*=", re.MULTILINE)
    if file := next((file for file in _ENV_FILES if line.search(_text(settings.root / file))), None):
        return f"it needs the variable {name}, which {file} sets: that file stays out of images"
    asked = any(re.search(r'File "(?:<frozen os>|.*[/\\]os\.py)"', line) for line in tail)
    return f"it needs the variable {name}, which is not set" if asked else None


_STEPS = (
    (_NO_DISPLAY, _WITHOUT_DISPLAY),
    (
        "attempted relative import with no known parent",
        "Import by the package's name (from package.module import ...): the script is run by its path",
    ),
    ("Missing parentheses in call to 'print'", "It is written for Python 2: convert it to Python 3, which images have"),
    (
        "'(?:await|async for|async with)' outside",
        "Only Jupyter awaits at the top level: write asyncio.run(...) there",
    ),
    (
        r"^EOFError: EOF when reading a line",
        "A job has no keyboard: let the script take what it asks for from an argument or a variable",
    ),
    (
        "DefaultCredentialsError|Could not automatically determine credentials",
        "Sign in: gcloud auth application-default login",
    ),
    (
        "filesystem tracking backend .* maintenance mode",
        'Set MLFLOW_ALLOW_FILE_STORE = "true" under [tool.vertex-training.env]',
    ),
    (
        r"No API key configured|api_key not configured",
        'Set WANDB_MODE = "offline" under [tool.vertex-training.env]',
    ),
    (
        "name '(?:get_ipython|display)' is not defined",
        "Delete those lines, which only a notebook can run, or set script to the notebook itself",
    ),
    (
        "validation errors? for .*Field required",
        "Give what is missing as an argument after --, or as a variable under [tool.vertex-training.env]",
    ),
    (_INCOMPLETE, _GIVE),
)
"""What an exception says, and the step for it."""


def _from_root(path: str, settings: Settings) -> str:
    """A path that a notebook names, which runs in its own folder, relative to the project."""
    folder = os.path.dirname(settings.starts.notebook)  # noqa: PTH120 - a path in the project, with "/"
    return os.path.normpath(f"{folder}/{path}") if folder and not path.startswith("/") else path


NO_ADVICE = "Fix the script and run again"
"""The next step where the output tells nothing better."""
_BY_CODE = {
    2: ("", "Fix the arguments, or set verify-args under [tool.vertex-training]"),  # argparse's and click's
}


def _missing_file(path: str, settings: Settings) -> tuple[str, str]:
    """The advice for a file that is in the user's folder and not in the copy."""
    if not (settings.root / path).resolve().is_relative_to(settings.root):
        return (
            f"it reads {path}, which is outside the project",
            "Move it into the project, or read it from a bucket: only the project's folder is sent to the cloud",
        )
    return (
        f"it reads {path}, which the project's ignore rules leave out",
        f'Add include = ["/{path}"] under [tool.vertex-training], or read it from a bucket',
    )


def _missing_in_bucket(path: str) -> tuple[str, str]:
    """The advice for a path below /gcs, which in the local run leads to the buckets of this machine."""
    if not can_mount():
        return (
            f"it opens {path}, and this machine can't show buckets below /gcs to a process",
            'Use VERTEX_TRAINING_MODEL_DIR for what it saves, or set verify = "off" under [tool.vertex-training]',
        )
    return (
        f"it opens {path}, which is not in the buckets of this machine",
        'Put a part of the data there as the cloud has it, or set verify = "off" under [tool.vertex-training]',
    )


def _absent_file(path: str, settings: Settings) -> tuple[str, str]:
    """The advice for a file that is not in the user's folder either: DVC has it, or another script makes it."""
    reason = f"it reads {path}, which is not in the project"
    if path.startswith("/"):
        return reason, "Put it into the project and name it by a relative path, or read it from a bucket"
    root, plain, script = settings.root, PurePosixPath(path), PurePosixPath(settings.script)
    if (root / script.parent / path).exists():
        words = ["sh", "-c", f'cd {script.parent} && exec python {script.name} "$@"', script.name]
        step = f"Set command = {json.dumps(words)} under [tool.vertex-training]"
        return f"it reads {path} from its own folder, and the working directory is the project's", step
    if any((root / f"{part}.dvc").is_file() for part in (plain, *plain.parents) if part.name):
        return reason, f"Get it from DVC's remote: dvc pull {path}"
    places = "|".join(re.escape(str(part)) for part in (plain, *plain.parents) if part.name)
    in_pipeline = re.compile(rf"^\s*- (?:path: )?(?:{places})/?:?\s*$", re.MULTILINE)
    if any(in_pipeline.search(_text(root / file)) for file in ("dvc.yaml", "dvc.lock")):
        return reason, f"It is an output of DVC's pipeline: dvc pull {path}, or dvc repro"
    quoted = re.compile(rf"{re.escape(plain.name)}['\"]")
    others = (it for it in sorted(root.glob("*.py")) if it.name != script.name)
    if maker := next((it.name for it in others if quoted.search(_text(it))), None):
        return reason, f"{maker} names it: run that first"
    return reason, f"Put {path} into the project, or read it from a bucket"


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def _provide(variable: str) -> str:
    """How the script can get a variable in the cloud."""
    if re.search(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", variable):
        source = "secret-manager:projects/PROJECT/secrets/SECRET/versions/latest"
        return f'Name where it comes from: {variable} = "{source}" under [tool.vertex-training.secret-env]'
    if output_folders.is_output(variable):  # as SageMaker's SM_MODEL_DIR
        return f'Set {variable} = "{{model-dir}}" under [tool.vertex-training.env] in pyproject.toml'
    return f"Set {variable} under [tool.vertex-training.env] in pyproject.toml"


def _place(tail: Sequence[str], paths: Collection[str]) -> str | None:
    """The last line of the project's own code in a traceback or syntax error, as `file:line`."""
    frames = [match for line in tail if (match := _FRAME.match(line))]
    return next((f"{match[1]}:{match[2]}" for match in reversed(frames) if match[1] in paths), None)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _cut(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else text[:limit] + " ..."


def shown_path(line: str, folder: Path) -> str:
    """A line of output with the temporary copy's paths replaced by the project's."""
    return line.replace(f"{folder}/", "")
