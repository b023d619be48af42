"""Explains in one line why an import failed: a module that is missing, or that another version of a package had."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from ..dependencies.distributions import how_to_add, package_for
from ..dependencies.interpreters import interpreters, this_interpreter
from ..dependencies.lists import requirements_files
from ..dependencies.verified import installed_packages
from ..settings.settings import Settings
from .unlisted_imports import NAMESPACES, lacking, missing, owners_of

_MODULE = re.compile(r"No module named '([\w.]+)'|cannot import name '\w+' from '(google[\w.]*)' \(unknown")
_HOSTED = {"google.colab": "Colab", "kaggle_secrets": "Kaggle", "kaggle_datasets": "Kaggle", "dbutils": "Databricks"}
"""Modules of hosted notebooks, which no package provides."""
_ASKED = re.compile(
    r"pip3? install (?:-U |--upgrade )?[`'\"]?([A-Za-z][\w.-]*(?:\[[\w,-]+\])?)|Missing optional dependency '([\w.-]+)'"
)
"""How a library asks for another one that it needs for what is called."""
_SPACY_MODEL = re.compile(r"\[E050\] Can't find model '([a-z]{2,3}_[a-z]+_[a-z]+_[a-z]+)'")
_SPACY_RELEASES = "https://github.com/explosion/spacy-models/releases/download"
"""Where spaCy's models are, which are packages that no index has: https://spacy.io/usage/models#download-pip."""
_OTHER_VERSION = re.compile(
    r"No module named '(\w+)\.[\w.]+'|cannot import name '\w+' from '(\w+)[\w.]*'|module '(\w+)[\w.]*' has no attribute"
)


def missing_module(
    exception: str, settings: Settings, paths: Collection[str], python: Path, method: str
) -> tuple[str, str] | None:
    """The reason (may be empty) and the step for a failed import; None if the exception is about something else.

    Args:
        exception: The exception's line.
        settings: The project's settings.
        paths: Paths of the listed files.
        python: The Python that ran the script.
        method: The dependency list that is frozen.
    """
    sites = sorted(python.parent.parent.glob("lib/python3.*/site-packages"))
    top = next(filter(None, found.groups())) if (found := _OTHER_VERSION.search(exception)) else ""
    if top and top not in NAMESPACES and not lacking([top], sites):
        return _other_version(exception, top, settings, sites, method)
    if found := _MODULE.search(exception):
        return _missing(found[1] or found[2], settings, paths, sites, method)
    if found := _SPACY_MODEL.search(exception):
        return _spacy_model(found[1], settings, sites, method)
    if (found := _ASKED.search(exception)) and re.match(r"[\w.]*(?:ImportError|ModuleNotFoundError):", exception):
        return "", how_to_add(settings.root, settings.requirements or method, [found[1] or found[2]])
    return None


def _spacy_model(name: str, settings: Settings, sites: Sequence[Path], method: str) -> tuple[str, str]:
    """The advice for a model of spaCy, which `python -m spacy download` installs as a package of spaCy's version."""
    installed = installed_packages(sites).get("spacy")
    major, minor = installed.version.split(".")[:2] if installed else ("VERSION", "")
    version = f"{major}.{minor}.0" if minor else major
    listed = settings.requirements or method
    package = f"{name} @ {_SPACY_RELEASES}/{name}-{version}/{name}-{version}-py3-none-any.whl"
    return f"it loads spaCy's model {name}, which is not installed", how_to_add(settings.root, listed, [package])


def _hosted(module: str) -> tuple[str, str] | None:
    """The advice for a module that only a hosted notebook has."""
    service = next((name for prefix, name in _HOSTED.items() if f"{module}.".startswith(f"{prefix}.")), None)
    return (f"it imports {module}, which only {service} has", "Leave out what needs it") if service else None


