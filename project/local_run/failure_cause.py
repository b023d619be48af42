"""Explains in one line why a script failed, from its last lines of output."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Collection, Sequence
from pathlib import Path

from ...core.errors import VerifyError
from ..settings.settings import Settings
from .process import Ended

SHOWN = 20
"""Number of last lines in the detail of a `VerifyError`."""

_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+)')
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|Iteration|NotFound)\b(?::.*)?$")
_MODULE = re.compile(r"No module named '([\w.]+)'")
_NO_FILE = re.compile(r"No such file or directory: '([^']+)'")
_VARIABLE = re.compile(r"^KeyError: '([A-Z][A-Z0-9_]+)'$")

_PACKAGES = {
    "bs4": "beautifulsoup4", "cv2": "opencv-python-headless", "dateutil": "python-dateutil", "dotenv": "python-dotenv",
    "fitz": "pymupdf", "google.cloud": "google-cloud-storage", "PIL": "pillow",
    "skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "pyyaml", "umap": "umap-learn", "faiss": "faiss-cpu",
    "git": "gitpython", "serial": "pyserial", "attr": "attrs", "pytorch_lightning": "pytorch-lightning",
}  # fmt: skip
"""Packages whose name differs from that of their module."""


def timed_out(settings: Settings, ended: Ended) -> VerifyError:
    """The error for a script that exceeded its time limit."""
    return VerifyError(
        f"{settings.title} did not end within {settings.verify_timeout:g} s and was stopped",
        where=settings.root,
        next_step="Give the local run less to do with verify-args under [tool.vertex-training], or raise "
        "verify-timeout there",
        detail=_shown(ended.tail),
    )


def failed(settings: Settings, ended: Ended, paths: Collection[str]) -> VerifyError:
    """The error for a script that ended with an exit code other than 0.

    Args:
        settings: The project's settings.
        ended: How the script ended.
        paths: Paths of the listed files.
    """
    code = ended.code or 0
    how = f"failed with exit code {code}" if code > 0 else f"was killed by {_signal(-code)}"
    exception = next((line.strip() for line in reversed(ended.tail) if _EXCEPTION.match(line)), "")
    reason, step = _advice(exception, code, settings, paths)
    last = reason or exception or next((line.strip() for line in reversed(ended.tail) if line.strip()), "")
    return VerifyError(
        f"{settings.title} {how}{': ' if last else ''}{_cut(last)}",
        where=_place(ended.tail, paths) or settings.root,
        next_step=step,
        detail=_shown(ended.tail),
    )


def _advice(exception: str, code: int, settings: Settings, paths: Collection[str]) -> tuple[str, str]:
    """An explanation that replaces the exception (may be empty), and the next step."""
    if module := _MODULE.search(exception):
        return _missing_module(module[1], settings, paths)
    if (path := _NO_FILE.search(exception)) and (settings.root / path[1]).exists():
        return _missing_file(path[1], settings)
    if "attempted relative import with no known parent" in exception:
        return "", "Import by the package's name (from package.module import ...): the script is run by its path"
    if (variable := _VARIABLE.match(exception)) and variable[1] in os.environ:
        return f"it needs the variable {variable[1]}, which is set here but not in the cloud", _provide(variable[1])
    return _BY_CODE.get(code if not exception else 1, ("", "Fix the script and run again"))


_BY_CODE = {
    2: ("", "Fix the arguments, or set verify-args under [tool.vertex-training]"),  # argparse's and click's
    -signal.SIGKILL: ("a sign that memory ran out", "Give the local run less to do with verify-args"),
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


def _provide(variable: str) -> str:
    """How the script can get a variable in the cloud."""
    if re.search(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", variable):
        return "Let the script read it from Secret Manager: a secret must not be written into the project"
    return f"Set {variable} under [tool.vertex-training.env] in pyproject.toml"


def _missing_module(module: str, settings: Settings, paths: Collection[str]) -> tuple[str, str]:
    top = module.partition(".")[0]
    here = [name for name in (f"{top}.py", top) if (settings.root / name).exists()]
    if here and not any(path == here[0] or path.startswith(f"{here[0]}/") for path in paths):
        return (
            f"it imports {module}, which the project's ignore rules leave out",
            f'Add include = ["/{here[0]}"] under [tool.vertex-training] in pyproject.toml',
        )
    package = _PACKAGES.get(module) or _PACKAGES.get(top) or top.replace("_", "-")
    file = settings.requirements or "requirements.txt"
    return f"it imports {module}, which {file} does not list", f"Add {package} to {file}"


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


def _shown(tail: Sequence[str]) -> str:
    return "\n".join(tail[-SHOWN:])


def shown_path(line: str, folder: Path) -> str:
    """A line of output with the temporary copy's paths replaced by the project's."""
    return line.replace(f"{folder}/", "")
