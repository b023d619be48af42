"""Finds the Python that a base runs: by its entry point, its environments and PATH, through links to a real program."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .layer_listing import ELF, SCRIPT, TEXT, Entry
from .merged_layers import MergedLayers, Unknown

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_X86_64 = "62"
_VERSION = re.compile(r"python(3\.\d+)")
_SYSTEM = frozenset(("", "/", "/usr", "/usr/local"))
"""Prefixes that are never virtual environments."""
_CACHES = re.compile(r"(^|/)(pkgs|share|snap)/")
"""Folders with copies of interpreters that don't work where they lie."""
_CONDA = frozenset(("conda", "mamba", "micromamba"))
_CONDA_ROOTS = ("opt/conda", "opt/miniconda", "opt/miniconda3", "opt/miniforge3", "opt/anaconda3", "root/miniconda3")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python of a base.

    Attributes:
        path: The program itself, without links, absolute.
        version: Its minor version, as "3.11".
        packages: Folders with packages of the virtual environment by which the base runs it, lowest first.
        is_musl: Whether it runs on musl, for which the lock's wheels aren't made.
    """

    path: str
    version: str
    packages: Sequence[str] = field(default=())
    is_musl: bool = False


def search_folders(config: Mapping[str, Any]) -> list[str]:
    """The folders that may hold the base's Python, likeliest first.

    Args:
        config: The run-time part of the base's config: Env, Entrypoint, Cmd, Shell.
    """
    env = environment(config)
    words = [word for key in ("Entrypoint", "Cmd", "Shell") for word in config.get(key) or []]
    path = [folder for folder in (env.get("PATH") or PATH).split(":") if folder.startswith("/")]
    # No distribution has a Python in an sbin folder; to look there first would mean to read every layer.
    path.sort(key=lambda folder: folder.rstrip("/").endswith("/sbin"))
    variables = (env.get(name) for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "MAMBA_ROOT_PREFIX", "CONDA_DIR"))
    prefixes = [f"{folder}/bin" for folder in variables if folder]
    pyenv = [f"{env['PYENV_ROOT']}/shims"] if env.get("PYENV_ROOT") else []
    conda = _conda_environment(words, env)
    found = [*_named_python(words), *conda, *path, *prefixes, *pyenv]
    return list(dict.fromkeys(posixpath.normpath(folder) for folder in found))


def environment(config: Mapping[str, Any]) -> dict[str, str]:
    """The variables that a base sets."""
    return dict(item.partition("=")[::2] for item in config.get("Env") or [] if "=" in item)


def _named_python(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word.startswith("/") and re.fullmatch(r"python(3(\.\d+)?)?", posixpath.basename(word)):
            yield posixpath.dirname(word)


def _conda_environment(words: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """The folder of the environment that `conda run -n NAME` or `-p FOLDER` starts."""
    programs = [at for at, word in enumerate(words) if posixpath.basename(word) in _CONDA]
    if not programs:
        return []
    for flag, value in zip(words[programs[0] :], words[programs[0] + 1 :], strict=False):
        if flag in ("-p", "--prefix"):
            return [f"{value}/bin"]
        if flag in ("-n", "--name"):
            program = words[programs[0]]
            own = posixpath.dirname(posixpath.dirname(program)) if program.startswith("/") else ""
            roots = [own, env.get("MAMBA_ROOT_PREFIX", ""), env.get("CONDA_DIR", ""), *_CONDA_ROOTS]
            return [f"/{root.strip('/')}/envs/{value}/bin" for root in roots if root]
    return []


def find_interpreter(files: MergedLayers, folders: Sequence[str], version: str) -> Interpreter | None:
    """The Python of a minor version that the base runs; None if it has none.

    Raises:
        Unknown: The layers that were read so far don't decide it.
    """
    for folder in folders:
        for name in (f"python{version}", "python3", "python"):
            found = _interpreter(files, f"{folder}/{name}", version)
            if found is not None and found.version == version:
                return found
    for path in _elsewhere(files, rf"python{re.escape(version)}"):
        if (found := _interpreter(files, path, version)) is not None:
            return found
    return None


def first_python(files: MergedLayers, config: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first `python3`, else `python`, in the folders of an image's PATH, and its minor version; None without one.

    Args:
        files: All layers of the image.
        config: The run-time part of its config.
    """
    folders = [folder for folder in (environment(config).get("PATH") or PATH).split(":") if folder.startswith("/")]
    for name in ("python3", "python"):
        for folder in folders:
            path = posixpath.join(folder, name)
            if (found := _interpreter(files, path, "")) is not None:
                return path, found.version
    return None


