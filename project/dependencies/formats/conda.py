"""Reads conda's lists: for an image made by conda, or translated for pip with a report of what was lost.

The formats are environment.yml, `conda list --export` and `conda list --explicit`:
https://docs.conda.io/projects/conda/en/latest/user-guide/tasks/manage-environments.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ....core.errors import DependencyError
from ....core.security.parsed_text import parse_yaml
from ...settings.python_version import CONDA_FILES
from ...settings.settings import Settings
from .conda_names import PYPI_NAMES, not_on_pypi
from .requirements_txt import Line, Requirements, decoded, package_of, read_text

EXPORT = "conda.txt"
_EXPORTED = re.compile(r"^([\w.-]+)=([^=\s]+)=([^=\s]+)$", re.MULTILINE)
_SPEC = re.compile(r"^(?:[\w./-]+::)?(?P<name>[A-Za-z0-9_.-]+)\s*(?P<rest>.*)$")
_PYTHON_BUILD = re.compile(r"py\d|^pyh|^py_|^pypi")
_CUDA = re.compile(r"cuda_?(\d+)\.?(\d*)")
_TORCH = {"torch", "torchvision", "torchaudio"}


def read(root: Path, settings: Settings) -> Requirements | None:
    """Reads the project's conda file; None if there is none.

    Raises:
        DependencyError: The file can't be read.
    """
    for name in CONDA_FILES:
        if (root / name).is_file():
            return of_environment(root / name, name, settings)
    path = root / EXPORT
    return of_export(path, decoded(path, EXPORT), settings) if path.is_file() else None


def is_export(text: str) -> bool:
    """Whether a text is the output of `conda list --export` or `--explicit`."""
    return _EXPORTED.search(text) is not None or "@EXPLICIT" in text.splitlines()


def of_export(path: Path, text: str, settings: Settings) -> Requirements:
    """Reads the output of `conda list --export` or `--explicit`.

    Raises:
        DependencyError: It should be translated, but lists URLs of conda packages only.
    """
    if not settings.translate:
        return Requirements(path.name, conda=True)
    if "@EXPLICIT" in text.splitlines():
        raise DependencyError(
            f"{path.name} lists URLs of conda packages, which can't be translated",
            where=path,
            next_step="Export it instead: conda env export --no-builds > environment.yml",
        )
    items = []
    for number, raw in enumerate(text.splitlines(), 1):
        if found := _EXPORTED.match(raw.strip()):
            name, version, build = found.groups()
            items.append(_Item(Line(path.name, number, raw.strip()), name.lower(), f"=={version}", build))
    return _translated(path.name, items, Requirements())


def of_environment(path: Path, name: str, settings: Settings) -> Requirements:
    """Reads an environment.yml, whatever its name.

    Args:
        path: The file.
        name: Its path in the project.
        settings: The project's settings.

    Raises:
        DependencyError: The file can't be read.
    """
    import yaml

    text = decoded(path, name)
    try:
        document = parse_yaml(text)
    except yaml.YAMLError as error:
        raise DependencyError(
            f"not valid YAML: {' '.join(str(error).split())}", where=path, next_step="Fix that line"
        ) from error
    dependencies = document.get("dependencies") if isinstance(document, dict) else None
    if not isinstance(dependencies, list):
        raise DependencyError(
            f"{path.name} lists no dependencies", where=path, next_step="Write them below `dependencies:`"
        )
    if not settings.translate:
        return Requirements(name, conda=True)
    items = [_item(path, text, item) for item in dependencies if isinstance(item, str)]
    own = [str(line) for item in dependencies if isinstance(item, dict) for line in item.get("pip") or []]
    listed = read_text(path.parent, path.name, "\n".join(own))
    lines = tuple(replace(line, number=_number(text, line.text)) for line in listed.lines)
    return _translated(name, items, replace(listed, lines=lines))


@dataclass(frozen=True, slots=True)
class _Item:
    """A conda package, with its version in pip's form and its build in conda's."""

    line: Line
    name: str
    version: str
    build: str = ""


def _item(path: Path, text: str, spec: str) -> _Item:
    found = _SPEC.match(spec.strip())
    line = Line(path.name, _number(text, spec), spec.strip())
    if found is None:
        raise DependencyError(f"{spec} is not a conda package", where=line.place, next_step="Fix that line")
    version, build = _version(found["rest"].strip())
    return _Item(line, found["name"].lower(), version, build)


def _version(rest: str) -> tuple[str, str]:
    """A version in pip's form, and the build. conda's single `=` means "begins with".

    https://docs.conda.io/projects/conda-build/en/latest/resources/package-spec.html
    """
    if exact := re.fullmatch(r"={1,2}([^=<>!,|*\s]+)=(\S+)", rest):
        return f"=={exact[1]}", exact[2]
    if fuzzy := re.fullmatch(r"=?([\w.+!]+?)(?:\.\*|\*)?", rest):
        return (f"=={fuzzy[1]}.*" if rest.startswith("=") or rest.endswith("*") else f"=={fuzzy[1]}"), ""
    try:
        return str(SpecifierSet(rest.replace(" ", ""))), ""
    except InvalidSpecifier:
        return "", ""  # alternatives, which pip can't express, so every version is allowed


def _translated(method: str, items: list[_Item], listed: Requirements) -> Requirements:
    """The list for pip: the counterparts of conda's packages, then the lines that were installed by pip."""
    kind = _torch_kind(items)
    lines: list[Line] = []
    lost: list[tuple[Line, str]] = []
    for item in items:
        if reason := _reason_to_drop(item):
            lost.append((item.line, reason))
        else:
            text = _text(item, kind)
            lines.append(replace(item.line, text=text, name=package_of(text), origin=item.line.text))
    fuzzy = any(line.name in _TORCH and "+" not in line.text for line in lines)
    extra = (f"--extra-index-url https://download.pytorch.org/whl/{kind}",) if kind and fuzzy else ()
    return Requirements(
        method,
        (*lines, *listed.lines),
        (*listed.options, *extra),
        listed.hashes,
        lost=tuple(lost),
        notes=("translated from conda: PyPI's builds differ from conda's, for example in MKL and CUDA",),
    )


