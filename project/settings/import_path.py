"""The folders in which a project's own modules lie, for PYTHONPATH: the image does not install the project."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

_SETUP_PY = (
    re.compile(r"""package_dir\s*=\s*(?:\{\s*(?:""|'')\s*:|dict\(\s*\*\*\{\s*(?:""|'')\s*:)\s*["']([^"']+)["']"""),
    re.compile(r"""find(?:_namespace)?_packages\(\s*(?:where\s*=\s*)?["']([^"']+)["']"""),
)


def import_path(root: Path, document: Mapping[str, Any], script: str) -> dict[str, str]:
    """PYTHONPATH for modules that are not in the script's own folder, relative to the project; empty without any.

    These are `src` or where the build of the project says that its packages are, as an editable install would add
    them, and for a script in a folder the project's own: trainer/task.py, Vertex AI's own layout, imports trainer.

    Args:
        root: The project's folder.
        document: Its pyproject.toml.
        script: The script, relative to the project.
    """
    folders = ["src"] if (root / "src").is_dir() and not (root / "src" / "__init__.py").exists() else []
    for named in (*_pyproject(document), *_setup_cfg(root), *_setup_py(root)):
        folder = PurePosixPath(named.replace("\\", "/")).as_posix()
        if folder != "." and not folder.startswith(("/", "..")) and (root / folder).is_dir():
            folders.append(folder)
    if "/" in script:
        folders.insert(0 if not script.startswith("src/") else len(folders), ".")
    return {"PYTHONPATH": ":".join(dict.fromkeys(folders))} if folders else {}


def _pyproject(document: Mapping[str, Any]) -> Iterator[str]:
    """What setuptools, Poetry, PDM, Hatch, uv and maturin are told."""
    tools = _Table(document).table("tool")
    setuptools = tools.table("setuptools")
    yield from setuptools.table("packages").table("find").texts("where")
    yield from _mapped(setuptools.table("package-dir"))
    for package in tools.table("poetry").tables("packages"):
        yield from package.texts("from")
    for pdm in (tools.table("pdm"), tools.table("pdm").table("build")):
        yield from pdm.texts("package-dir")
    wheel = tools.table("hatch").table("build").table("targets").table("wheel")
    yield from (str(PurePosixPath(package).parent) for package in wheel.texts("packages"))
    yield from wheel.texts("sources")
    yield from tools.table("uv").table("build-backend").texts("module-root")
    yield from tools.table("maturin").texts("python-source")


def _mapped(folders: _Table) -> Iterator[str]:
    """Folders of setuptools' package-dir; a package under another name than its folder's has none."""
    for package, folder in folders.items():
        place = PurePosixPath(str(folder))
        if not package:
            yield str(place)
        elif place.name == package:
            yield str(place.parent)


def _setup_cfg(root: Path) -> Iterator[str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(root / "setup.cfg", encoding="utf-8")
        yield parser.get("options.packages.find", "where", fallback=".")
        mapped = parser.get("options", "package_dir", fallback="")
    except (configparser.Error, UnicodeDecodeError):
        return
    pairs = (line.partition("=") for line in mapped.splitlines() if "=" in line)
    yield from _mapped(_Table({package.strip(): folder.strip() for package, _, folder in pairs}))


def _setup_py(root: Path) -> Iterator[str]:
    try:
        text = (root / "setup.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for pattern in _SETUP_PY:
        yield from pattern.findall(text)


class _Table(dict[str, Any]):
    """A table of another tool; what has another form than that tool's documentation says counts as missing."""

    def table(self, key: str) -> _Table:
        value = self.get(key)
        return _Table(value) if isinstance(value, dict) else _Table()

    def tables(self, key: str) -> list[_Table]:
        value = self.get(key)
        return [_Table(item) for item in value if isinstance(item, dict)] if isinstance(value, list) else []

    def texts(self, key: str) -> list[str]:
        value = self.get(key)
        return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