def _other_version(
    exception: str, top: str, settings: Settings, sites: Sequence[Path], method: str
) -> tuple[str, str] | None:
    """The step for something that the installed version of a package doesn't have, and another one may have."""
    package = package_for(top, owners_of(sites))
    installed = installed_packages(sites).get(canonicalize_name(package))
    if installed is None:
        return None
    listed = settings.requirements or ("requirements.txt" if method in {"nothing", "environment"} else method)
    return (
        f"{exception} ({package} {installed.version})",
        f"Write the version of {package} for which the script was made into {listed}, or correct the script",
    )


def _missing(
    module: str, settings: Settings, paths: Collection[str], sites: Sequence[Path], method: str
) -> tuple[str, str]:
    """The advice for modules that the environment lacks: all that the sources import, not only the first."""
    top = module.partition(".")[0]
    here = [name for name in (f"{top}.py", top) if (settings.root / name).exists()]
    if here and not any(path == here[0] or path.startswith(f"{here[0]}/") for path in paths):
        return (
            f"it imports {module}, which the project's ignore rules leave out",
            f'Add include = ["/{here[0]}"] under [tool.vertex-training] in pyproject.toml',
        )
    if here and "." in module:
        return f"it imports {module}, which {here[0]} of the project doesn't have", "Add it, or correct the import"
    if folder := _own_folder(module, paths):
        own = ":".join(dict.fromkeys(filter(None, (settings.env.get("PYTHONPATH"), folder))))
        return (
            f"it imports {module}, which is in the project's {folder}",
            f'Set PYTHONPATH = "{own}" under [tool.vertex-training.env] in pyproject.toml',
        )
    if settings.verify == "image":
        packages = package_for(module, {})
        return f"it imports {module}, which the image does not have", f"Install {packages} in the Dockerfile"
    return _not_installed(module, settings, sites, method)


def _not_installed(module: str, settings: Settings, sites: Sequence[Path], method: str) -> tuple[str, str]:
    """The advice for all modules that the sources import and no package here has, this one first."""
    top = module.partition(".")[0]
    found = missing(settings.root, settings.script, sites)
    modules = found if any(name.partition(".")[0] == top for name in found) else [module, *found]
    if hosted := next(filter(None, map(_hosted, modules)), None):
        return hosted
    owners = owners_of(this_interpreter().sites)
    packages = list(dict.fromkeys(package_for(name, owners) for name in modules))
    imports = f"it imports {', '.join(modules)}"
    if method != "nothing" or settings.requirements:
        listed = settings.requirements or method
        lacks = "the activated environment does not have" if listed == "environment" else f"{listed} does not list"
        return f"{imports}, which {lacks}", how_to_add(settings.root, listed, packages)
    reason, step = _no_list(settings, modules, packages)
    return f"{imports}, {reason}", step


def _no_list(settings: Settings, modules: Sequence[str], packages: Sequence[str]) -> tuple[str, str]:
    """The rest of the reason and the step for modules that are missing in a project without a list."""
    table = "under [tool.vertex-training]"
    if found := requirements_files.listing(settings.root, packages):
        return f"which {found} lists", f'Set requirements = "{found}" {table}'
    own = interpreters(settings.root, os.environ)[:-1]  # without the Python that runs this program
    mine = next((it for it in own if it.python == settings.python), None)
    if mine and not lacking(modules, mine.sites):
        step = f'Set freeze = "environment" {table}: what is installed there is frozen'
        return f"which no list names and {mine.path} has", step
    if (settings.root / "Dockerfile").is_file():
        step = f'Activate an environment that has it, or set verify = "image" {table}'
        return "which no environment here has", step
    return "which no list names", how_to_add(settings.root, "nothing", packages)


def _own_folder(module: str, paths: Collection[str]) -> str | None:
    """The folder of the project that has the module and is not on Python's path; None without one.

    A folder without Python files that only has a package's name, as experiments/xgboost, is no module.
    """
    place = module.replace(".", "/")
    ends = (f"/{place}.py", f"/{place}/__init__.py", f"/{place.partition('/')[0]}/__init__.py")
    below = (f"./{path}" for path in paths if path.endswith(".py"))
    found = (PurePosixPath(path.removesuffix(end)) for path in below for end in ends if path.endswith(end))
    return min(map(str, found), key=lambda folder: (folder.count("/"), folder), default=None)