def _reason_to_drop(item: _Item) -> str | None:
    """Why a conda package is dropped; None if it is translated."""
    if item.name in {"python", "python_abi"}:
        return "the image's Python is set by python under [tool.vertex-training]"
    if reason := not_on_pypi(item.name):
        return reason
    if item.build and item.name not in PYPI_NAMES and not _PYTHON_BUILD.search(item.build):
        return "has no counterpart for pip: it is not a Python package"
    return None


def _text(item: _Item, kind: str | None) -> str:
    name = PYPI_NAMES.get(item.name, item.name)
    exact = re.fullmatch(r"==[^*+]+", item.version)
    local = f"+{_kind(item.build) or kind}" if name in _TORCH and exact and (_kind(item.build) or kind) else ""
    patch = ".*" if name == "opencv-python-headless" and exact else ""  # its versions on PyPI have a fourth number
    return f"{name}{item.version}{local}{patch}"


def _torch_kind(items: list[_Item]) -> str | None:
    """The kind of PyTorch build in a list: such as "cu121", "cpu", or None for PyPI's own."""
    for item in items:
        if item.name == "pytorch-cuda" and (found := re.search(r"(\d+)\.(\d+)", item.version)):
            return f"cu{found[1]}{found[2]}"
        if item.name in {"cpuonly", "pytorch-cpu"}:
            return "cpu"
    return next((kind for item in items if item.name == "pytorch" and (kind := _kind(item.build))), None)


def _kind(build: str) -> str | None:
    if found := _CUDA.search(build):
        return f"cu{found[1]}{found[2]}"
    return "cpu" if re.search(r"(^|_)cpu", build) else None


def _number(text: str, item: str) -> int:
    found = re.search(rf"^\s*-\s*[\"']?{re.escape(item)}", text, re.MULTILINE)
    return text[: found.end() if found else 0].count("\n") + 1


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def environment_name(root: Path) -> str | None:
    """The name of the environment in the project's conda file, for `conda activate`."""
    texts: Iterator[Any] = (_text_of(root / name) for name in CONDA_FILES if (root / name).is_file())
    found = re.search(r"^name:\s*[\"']?([\w.-]+)", next(texts, ""), re.MULTILINE)
    return found[1] if found else None
