"""Explains in one line why a script failed, from its last lines of output."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Collection, Sequence
from pathlib import Path

from ...core.bucket_mount.mounted_command import can_mount
from ...core.errors import VerifyError
from ..dependencies.distributions import how_to_add, package_for
from ..dependencies.interpreters import this_interpreter
from ..settings.settings import Settings
from . import asked_files
from .processes.out_of_memory import STEP, memory_reason
from .processes.process import Ended
from .unlisted_imports import missing, owners_of

_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+)')
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|Iteration|NotFound)\b(?::.*)?$")
_MODULE = re.compile(r"No module named '([\w.]+)'|cannot import name '\w+' from '(google[\w.]*)' \(unknown")
_NO_FILE = re.compile(r"No such file or directory: '([^']+)'")
_VARIABLE = re.compile(r"^KeyError: '([A-Z][A-Z0-9_]+)'$")


def timed_out(settings: Settings) -> VerifyError:
    """The error for a script that exceeded its time limit.

    Like the others here it has no detail: the script's output was logged line by line already.
    """
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
) -> VerifyError:
    """The error for a script that ended with an exit code other than 0.

    Args:
        settings: The project's settings.
        ended: How the script ended.
        paths: Paths of the listed files.
        python: The Python that ran it.
        method: The dependency list that is frozen.
        asked: What it asked for and the ignore rules leave out.
    """
    code = ended.code or 0
    how = f"failed with exit code {code}" if code > 0 else f"was killed by {_signal(-code)}"
    exception = next((line.strip() for line in reversed(ended.tail) if _EXCEPTION.match(line)), "")
    if reason := memory_reason(exception, code, ended.tail):
        step = STEP
    elif module := _MODULE.search(exception):
        reason, step = _missing_module(module[1] or module[2], settings, paths, python, method)
    else:
        reason, step = _advice(exception, code, settings)
    last = reason or exception or next((line.strip() for line in reversed(ended.tail) if line.strip()), "")
    if asked and not reason:
        why, step = asked_files.why(asked)
        last = f"{_cut(last)}; {why}" if last else why
    return VerifyError(
        f"{settings.title} {how}{': ' if last else ''}{_cut(last)}",
        where=_place(ended.tail, paths) or settings.root,
        next_step=step,
    )


def _advice(exception: str, code: int, settings: Settings) -> tuple[str, str]:
    """An explanation that replaces the exception (may be empty), and the next step."""
    if (path := _NO_FILE.search(exception)) and path[1].startswith("/gcs/"):
        return _missing_in_bucket(path[1])
    if (path := _NO_FILE.search(exception)) and (settings.root / path[1]).exists():
        return _missing_file(path[1], settings)
    if "attempted relative import with no known parent" in exception:
        return "", "Import by the package's name (from package.module import ...): the script is run by its path"
    if (variable := _VARIABLE.match(exception)) and variable[1] in os.environ:
        return f"it needs the variable {variable[1]}, which is set here but not in the cloud", _provide(variable[1])
    return _BY_CODE.get(code if not exception else 1, ("", "Fix the script and run again"))


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


def _provide(variable: str) -> str:
    """How the script can get a variable in the cloud."""
    if re.search(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", variable):
        return "Let the script read it from Secret Manager: a secret must not be written into the project"
    return f"Set {variable} under [tool.vertex-training.env] in pyproject.toml"


def _missing_module(
    module: str, settings: Settings, paths: Collection[str], python: Path, method: str
) -> tuple[str, str]:
    """The advice for modules that the environment lacks: all that the sources import, not only the first."""
    top = module.partition(".")[0]
    here = [name for name in (f"{top}.py", top) if (settings.root / name).exists()]
    if here and not any(path == here[0] or path.startswith(f"{here[0]}/") for path in paths):
        return (
            f"it imports {module}, which the project's ignore rules leave out",
            f'Add include = ["/{here[0]}"] under [tool.vertex-training] in pyproject.toml',
        )
    sites = sorted(python.parent.parent.glob("lib/python3.*/site-packages"))
    found = missing(settings.root, settings.script, sites)
    modules = found if any(name.partition(".")[0] == top for name in found) else [module, *found]
    owners = owners_of(this_interpreter().sites)
    packages = list(dict.fromkeys(package_for(name, owners) for name in modules))
    imports = f"it imports {', '.join(modules)}"
    if method == "nothing" and (settings.root / "Dockerfile").is_file():
        return (
            f"{imports}, which no environment here has",
            'Activate an environment that has it, or set verify = "off" under [tool.vertex-training]',
        )
    file = settings.requirements or ("requirements.txt" if method == "nothing" else method)
    step = how_to_add(settings.root, settings.requirements or method, packages)
    return f"{imports}, which {file if file in step or method != 'nothing' else 'no list'} does not list", step


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