def all_versions(files: MergedLayers, folders: Sequence[str]) -> list[str]:
    """The minor versions of Python that a base has, oldest first; all layers must have been read."""
    names = {match[1] for path in _elsewhere(files, r"python3\.\d+") if (match := _VERSION.search(path))}
    for folder in folders:
        for name in ("python3", "python"):
            if (found := _interpreter(files, f"{folder}/{name}", "")) is not None:
                names.add(found.version)
    versions = sorted((version for version in names if version), key=lambda text: int(text.partition(".")[2]))
    return [version for version in versions if find_interpreter(files, folders, version)]


def _elsewhere(files: MergedLayers, name: str) -> list[str]:
    """Programs of this name in any bin folder, shortest path first."""
    found = [entry.path for entry in files.matching(rf"(.*/)?bin/{name}")]
    return sorted((f"/{path}" for path in found if not _CACHES.search(path)), key=lambda path: (path.count("/"), path))


def _interpreter(files: MergedLayers, path: str, wanted: str) -> Interpreter | None:
    """The Python that a path leads to; None if that is nothing that could run."""
    program = files.resolve(path)
    if _is_shim(path) and (program is None or not posixpath.basename(program.path).startswith("python")):
        return _behind_shim(files, path, wanted)  # the version manager itself, which mise links under every name
    if program is None:
        return None
    prefix = posixpath.dirname(posixpath.dirname(path))
    if program.content.startswith(SCRIPT):
        return _behind_shim(files, path, wanted)
    machine, _, loader = program.content.removeprefix(ELF).partition(" ")
    if program.content.startswith(ELF) and machine not in ("", _X86_64):
        return None
    version = _version(files, path, program)
    packages: list[str] = []
    if (settings := _virtual_environment(files, prefix, version)) is not None:
        packages.append(f"{prefix}/lib/python{version}/site-packages")
        if posixpath.dirname(posixpath.dirname(f"/{program.path}")) == prefix:  # a copy of the program, not a link
            home = settings.get("home", "")
            original = files.resolve(f"{home}/python{version}") or files.resolve(f"{home}/python3")
            program = original or program
    is_musl = "ld-musl" in loader or (not loader and _has_only_musl(files))
    return Interpreter(f"/{program.path}", version, tuple(packages), is_musl)


def _version(files: MergedLayers, path: str, program: Entry) -> str:
    """The minor version by the names of the link and the program, else by the standard library beside it."""
    for name in (program.path, path):
        if match := _VERSION.fullmatch(posixpath.basename(name)):
            return match[1]
    prefix = posixpath.dirname(posixpath.dirname(program.path))
    library = re.escape(f"{prefix}/" if prefix else "")
    found = [match[1] for entry in files.matching(rf"{library}lib(64)?/python3\.\d+/os\.py")
             if (match := re.search(r"python(3\.\d+)/os\.py$", entry.path))]  # fmt: skip
    return found[0] if len(found) == 1 else ""


def _virtual_environment(files: MergedLayers, prefix: str, version: str) -> dict[str, str] | None:
    """The settings of the virtual environment at a prefix; None if there is none."""
    # A Python with a standard library of its own is none, and to know that may save reading the lower layers.
    if prefix in _SYSTEM or files.resolve(f"{prefix}/lib/python{version}/os.py") is not None:
        return None
    entry = files.resolve(f"{prefix}/pyvenv.cfg")
    if entry is None:
        return None
    lines = (line.partition("=") for line in entry.content.removeprefix(TEXT).splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def _is_shim(path: str) -> bool:
    return posixpath.basename(posixpath.dirname(path)) == "shims"


def _behind_shim(files: MergedLayers, path: str, wanted: str) -> Interpreter | None:
    """The program that a shim of pyenv, asdf or mise starts: that of its chosen version, else the newest release."""
    root = posixpath.dirname(posixpath.dirname(path))
    if not _is_shim(path) or not wanted:
        return None
    place = rf"{re.escape(root.strip('/'))}/(versions|installs/python)/[^/]+/bin/python{re.escape(wanted)}"
    found = [entry.path for entry in files.matching(place)]
    chosen = files.resolve(f"{root}/version")
    names = chosen.content.removeprefix(TEXT).split() if chosen else []

    def rank(path: str) -> tuple[int, list[int]]:
        name = path.split("/")[-3]
        numbers = [int(number) for number in re.findall(r"\d+", name)]
        return (0 if name in names else 1), [-number for number in numbers]

    best = min(found, key=rank, default=None)
    return _interpreter(files, f"/{best}", wanted) if best else None


def _has_only_musl(files: MergedLayers) -> bool:
    """Whether the base has musl's loader and no other; False if that isn't known yet."""
    try:
        found = {posixpath.basename(entry.path)[:7] for entry in files.matching(r"(usr/)?lib(64)?/ld-(musl|linux)-.*")}
    except Unknown:
        return False
    return found == {"ld-musl"}
